/* The store in memory: see world.h. Runs out of memory by aborting: it is a test. */
#include "tests/lib/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *resized(void *memory, size_t n, size_t size)
{
	void *bigger = realloc(memory, (n > 0 ? n : 1) * size);

	if (!bigger)
		abort();
	return bigger;
}

void gy_world_init(struct gy_world *world, const struct gy_catalogue *catalogue,
		   const struct gy_account *accounts, unsigned n_accounts, gy_time_us now)
{
	*world = (struct gy_world){ .catalogue = catalogue,
				    .now = now,
				    .late_window_us = 86400 * GY_SECOND_US };
	world->accounts = resized(NULL, n_accounts, sizeof(*world->accounts));
	world->n_accounts = n_accounts;
	world->homes = resized(NULL, n_accounts, sizeof(*world->homes));
	for (unsigned i = 0; i < n_accounts; i++) {
		struct gy_account *a = &world->accounts[i].account;

		world->accounts[i] = (struct gy_world_account){ .account = accounts[i],
								.paid = accounts[i].balance };
		a->cards = resized(NULL, a->n_cards, sizeof(*a->cards));
		if (a->n_cards > 0)
			memcpy(a->cards, accounts[i].cards, a->n_cards * sizeof(*a->cards));
		world->homes[i] = a;
	}
}

void gy_world_free(struct gy_world *world)
{
	for (unsigned i = 0; i < world->n_accounts; i++) {
		free(world->accounts[i].account.sessions);
		free(world->accounts[i].account.reservations);
		free(world->accounts[i].account.answers);
		free(world->accounts[i].account.slices);
		free(world->accounts[i].account.counters);
		free(world->accounts[i].account.cards);
		free(world->accounts[i].account.draws);
	}
	for (unsigned i = 0; i < world->n_records; i++)
		free(world->records[i].charges);
	free(world->accounts);
	free(world->homes);
	free(world->index);
	free(world->records);
	free(world->rows);
	free(world->plan.services);
	free(world->plan.charges);
	*world = (struct gy_world){ 0 };
}

/* The store gives exactly the promised room, so that a core that takes more is caught. */
static void make_room(struct gy_world *world, struct gy_account *a, const struct gy_ccr *ccr,
		      const struct gy_profile *profile)
{
	struct gy_room room = gy_account_room(ccr, a, profile);

	a->sessions_room = a->n_sessions + room.sessions;
	a->reservations_room = a->n_reservations + room.reservations;
	a->answers_room = a->n_answers + room.answers;
	a->slices_room = a->n_slices + room.slices;
	a->counters_room = a->n_counters + room.counters;
	a->sessions = resized(a->sessions, a->sessions_room, sizeof(*a->sessions));
	a->reservations = resized(a->reservations, a->reservations_room, sizeof(*a->reservations));
	a->answers = resized(a->answers, a->answers_room, sizeof(*a->answers));
	a->slices = resized(a->slices, a->slices_room, sizeof(*a->slices));
	a->counters = resized(a->counters, a->counters_room, sizeof(*a->counters));
	for (unsigned i = 0; i < world->n_accounts; i++) {
		struct gy_account *home = world->homes[i];

		home->draws_room = home->n_draws + room.draws;
		home->draws = resized(home->draws, home->draws_room, sizeof(*home->draws));
	}
}

static void make_plan(struct gy_world *world, unsigned room, unsigned parts)
{
	struct gy_plan *plan = &world->plan;
	struct gy_service_answer *services = plan->services;
	struct gy_charge *charges = plan->charges;

	*plan = (struct gy_plan){ .room = room, .parts = parts };
	plan->services = resized(services, room, sizeof(*services));
	plan->charges = resized(charges, (size_t)room * parts, sizeof(*charges));
}

static struct gy_world_index *find_index(struct gy_world *world, struct gy_session_key key)
{
	for (unsigned i = 0; i < world->n_index; i++)
		if (world->index[i].key.hi == key.hi && world->index[i].key.lo == key.lo)
			return &world->index[i];
	return NULL;
}

