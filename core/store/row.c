/* An account row: see row.h. */
#include "core/store/row.h"

#include <talloc.h>

#include "core/base/limits.h"

/* Results are stored as Result-Codes, which never change; 0: a request without services. */
static int64_t code_of(enum gy_rc rc)
{
	return rc == GY_RC_COUNT ? 0 : (int64_t)gy_rc_result_code(rc);
}

static enum gy_rc rc_of(int64_t code)
{
	return code == 0 ? GY_RC_COUNT : gy_rc_from_result_code((uint32_t)code);
}

/* Column 4 of an answer, 3 of a charge: what is small, in one number. */
static int64_t pack_shape(enum gy_rc rc, enum gy_rc service_rc, enum gy_unit unit,
			  enum gy_final_unit_action final_unit, uint32_t quota_holding_s,
			  unsigned directions)
{
	return code_of(rc) | code_of(service_rc) << 16 | (int64_t)unit << 32 |
	       (int64_t)(final_unit + 1) << 36 | (int64_t)quota_holding_s << 40 |
	       (int64_t)directions << 56;
}

static void unpack_shape(int64_t shape, struct gy_kept_answer *answer)
{
	answer->rc = rc_of(shape & 0xffff);
	answer->service_rc = rc_of(shape >> 16 & 0xffff);
	answer->unit = (enum gy_unit)(shape >> 32 & 15);
	answer->final_unit = (enum gy_final_unit_action)((shape >> 36 & 15) - 1);
	answer->quota_holding_s = (uint32_t)(shape >> 40 & 0xffff);
	answer->directions = (unsigned)(shape >> 56 & 3);
}

static int64_t pack_times(uint32_t validity_s, uint32_t threshold)
{
	return (int64_t)((uint64_t)validity_s << 32 | threshold);
}

static void read_sessions(const struct gy_matrix *m, struct gy_session *sessions)
{
	for (unsigned i = 0; i < m->rows; i++)
		sessions[i] = (struct gy_session){
			.key = { (uint64_t)gy_matrix_at(m, i, 0), (uint64_t)gy_matrix_at(m, i, 1) },
			.subscriber_id = gy_matrix_at(m, i, 2),
			.gateway_id = gy_matrix_at(m, i, 3),
			.state = (enum gy_session_state)gy_matrix_at(m, i, 4),
			.opened_us = gy_matrix_at(m, i, 5),
			.deadline_us = gy_matrix_at(m, i, 6),
			.highest = gy_matrix_at(m, i, 7),
			.seen = (uint64_t)gy_matrix_at(m, i, 8),
			.initial_number = gy_matrix_at(m, i, 9),
			.initial_end_to_end = gy_matrix_at(m, i, 10) & UINT32_MAX,
			.taken_over = gy_matrix_at(m, i, 10) >> 32 & 1,
			.realm = (uint32_t)(gy_matrix_at(m, i, 10) >> 33),
			.place = gy_matrix_at(m, i, 11),
		};
}

/* Session numbers count from 1 in the row, as SQL's arrays do. */
static void read_reservations(const struct gy_matrix *m, struct gy_reservation *reservations)
{
	for (unsigned i = 0; i < m->rows; i++)
		reservations[i] = (struct gy_reservation){
			.session = (unsigned)gy_matrix_at(m, i, 0) - 1,
			.rating_group = (uint32_t)gy_matrix_at(m, i, 1),
			.service_key = gy_matrix_at(m, i, 2),
			.unit = (enum gy_unit)(gy_matrix_at(m, i, 3) & 255),
			.pool = gy_matrix_at(m, i, 3) >> 8 & GY_POOL_MAX,
			.directions = gy_matrix_at(m, i, 3) >> 24 & 3,
			.final = gy_matrix_at(m, i, 3) >> 32 & 1,
			.granted = gy_matrix_at(m, i, 4),
			.reserved = gy_matrix_at(m, i, 5),
			.rate = { gy_matrix_at(m, i, 6), gy_matrix_at(m, i, 7) },
			.carry = gy_matrix_at(m, i, 8),
			.rule_id = gy_matrix_at(m, i, 9),
			.validity_s = (uint32_t)gy_matrix_at(m, i, 10),
			.granted_s = (uint32_t)((uint64_t)gy_matrix_at(m, i, 10) >> 32),
			.switch_us = gy_matrix_at(m, i, 11),
		};
}

