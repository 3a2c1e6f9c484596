/* One service from request to answer: which price, then usage.c and grant.c. See service.h. */
#include "core/charging/service.h"

#include "core/base/assert.h"
#include "core/charging/inputs.h"
#include "core/rating/price.h"

static bool asks(const struct gy_servicing *s)
{
	return s->service->requested && s->c->may_grant &&
	       !(s->service->reasons & 1U << GY_REASON_FINAL);
}

/* What the price of a unit follows, as of now. */
struct asked {
	struct gy_rating_input input;
	struct gy_counters counters;
	struct gy_free_used free[GY_FREE_USED_MAX];
};

static void ask(const struct gy_servicing *s, enum gy_unit unit, struct asked *a)
{
	const struct gy_charging *c = s->c;

	gy_counters_read(c->account, &c->counting, s->rating_group, unit, c->now, a->free,
			 &a->counters);
	a->input = (struct gy_rating_input){
		.tariff_id = c->profile->tariff_id,
		.rating_group = s->rating_group,
		.unit = unit,
		.now = c->now,
		.attributes = c->profile->attributes,
		.network = &c->network,
		.counters = &a->counters,
		.pushed = c->pushed,
	};
}

/* The results of one unit of counting, now and, as far as a grant could reach, next. */
static enum gy_rc rate_in(struct gy_servicing *s, enum gy_unit unit)
{
	struct asked a;

	s->has_next = false;
	ask(s, unit, &a);
	if (!asks(s) || s->policy == NULL)
		return gy_tariff_rate(s->c->catalogue, &a.input, &s->tariff, NULL);
	return gy_tariff_window(s->c->catalogue, &a.input,
				s->c->now + (int64_t)s->policy->validity_s * GY_SECOND_US,
				&s->tariff, &s->next, &s->has_next);
}

/* The first unit that has a price; counters are kept by unit, so it has to be known before them. */
static enum gy_rc rate_in_any(struct gy_servicing *s)
{
	enum gy_rc rc = gy_tariff_resolve(s->c->catalogue, s->c->profile->tariff_id,
					  s->rating_group, GY_UNIT_NONE, s->c->now, &s->tariff);

	return rc == GY_OK ? rate_in(s, s->tariff.unit) : rc;
}

/* An amount of money is its own price (RFC 8506 §8.22), where the tariff doesn't say that the
 * Rating-Group is free or forbidden. */
static enum gy_rc rate_money(struct gy_servicing *s)
{
	if (rate_in_any(s) == GY_OK && s->tariff.kind != GY_RULE_PRICED)
		return GY_OK;
	if (s->service->requested_count[GY_UNIT_MONEY] == 0)
		return GY_RATING_FAILED;
	s->has_next = false;
	s->tariff = (struct gy_tariff_result){ .kind = GY_RULE_PRICED,
					       .unit = GY_UNIT_MONEY,
					       .rate = { 1, 1 },
					       .valid_until_us = INT64_MAX };
	return GY_OK;
}

/* The price in force. A session keeps its kind of unit where it can (G-46); otherwise the request
 * chooses, or, if it leaves that to us (G-39), the tariff. */
static enum gy_rc find_price(struct gy_servicing *s)
{
	const struct gy_service *service = s->service;

	if (!service->requested || !gy_service_names_units(service)) {
		if (s->row != NULL && rate_in(s, s->row->unit) == GY_OK)
			return GY_OK;
		return rate_in_any(s);
	}
	if (s->row != NULL && service->requested_present[s->row->unit] &&
	    rate_in(s, s->row->unit) == GY_OK)
		return GY_OK;
	for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_COUNT; unit++)
		if (service->requested_present[unit] && rate_in(s, (enum gy_unit)unit) == GY_OK)
			return GY_OK;
	return GY_RATING_FAILED;
}

/* The unit that cards should give: as the request names it, or of the grant before, or of the
 * usage.
 */
static enum gy_unit wanted_of_cards(const struct gy_servicing *s)
{
	const struct gy_service *service = s->service;
	bool named = gy_service_names_units(service);

	if (s->row != NULL && (!named || service->requested_present[s->row->unit]))
		return s->row->unit;
	for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_MONEY; unit++)
		if (named ? service->requested_present[unit]
			  : service->n_used > 0 && service->used[0].present[unit])
			return (enum gy_unit)unit;
	return GY_UNIT_NONE;
}

/* A Rating-Group without a price is charged from cards, if the subscriber has one that serves it.
 */
static enum gy_rc resolve_cards(struct gy_servicing *s)
{
	enum gy_unit unit = gy_card_unit(s->c, s->service, s->rating_group, wanted_of_cards(s));