static bool of_session(const struct gy_record *record, const struct gy_world_index *entry)
{
	return record->session.hi == entry->key.hi && record->session.lo == entry->key.lo &&
	       record->opened_us == entry->opened_us;
}

static void load_rows(struct gy_world *world, const struct gy_world_record *found,
		      struct gy_history *history)
{
	history->found = true;
	history->content_hash = found->record.content_hash;
	history->end_to_end = found->record.end_to_end;
	history->rc = found->record.rc;
	history->n_rows = 0;
	world->rows = resized(world->rows, found->record.n_charges, sizeof(*world->rows));
	for (unsigned i = 0; i < found->record.n_charges; i++) {
		const struct gy_charge *c = &found->charges[i];

		if (c->flags & GY_CHARGE_PART)
			continue;
		world->rows[history->n_rows++] = (struct gy_kept_answer){
			.type = (enum gy_request_type)found->record.type,
			.number = found->record.number,
			.content_hash = found->record.content_hash,
			.rc = found->record.rc,
			.service_rc = c->rc,
			.unit = c->granted > 0 ? c->unit : GY_UNIT_NONE,
			.final_unit = c->final_unit,
			.quota_holding_s = c->quota_holding_s,
			.rating_group = c->flags & GY_CHARGE_NO_RATING_GROUP
						? -1
						: (int64_t)c->rating_group,
			.service_key = c->service_key,
			.granted = c->granted,
			.validity_s = c->validity_s,
			.threshold = c->threshold,
			.switch_s = c->switch_s,
			.redirect_rule = c->redirect_rule,
			.pool = c->pool,
			.pool_rate = c->rate,
			.directions = c->directions,
		};
	}
	history->rows = world->rows;
}

static void load_debit(const struct gy_world_record *found, const struct gy_ccr *ccr,
		       struct gy_history *history)
{
	unsigned service = 0;

	for (unsigned i = 0; i < found->record.n_charges; i++) {
		const struct gy_charge *c = &found->charges[i];

		if (!(c->flags & GY_CHARGE_PART) && service++ == ccr->refund.place &&
		    c->rc == GY_OK) {
			history->debit_found = true;
			history->debit_unit = c->granted > 0 ? c->unit : GY_UNIT_NONE;
			history->debit_units = c->granted;
		}
		if (service == ccr->refund.place + 1)
			history->debit_micros += c->debit;
		if (service == ccr->refund.place + 1 && c->from == GY_FROM_CARD)
			history->debit_took_cards = true;
	}
}

void gy_world_history(struct gy_world *world, const struct gy_ccr *ccr, struct gy_history *history)
{
	const struct gy_world_index *entry = find_index(world, ccr->session);

	*history = (struct gy_history){ 0 };
	if (!entry)
		return;
	history->known = true;
	history->account_id = world->accounts[entry->account].account.account_id;
	history->subscriber_id = entry->subscriber_id;
	history->gateway_id = entry->gateway_id;
	history->opened_us = entry->opened_us;
	for (unsigned i = 0; i < world->n_records; i++) {
		const struct gy_record *r = &world->records[i].record;

		if (!of_session(r, entry))
			continue;
		if ((r->type == GY_TERMINATION || r->type == 0) && !(r->flags & GY_CHARGE_LATE)) {
			history->ended = true;
			history->ended_us = r->at_us;
		}
		if (r->type == (int)ccr->type && r->number == ccr->number)
			load_rows(world, &world->records[i], history);
		if (ccr->refund.bound && r->type == (int)ccr->type &&
		    r->number == ccr->refund.number)
			load_debit(&world->records[i], ccr, history);
	}
}

void gy_world_add_record(struct gy_world *world, int account, const struct gy_record *record)
{
	struct gy_world_record *r;

	if (world->n_records == world->records_room) {
		world->records_room = world->records_room > 0 ? 2 * world->records_room : 64;
		world->records =
			resized(world->records, world->records_room, sizeof(*world->records));
	}
	r = &world->records[world->n_records++];
	r->account = account;
	r->record = *record;
	r->charges = resized(NULL, r->record.n_charges, sizeof(*r->charges));
	if (r->record.n_charges > 0)
		memcpy(r->charges, record->charges, r->record.n_charges * sizeof(*r->charges));
	r->record.charges = r->charges;
}