static void read_answers(const struct gy_matrix *m, struct gy_kept_answer *answers)
{
	for (unsigned i = 0; i < m->rows; i++) {
		uint64_t request = (uint64_t)gy_matrix_at(m, i, 1);
		uint64_t times = (uint64_t)gy_matrix_at(m, i, 7);
		uint64_t rare = (uint64_t)gy_matrix_at(m, i, 8);

		answers[i] = (struct gy_kept_answer){
			.session = (gy_matrix_at(m, i, 0) & 0xffff) - 1,
			.pool = gy_matrix_at(m, i, 0) >> 16 & GY_POOL_MAX,
			.type = (enum gy_request_type)(request >> 32),
			.number = (uint32_t)request,
			.end_to_end = (uint32_t)((uint64_t)gy_matrix_at(m, i, 0) >> 32),
			.content_hash = (uint64_t)gy_matrix_at(m, i, 2),
			.rating_group = gy_matrix_at(m, i, 4),
			.service_key = gy_matrix_at(m, i, 5),
			.granted = gy_matrix_at(m, i, 6),
			.validity_s = (uint32_t)(times >> 32),
			.threshold = (uint32_t)times,
			.switch_s = (uint32_t)(rare >> 32),
			.redirect_rule = (uint32_t)rare,
		};
		unpack_shape(gy_matrix_at(m, i, 3), &answers[i]);
	}
}

/* Column 1 of a slice: reservation, phase << 32, source << 40. Column 6: the home of a card, else
 * what is held. */
static void read_slices(const struct gy_matrix *m, struct gy_slice *slices)
{
	for (unsigned i = 0; i < m->rows; i++) {
		uint64_t what = (uint64_t)gy_matrix_at(m, i, 0);
		int64_t last = gy_matrix_at(m, i, 5);
		enum gy_from from = (enum gy_from)(what >> 40);

		slices[i] = (struct gy_slice){
			.reservation = (uint32_t)what - 1,
			.phase = what >> 32 & 255,
			.from = from,
			.from_id = gy_matrix_at(m, i, 1),
			.units = gy_matrix_at(m, i, 2),
			.rate = { gy_matrix_at(m, i, 3), gy_matrix_at(m, i, 4) },
			.held = from == GY_FROM_CARD ? 0 : last,
			.home = from == GY_FROM_CARD ? last : 0,
		};
	}
}

static void read_counters(const struct gy_matrix *m, struct gy_counter *counters)
{
	for (unsigned i = 0; i < m->rows; i++)
		counters[i] = (struct gy_counter){
			.subscriber_id = gy_matrix_at(m, i, 0),
			.kind = (enum gy_counted_kind)gy_matrix_at(m, i, 1),
			.id = gy_matrix_at(m, i, 2),
			.unit = (enum gy_unit)gy_matrix_at(m, i, 3),
			.day = gy_matrix_at(m, i, 4),
			.month = gy_matrix_at(m, i, 5),
			.units_day = gy_matrix_at(m, i, 6),
			.micros_day = gy_matrix_at(m, i, 7),
			.units_month = gy_matrix_at(m, i, 8),
			.micros_month = gy_matrix_at(m, i, 9),
		};
}

static void read_cards(const struct gy_matrix *m, const struct gy_matrix *use,
		       struct gy_card *cards)
{
	for (unsigned i = 0; i < m->rows; i++)
		cards[i] = (struct gy_card){
			.card_id = gy_matrix_at(m, i, 0),
			.state = (enum gy_card_state)gy_matrix_at(m, i, 1),
			.unit = (enum gy_unit)gy_matrix_at(m, i, 2),
			.quota = gy_matrix_at(m, i, 3),
			.used = gy_matrix_at(use, i, 0),
			.reserved = gy_matrix_at(use, i, 1),
			.valid_from_us = gy_matrix_at(m, i, 4),
			.valid_until_us = gy_matrix_at(use, i, 2),
			.lasts_us = gy_matrix_at(use, i, 3),
			.held = gy_matrix_at(m, i, 5),
			.rate = { gy_matrix_at(m, i, 6), gy_matrix_at(m, i, 7) },
		};
}

static void read_draws(const struct gy_matrix *m, struct gy_draw *draws)
{
	for (unsigned i = 0; i < m->rows; i++)
		draws[i] = (struct gy_draw){
			.card_id = gy_matrix_at(m, i, 0),
			.subscriber_id = gy_matrix_at(m, i, 1),
			.rating_group = gy_matrix_at(m, i, 2),
			.used = gy_matrix_at(m, i, 3),
			.closed = gy_matrix_at(m, i, 4),
		};
}