	if (s->policy == NULL || unit == GY_UNIT_NONE ||
	    (gy_service_names_units(s->service) && !s->service->requested_present[unit]))
		return GY_RATING_FAILED;
	s->cards_only = true;
	s->has_next = false;
	s->tariff = (struct gy_tariff_result){
		.kind = GY_RULE_PRICED, .unit = unit, .rate = { 0, 1 }, .valid_until_us = INT64_MAX
	};
	return GY_OK;
}

/* What the price that was found rests on, for `gyroctl explain`: in place of what an earlier price
 * of this request did. */
static void note_inputs(const struct gy_servicing *s)
{
	const struct gy_dynamic *dynamic = s->c->catalogue->dynamic;
	struct gy_inputs *inputs = s->c->inputs;
	unsigned service = (unsigned)(s->service - s->c->ccr->services);
	struct gy_acquired acquired;
	struct asked a;

	if (inputs == NULL || inputs->room == 0)
		return;
	inputs->len = s->inputs_from;
	if (s->tariff_rc != GY_OK || dynamic == NULL)
		return;
	if (s->has_next && s->next.kind == GY_RULE_PRICED)
		gy_inputs_next(inputs, service, &s->next);
	if (!s->tariff.dynamic)
		return;
	ask(s, s->tariff.unit, &a);
	if (gy_tariff_acquire(dynamic, &a.input, &acquired) == GY_OK)
		gy_inputs_note(inputs, service, &acquired, &a.counters);
}

static void resolve(struct gy_servicing *s)
{
	s->cards_only = false;
	s->tariff_rc = find_price(s);
	if (s->tariff_rc == GY_RATING_FAILED)
		s->tariff_rc = resolve_cards(s);
	if (s->tariff_rc == GY_RATING_FAILED && s->service->requested_present[GY_UNIT_MONEY])
		s->tariff_rc = rate_money(s);
	note_inputs(s);
}

/* The row that will hold the next grant, and holds the remainder meanwhile. NULL: no room. */
static struct gy_reservation *row_make(struct gy_servicing *s)
{
	struct gy_account *a = s->c->account;
	unsigned of_session = 0;

	for (unsigned i = 0; i < a->n_reservations; i++)
		of_session += a->reservations[i].session == (unsigned)s->c->session;
	if (of_session >= GY_SESSION_RESERVATIONS_MAX)
		return NULL;
	gy_assert(a->n_reservations < a->reservations_room);
	s->row = &a->reservations[a->n_reservations++];
	*s->row = (struct gy_reservation){
		.session = (unsigned)s->c->session,
		.rating_group = s->rating_group,
		.service_key = s->service->service_key,
		.unit = s->charges[0].unit,
		.rate = s->carry_rate,
		.carry = s->carry,
	};
	/* The usage may have moved a counter, and with it the price: the remainder is of before. */
	gy_row_reprice(s->row, s->tariff.unit, s->tariff.rate, s->tariff.rule_id);
	return s->row;
}

/* A session that has ended remembers no new remainders. */
static bool is_open(const struct gy_charging *c)
{
	return c->session >= 0 && c->account->sessions[c->session].state == GY_SESSION_OPEN;
}

/* After the final units: the usage is paid, and the gateway asks again at this Validity-Time's end,
 * whatever there is for it by then (G-63). */
static bool awaits_topup(const struct gy_servicing *s)
{
	return s->c->ccr->type == GY_UPDATE && !s->service->requested && s->row != NULL &&
	       s->row->final && s->policy != NULL;
}

enum gy_rc gy_servicing_rc(const struct gy_servicing *s)
{
	if (s->tariff_rc != GY_OK || s->policy == NULL)
		return GY_RATING_FAILED;
	switch (s->tariff.kind) {
	case GY_RULE_FREE:
		return s->c->free_answer == GY_FREE_BY_GRANT ? GY_OK
							     : GY_CREDIT_CONTROL_NOT_APPLICABLE;
	case GY_RULE_FORBIDDEN:
		return GY_END_USER_SERVICE_DENIED;
	case GY_RULE_PRICED:
		break;
	}
	return GY_OK;
}

static void charge_and_grant(struct gy_servicing *s)
{
	struct gy_service_answer *answer = s->answer;
	bool paid_by_row = s->row != NULL;

	gy_usage_charge(s);
	/* The usage has moved counters, and the old grant has given back its free units: what
	 * follows is priced after that. */
	if (asks(s) && s->tariff_rc == GY_OK && s->c->counting.dynamic != NULL &&
	    s->c->counting.dynamic->counts && (paid_by_row || s->service->n_used > 0))
		resolve(s);
	answer->rc = gy_servicing_rc(s);
	if (paid_by_row && !asks(s))
		answer->rc = GY_OK; /* the grant's own price was enough to settle it */
	if (!is_open(s->c) || answer->rc != GY_OK)
		return;
	if (s->row == NULL && row_make(s) == NULL) {
		answer->rc = GY_END_USER_SERVICE_DENIED;
		return;
	}
	if (!asks(s)) {
		if (awaits_topup(s))
			answer->validity_s = s->row->validity_s = gy_validity(s, INT64_MAX);
	} else if (s->c->denied != GY_OK) {
		answer->rc = s->c->denied;
	} else {
		gy_grant(s);
	}
}