/* A reused Session-Id takes the index row over, as the store's upsert does. */
static void add_index(struct gy_world *world, const struct gy_ccr *ccr, int account,
		      const struct gy_profile *profile)
{
	struct gy_world_index *entry = find_index(world, ccr->session);

	if (!entry) {
		if (world->n_index == world->index_room) {
			world->index_room = world->index_room > 0 ? 2 * world->index_room : 64;
			world->index =
				resized(world->index, world->index_room, sizeof(*world->index));
		}
		entry = &world->index[world->n_index++];
	}
	*entry = (struct gy_world_index){
		.key = ccr->session,
		.account = account,
		.subscriber_id = profile->subscriber_id,
		.gateway_id = ccr->gateway_id,
		.opened_us = world->plan.record.opened_us,
		.check_at_us = world->plan.check_at_us,
	};
}

static void look_sooner(struct gy_world_index *entry, gy_time_us at_us)
{
	if (entry != NULL && entry->check_at_us > at_us)
		entry->check_at_us = at_us;
}

const struct gy_answer *gy_world_request(struct gy_world *world, const struct gy_ccr *ccr,
					 int account, const struct gy_profile *profile)
{
	struct gy_account *a = &world->accounts[account].account;
	struct gy_history history;
	struct gy_view view = {
		.account = a,
		.homes = { world->n_accounts, world->homes },
		.profile = profile,
		.session_indexed = find_index(world, ccr->session) != NULL,
		.session_elsewhere = find_index(world, ccr->session) != NULL &&
				     find_index(world, ccr->session)->account != account,
		.late_window_us = world->late_window_us,
		.supervision = world->supervision,
	};
	enum gy_rc rc;

	make_room(world, a, ccr, profile);
	make_plan(world, gy_plan_room(ccr, a, NULL), gy_plan_parts(a, profile));
	rc = gy_charge_decide(ccr, &view, world->catalogue, world->now, &world->plan);
	if (rc == GY_NEED_HISTORY) {
		world->n_histories++;
		gy_world_history(world, ccr, &history);
		view.history = &history;
		make_plan(world, gy_plan_room(ccr, a, &history), gy_plan_parts(a, profile));
		rc = gy_charge_decide(ccr, &view, world->catalogue, world->now, &world->plan);
	}
	if (rc != GY_OK) {
		fprintf(stderr, "gy_charge_decide: %s\n", gy_rc_name(rc));
		abort();
	}
	if (world->plan.changed) {
		gy_plan_check(a, &world->plan);
		for (unsigned i = 0; i < world->n_accounts; i++)
			gy_account_check(world->homes[i]);
		gy_world_add_record(world, account, &world->plan.record);
		if (world->plan.opened)
			add_index(world, ccr, account, profile);
		else if (world->plan.check_at_us != 0)
			look_sooner(find_index(world, ccr->session), world->plan.check_at_us);
	}
	world->n_unmatched += world->plan.unmatched;
	return &world->plan.answer;
}

unsigned gy_world_sweep(struct gy_world *world)
{
	unsigned ended = 0;

	for (unsigned i = 0; i < world->n_index; i++) {
		struct gy_world_index *entry = &world->index[i];
		struct gy_account *a = &world->accounts[entry->account].account;

		struct gy_homes homes = { world->n_accounts, world->homes };

		if (entry->check_at_us == 0 || entry->check_at_us > world->now)
			continue;
		make_plan(world, a->n_reservations + 1, 1);
		gy_charge_end(a, entry->key, &homes, GY_SESSION_EXPIRED, world->now,
			      world->late_window_us, &world->plan);
		entry->check_at_us = world->plan.check_at_us;
		if (!world->plan.changed)
			continue;
		gy_world_add_record(world, entry->account, &world->plan.record);
		ended++;
	}
	return ended;
}

void gy_world_topup(struct gy_world *world, int account, int64_t micros)
{
	world->accounts[account].account.balance += micros;
	world->accounts[account].paid += micros;
}

/* ---- the audit ---- */