static bool sane_card(const struct gy_account *a, const struct gy_card *card)
{
	int64_t drawn = 0;

	for (unsigned i = 0; i < a->n_draws; i++)
		if (a->draws[i].card_id == card->card_id && a->draws[i].subscriber_id == 0)
			drawn += a->draws[i].used;
	return card->used >= 0 && card->reserved >= 0 && card->held >= 0 && card->rate.block > 0 &&
	       card->used + card->reserved <= card->quota && card->used == drawn;
}

/* What the core would refuse with an assertion is refused here: a row written by another hand. */
static bool sane(const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_reservations; i++)
		if (a->reservations[i].session >= a->n_sessions ||
		    a->reservations[i].rate.block <= 0 || a->reservations[i].carry < 0 ||
		    a->reservations[i].carry >= a->reservations[i].rate.block)
			return false;
	for (unsigned i = 0; i < a->n_answers; i++)
		if (a->answers[i].session >= a->n_sessions)
			return false;
	for (unsigned i = 0; i < a->n_slices; i++)
		if (a->slices[i].reservation >= a->n_reservations || a->slices[i].phase > 1 ||
		    a->slices[i].rate.block <= 0)
			return false;
	for (unsigned i = 0; i < a->n_cards; i++)
		if (!sane_card(a, &a->cards[i]))
			return false;
	return true;
}

static bool read_matrix(const PGresult *result, int row, int column, unsigned width,
			struct gy_matrix *matrix)
{
	return gy_matrix_read(PQgetvalue(result, row, column), PQgetlength(result, row, column),
			      width, matrix);
}

enum gy_rc gy_account_read(void *pool, const PGresult *result, int row, struct gy_account *a)
{
	struct gy_matrix sessions, reservations, answers, slices, counters, draws, card_use, cards;

#define VALUE(column) PQgetvalue(result, row, column)
	*a = (struct gy_account){
		.account_id = gy_get_int8(VALUE(0)),
		.group_id = gy_get_int8(VALUE(1)),
		.version = gy_get_int8(VALUE(2)),
		.profile_version = gy_get_int8(VALUE(3)),
		.state = (enum gy_state)gy_get_int2(VALUE(4)),
		.currency = gy_get_int2(VALUE(5)),
		.balance = gy_get_int8(VALUE(6)),
		.reserved = gy_get_int8(VALUE(7)),
		.credit_limit = gy_get_int8(VALUE(8)),
		.valid_until_us = gy_get_time(VALUE(9)),
	};
#undef VALUE
	if (!read_matrix(result, row, 10, GY_SESSION_COLUMNS, &sessions) ||
	    !read_matrix(result, row, 11, GY_RESERVATION_COLUMNS, &reservations) ||
	    !read_matrix(result, row, 12, GY_ANSWER_COLUMNS, &answers) ||
	    !read_matrix(result, row, 13, GY_SLICE_COLUMNS, &slices) ||
	    !read_matrix(result, row, 14, GY_COUNTER_COLUMNS, &counters) ||
	    !read_matrix(result, row, 15, GY_DRAW_COLUMNS, &draws) ||
	    !read_matrix(result, row, 16, GY_CARD_USE_COLUMNS, &card_use) ||
	    !read_matrix(result, row, 17, GY_CARD_COLUMNS, &cards) || card_use.rows != cards.rows)
		return GY_STORE_REFUSED;
	a->n_sessions = a->sessions_room = sessions.rows;
	a->n_reservations = a->reservations_room = reservations.rows;
	a->n_answers = a->answers_room = answers.rows;
	a->sessions = talloc_array(pool, struct gy_session, sessions.rows);
	a->reservations = talloc_array(pool, struct gy_reservation, reservations.rows);
	a->answers = talloc_array(pool, struct gy_kept_answer, answers.rows);
	if (a->sessions == NULL || a->reservations == NULL || a->answers == NULL)
		return GY_NO_MEMORY;
	a->n_slices = a->slices_room = slices.rows;
	a->n_counters = a->counters_room = counters.rows;
	a->n_cards = cards.rows;
	a->n_draws = a->draws_room = draws.rows;
	if (slices.rows > 0)
		a->slices = talloc_array(pool, struct gy_slice, slices.rows);
	if (counters.rows > 0)
		a->counters = talloc_array(pool, struct gy_counter, counters.rows);
	if (cards.rows > 0)
		a->cards = talloc_array(pool, struct gy_card, cards.rows);
	if (draws.rows > 0)
		a->draws = talloc_array(pool, struct gy_draw, draws.rows);
	if ((slices.rows > 0 && a->slices == NULL) || (counters.rows > 0 && a->counters == NULL) ||
	    (cards.rows > 0 && a->cards == NULL) || (draws.rows > 0 && a->draws == NULL))
		return GY_NO_MEMORY;
	read_sessions(&sessions, a->sessions);
	read_reservations(&reservations, a->reservations);
	read_answers(&answers, a->answers);
	read_slices(&slices, a->slices);
	read_counters(&counters, a->counters);
	read_cards(&cards, &card_use, a->cards);
	read_draws(&draws, a->draws);
	return sane(a) ? GY_OK : GY_STORE_REFUSED;
}