/* A row has one unit, of what was used and of what is granted: where they differ, the usage goes
 * into a row of its own. */
static void part_usage(struct gy_servicing *s)
{
	struct gy_charge *own = &s->charges[0], *usage;

	if (s->answer->unit == GY_UNIT_NONE || s->answer->unit == own->unit || own->used == 0)
		return;
	usage = gy_usage_next_part(s);
	usage->unit = own->unit;
	usage->used = own->used;
	usage->debit = own->debit;
	usage->debit_rate = own->debit_rate;
	usage->from = own->from;
	usage->from_id = own->from_id;
	usage->flags |= own->flags & (GY_CHARGE_OVERRUN | GY_CHARGE_UNRATED);
	own->used = own->debit = own->from_id = 0;
	own->debit_rate = (struct gy_rate){ 0 };
	own->from = 0;
	own->flags &= (unsigned)~(GY_CHARGE_OVERRUN | GY_CHARGE_UNRATED);
}

/* What the record says beside the usage. */
static void fill_charge(struct gy_servicing *s)
{
	struct gy_charge *charge = &s->charges[0];
	const struct gy_service_answer *answer = s->answer;

	part_usage(s);
	charge->rc = answer->rc;
	charge->final_unit = answer->final_unit;
	charge->quota_holding_s = answer->quota_holding_s;
	charge->validity_s = answer->validity_s;
	charge->threshold = answer->threshold;
	charge->switch_s = answer->switch_s;
	charge->redirect_rule = answer->redirect_rule;
	if (s->row == NULL)
		return;
	if (answer->unit != GY_UNIT_NONE)
		charge->unit = answer->unit;
	charge->granted = s->row->granted;
	charge->reserved = s->row->reserved;
	charge->rate = s->row->rate;
	charge->carry = s->row->carry;
	charge->rule_id = s->row->rule_id;
	charge->pool = answer->pool;
	charge->directions = answer->directions;
}

void gy_servicing_begin(struct gy_servicing *s, const struct gy_charging *c,
			const struct gy_service *service, struct gy_service_answer *answer,
			struct gy_charge *charges, unsigned parts)
{
	int64_t group =
		service->has_rating_group ? (int64_t)service->rating_group : c->default_group;

	*s = (struct gy_servicing){
		.c = c,
		.service = service,
		.rating_group = group >= 0 ? (uint32_t)group : 0,
		.tariff_rc = GY_RATING_FAILED,
		.answer = answer,
		.carry_rate.block = 1,
		.charges = charges,
		.n_charges = 1,
		.parts = parts,
		.inputs_from = c->inputs != NULL ? c->inputs->len : 0,
	};
	*answer = (struct gy_service_answer){
		.has_rating_group = service->has_rating_group,
		.rating_group = service->rating_group,
		.n_service_ids = service->n_service_ids,
		.service_ids = service->service_ids,
		.final_unit = GY_FINAL_NONE,
	};
	charges[0] = (struct gy_charge){
		.rating_group = s->rating_group,
		.service_key = service->service_key,
		.final_unit = GY_FINAL_NONE,
		.flags = service->has_rating_group ? 0 : GY_CHARGE_NO_RATING_GROUP,
		.rate.block = 1,
	};
	if (group >= 0) {
		s->policy = gy_policy_find(c->catalogue, s->rating_group);
		if (c->session >= 0)
			s->row = gy_reservation_find(c->account, (unsigned)c->session,
						     s->rating_group, service->service_key);
		resolve(s);
	}
	answer->policy = s->policy;
}

void gy_service_charge(const struct gy_charging *c, const struct gy_service *service,
		       struct gy_service_answer *answer, struct gy_charge *charges, unsigned parts,
		       unsigned *n_charges)
{
	struct gy_servicing s;

	gy_servicing_begin(&s, c, service, answer, charges, parts);
	charge_and_grant(&s);
	fill_charge(&s);
	*n_charges = s.n_charges;
}

void gy_service_explain(const struct gy_charging *c, const struct gy_service *service,
			struct gy_trace *trace)
{
	struct gy_service_answer answer;
	struct gy_charge charge;
	struct gy_tariff_result result;
	struct gy_servicing s;
	struct asked a;

	gy_servicing_begin(&s, c, service, &answer, &charge, 1);
	if (s.tariff_rc != GY_OK || s.cards_only)
		return;
	ask(&s, s.tariff.unit, &a);
	(void)!gy_tariff_rate(c->catalogue, &a.input, &result, trace);
}