/* What the slices of a reservation hold: the dearer phase. -1: it has none; -2: units don't add up.
 */
static int64_t sliced(const struct gy_account *a, unsigned reservation)
{
	int64_t units[2] = { 0, 0 }, held[2] = { 0, 0 };
	bool any = false;

	for (unsigned i = 0; i < a->n_slices; i++) {
		const struct gy_slice *s = &a->slices[i];

		if (s->reservation != reservation)
			continue;
		any = true;
		units[s->phase] += s->units;
		held[s->phase] += s->held;
	}
	if (!any)
		return -1;
	if (units[0] != a->reservations[reservation].granted ||
	    (a->reservations[reservation].switch_us != 0 && units[1] != units[0]))
		return -2;
	return held[0] > held[1] ? held[0] : held[1];
}

static const char *audit_reservations(const struct gy_account *a)
{
	int64_t held = 0;

	for (unsigned i = 0; i < a->n_cards; i++)
		held += a->cards[i].held;
	for (unsigned i = 0; i < a->n_reservations; i++) {
		const struct gy_reservation *r = &a->reservations[i];
		__int128 due = (__int128)r->granted * r->rate.price_micros + r->carry;

		if (r->session >= a->n_sessions)
			return "a reservation without session";
		if (r->granted < 0 || r->reserved < 0 || r->carry < 0)
			return "a negative reservation";
		if (r->granted > 0 && (r->rate.block <= 0 || r->carry >= r->rate.block))
			return "a reservation with an impossible rate";
		if (sliced(a, i) == -2)
			return "I4: a grant's slices are not its units";
		if (sliced(a, i) >= 0) {
			if (r->reserved != sliced(a, i))
				return "I4: a reservation does not hold what its slices do";
		} else if (r->reserved !=
			   (r->granted > 0 ? (int64_t)((due + r->rate.block - 1) / r->rate.block)
					   : 0))
			return "I4: a reservation does not hold the price of its grant";
		if (r->reserved > 0 && a->sessions[r->session].state != GY_SESSION_OPEN)
			return "I6: an ended session holds money";
		held += r->reserved;
	}
	return held == a->reserved ? NULL : "I3: reserved is not the sum of the reservations";
}

static bool same_decision(const struct gy_record *a, const struct gy_record *b)
{
	return a->session.hi == b->session.hi && a->session.lo == b->session.lo &&
	       a->opened_us == b->opened_us && a->type == b->type && a->number == b->number;
}

/* I2: a card's used and reserved units are the records' and the slices'. */
static const char *audit_card(const struct gy_world *world, const struct gy_card *card)
{
	int64_t used = 0, held = 0;

	for (unsigned i = 0; i < world->n_records; i++)
		for (unsigned k = 0; k < world->records[i].record.n_charges; k++)
			if (world->records[i].charges[k].from == GY_FROM_CARD &&
			    world->records[i].charges[k].from_id == card->card_id)
				used += world->records[i].charges[k].used;
	for (unsigned n = 0; n < world->n_accounts; n++) {
		const struct gy_account *a = world->homes[n];

		for (unsigned r = 0; r < a->n_reservations; r++) {
			int64_t units[2] = { 0, 0 };

			for (unsigned i = 0; i < a->n_slices; i++)
				if (a->slices[i].reservation == r &&
				    a->slices[i].from == GY_FROM_CARD &&
				    a->slices[i].from_id == card->card_id)
					units[a->slices[i].phase] += a->slices[i].units;
			held += units[0] > units[1] ? units[0] : units[1];
		}
	}
	if (used != card->used)
		return "I2: a card's usage is not the records'";
	if (held != card->reserved)
		return "I2: a card's reserved units are not the slices'";
	return used + held <= card->quota ? NULL : "I2: more than the quota";
}