void gy_sessions_put(struct gy_params *params, unsigned number, const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_sessions; i++) {
		const struct gy_session *s = &a->sessions[i];

		gy_array_int8(params, number, (int64_t)s->key.hi);
		gy_array_int8(params, number, (int64_t)s->key.lo);
		gy_array_int8(params, number, s->subscriber_id);
		gy_array_int8(params, number, s->gateway_id);
		gy_array_int8(params, number, s->state);
		gy_array_int8(params, number, s->opened_us);
		gy_array_int8(params, number, s->deadline_us);
		gy_array_int8(params, number, s->highest);
		gy_array_int8(params, number, (int64_t)s->seen);
		gy_array_int8(params, number, s->initial_number);
		gy_array_int8(params, number,
			      s->initial_end_to_end | (int64_t)s->taken_over << 32 |
				      (int64_t)s->realm << 33);
		gy_array_int8(params, number, s->place);
	}
}

void gy_reservations_put(struct gy_params *params, unsigned number, const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_reservations; i++) {
		const struct gy_reservation *r = &a->reservations[i];

		gy_array_int8(params, number, (int64_t)r->session + 1);
		gy_array_int8(params, number, r->rating_group);
		gy_array_int8(params, number, r->service_key);
		gy_array_int8(params, number,
			      (int64_t)r->final << 32 | (int64_t)r->directions << 24 |
				      (int64_t)r->pool << 8 | (int64_t)r->unit);
		gy_array_int8(params, number, r->granted);
		gy_array_int8(params, number, r->reserved);
		gy_array_int8(params, number, r->rate.price_micros);
		gy_array_int8(params, number, r->rate.block);
		gy_array_int8(params, number, r->carry);
		gy_array_int8(params, number, r->rule_id);
		gy_array_int8(params, number, pack_times(r->granted_s, r->validity_s));
		gy_array_int8(params, number, r->switch_us);
	}
}

void gy_answers_put(struct gy_params *params, unsigned number, const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_answers; i++) {
		const struct gy_kept_answer *w = &a->answers[i];

		gy_array_int8(params, number,
			      (int64_t)((uint64_t)w->end_to_end << 32 | (uint64_t)w->pool << 16 |
					(w->session + 1)));
		gy_array_int8(params, number,
			      (int64_t)((uint64_t)w->type << 32 | (uint64_t)w->number));
		gy_array_int8(params, number, (int64_t)w->content_hash);
		gy_array_int8(params, number,
			      pack_shape(w->rc, w->service_rc, w->unit, w->final_unit,
					 w->quota_holding_s, w->directions));
		gy_array_int8(params, number, w->rating_group);
		gy_array_int8(params, number, w->service_key);
		gy_array_int8(params, number, w->granted);
		gy_array_int8(params, number, pack_times(w->validity_s, w->threshold));
		gy_array_int8(params, number, pack_times(w->switch_s, w->redirect_rule));
	}
}

void gy_slices_put(struct gy_params *params, unsigned number, const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_slices; i++) {
		const struct gy_slice *s = &a->slices[i];

		gy_array_int8(params, number,
			      (int64_t)((uint64_t)s->from << 40 | (uint64_t)s->phase << 32 |
					((uint64_t)s->reservation + 1)));
		gy_array_int8(params, number, s->from_id);
		gy_array_int8(params, number, s->units);
		gy_array_int8(params, number, s->rate.price_micros);
		gy_array_int8(params, number, s->rate.block);
		gy_array_int8(params, number, s->from == GY_FROM_CARD ? s->home : s->held);
	}
}

void gy_draws_put(struct gy_params *params, unsigned number, const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_draws; i++) {
		const struct gy_draw *d = &a->draws[i];

		gy_array_int8(params, number, d->card_id);
		gy_array_int8(params, number, d->subscriber_id);
		gy_array_int8(params, number, d->rating_group);
		gy_array_int8(params, number, d->used);
		gy_array_int8(params, number, d->closed);
	}
}

void gy_card_use_put(struct gy_params *params, unsigned number, const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_cards; i++) {
		const struct gy_card *c = &a->cards[i];

		gy_array_int8(params, number, c->used);
		gy_array_int8(params, number, c->reserved);
		gy_array_int8(params, number, c->valid_until_us);
		gy_array_int8(params, number, c->lasts_us);
	}
}

void gy_counters_put(struct gy_params *params, unsigned number, const struct gy_account *a)
{
	for (unsigned i = 0; i < a->n_counters; i++) {
		const struct gy_counter *c = &a->counters[i];

		gy_array_int8(params, number, c->subscriber_id);
		gy_array_int8(params, number, c->kind);
		gy_array_int8(params, number, c->id);
		gy_array_int8(params, number, c->unit);
		gy_array_int8(params, number, c->day);
		gy_array_int8(params, number, c->month);
		gy_array_int8(params, number, c->units_day);
		gy_array_int8(params, number, c->micros_day);
		gy_array_int8(params, number, c->units_month);
		gy_array_int8(params, number, c->micros_month);
	}
}

void gy_charges_put(struct gy_params *params, unsigned number, const struct gy_record *record)
{
	for (unsigned i = 0; i < record->n_charges; i++) {
		const struct gy_charge *c = &record->charges[i];

		gy_array_int8(params, number, c->rating_group);
		gy_array_int8(params, number, c->service_key);
		gy_array_int8(params, number,
			      pack_shape(GY_RC_COUNT, c->rc, c->unit, c->final_unit,
					 c->quota_holding_s, c->directions));
		gy_array_int8(params, number, c->used);
		gy_array_int8(params, number, c->debit);
		gy_array_int8(params, number, c->granted);
		gy_array_int8(params, number, c->reserved);
		gy_array_int8(params, number, c->rate.price_micros);
		gy_array_int8(params, number, c->rate.block);
		gy_array_int8(params, number, c->carry);
		gy_array_int8(params, number, c->rule_id);
		gy_array_int8(params, number, pack_times(c->validity_s, c->threshold));
		gy_array_int8(params, number, (int64_t)c->pool << 32 | c->flags);
		gy_array_int8(params, number, c->debit_rate.price_micros);
		gy_array_int8(params, number, c->debit_rate.block);
		gy_array_int8(params, number, c->from);
		gy_array_int8(params, number, c->from_id);
		gy_array_int8(params, number, pack_times(c->switch_s, c->redirect_rule));
	}
}

bool gy_charge_is_part(const struct gy_matrix *charges, unsigned row)
{
	return (gy_matrix_at(charges, row, 12) & GY_CHARGE_PART) != 0;
}

int64_t gy_charge_debit(const struct gy_matrix *charges, unsigned row)
{
	return gy_matrix_at(charges, row, 4);
}

enum gy_from gy_charge_from(const struct gy_matrix *charges, unsigned row)
{
	return (enum gy_from)gy_matrix_at(charges, row, 15);
}

struct gy_kept_answer gy_charge_as_answer(const struct gy_matrix *charges, unsigned row)
{
	uint64_t times = (uint64_t)gy_matrix_at(charges, row, 11);
	uint64_t rare = (uint64_t)gy_matrix_at(charges, row, 17);
	unsigned flags = (unsigned)gy_matrix_at(charges, row, 12);
	struct gy_kept_answer answer = {
		.rating_group =
			flags & GY_CHARGE_NO_RATING_GROUP ? -1 : gy_matrix_at(charges, row, 0),
		.service_key = gy_matrix_at(charges, row, 1),
		.granted = gy_matrix_at(charges, row, 5),
		.validity_s = (uint32_t)(times >> 32),
		.threshold = (uint32_t)times,
		.switch_s = (uint32_t)(rare >> 32),
		.redirect_rule = (uint32_t)rare,
		.pool = gy_matrix_at(charges, row, 12) >> 32 & GY_POOL_MAX,
		.pool_rate = { gy_matrix_at(charges, row, 7), gy_matrix_at(charges, row, 8) },
	};

	unpack_shape(gy_matrix_at(charges, row, 2), &answer);
	if (answer.granted == 0)
		answer.unit = GY_UNIT_NONE;
	return answer;
}