/* I2: what a user drew of a card with a cap is what the records say, wherever his row is. */
static bool users_draws_add_up(const struct gy_world *world, const struct gy_account *account)
{
	for (unsigned d = 0; d < account->n_draws; d++) {
		const struct gy_draw *draw = &account->draws[d];
		int64_t used = 0;

		for (unsigned i = 0; draw->subscriber_id != 0 && i < world->n_records; i++)
			for (unsigned k = 0; k < world->records[i].record.n_charges; k++)
				if (world->records[i].record.subscriber_id == draw->subscriber_id &&
				    world->records[i].charges[k].from == GY_FROM_CARD &&
				    world->records[i].charges[k].from_id == draw->card_id)
					used += world->records[i].charges[k].used;
		if (draw->subscriber_id != 0 && used != draw->used)
			return false;
	}
	return true;
}

const char *gy_world_audit(const struct gy_world *world)
{
	for (unsigned n = 0; n < world->n_accounts; n++) {
		const struct gy_account *a = &world->accounts[n].account;

		for (unsigned i = 0; i < a->n_cards; i++)
			if (audit_card(world, &a->cards[i]) != NULL)
				return audit_card(world, &a->cards[i]);
		if (!users_draws_add_up(world, a))
			return "I2: what a user drew under a cap is not the records'";
		const char *wrong = audit_reservations(a);
		int64_t debited = 0;

		if (wrong)
			return wrong;
		for (unsigned i = 0; i < world->n_records; i++)
			if (world->records[i].account == (int)n)
				debited += world->records[i].record.debit;
		if (a->balance != world->accounts[n].paid - debited)
			return "I1: the balance is not what was paid less what was debited";
	}
	for (unsigned i = 0; i < world->n_records; i++) {
		const struct gy_record *r = &world->records[i].record;
		int64_t sum = 0;

		for (unsigned k = 0; k < r->n_charges; k++)
			sum += r->charges[k].debit;
		if (sum != r->debit)
			return "I1: a record's debit is not the sum of its services'";
		/* Only recent ones: the whole square would take too long in the fuzz test. */
		for (unsigned k = i > 512 ? i - 512 : 0; k < i && r->type != 0; k++)
			if (same_decision(r, &world->records[k].record))
				return "I6: one request was decided twice";
	}
	return NULL;
}

/* ---- the content hash ---- */

static uint64_t hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	return h;
}

#define HASH(h, value) hash((h), &(value), sizeof(value))

uint64_t gy_world_content_hash(const struct gy_ccr *ccr)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	h = HASH(h, ccr->type);
	h = HASH(h, ccr->number);
	h = HASH(h, ccr->multiple_services);
	h = HASH(h, ccr->termination_cause);
	h = hash(h, ccr->service_context.data, ccr->service_context.len);
	for (unsigned i = 0; i < ccr->n_services; i++) {
		const struct gy_service *s = &ccr->services[i];

		h = HASH(h, s->has_rating_group);
		h = HASH(h, s->rating_group);
		h = hash(h, s->service_ids, s->n_service_ids * sizeof(*s->service_ids));
		h = HASH(h, s->requested);
		h = HASH(h, s->requested_present);
		h = HASH(h, s->requested_count);
		h = HASH(h, s->requested_directions);
		h = HASH(h, s->requested_input);
		for (unsigned k = 0; k < s->n_used; k++) {
			h = HASH(h, s->used[k].present);
			h = HASH(h, s->used[k].count);
			h = HASH(h, s->used[k].tariff_change);
		}
		h = HASH(h, s->reasons);
	}
	return h;
}

static uint64_t mix(uint64_t h, uint64_t value)
{
	return (h ^ value) * UINT64_C(0x100000001b3);
}

uint64_t gy_world_answer_digest(const struct gy_answer *a)
{
	uint64_t h = mix(1, gy_rc_result_code(a->rc));

	for (unsigned i = 0; a->rc == GY_OK && i < a->n_services; i++) {
		const struct gy_service_answer *s = &a->services[i];

		h = mix(mix(mix(h, gy_rc_result_code(s->rc)), s->rating_group), s->n_service_ids);
		h = mix(mix(mix(h, (uint64_t)s->unit), (uint64_t)s->granted), s->validity_s);
		h = mix(mix(mix(h, s->threshold), s->quota_holding_s), (uint64_t)s->final_unit);
		h = mix(mix(mix(h, s->directions), (uint64_t)s->input), s->switch_s);
		h = mix(h, s->pool);
	}
	return h;
}
