/* Usage: drained from the sources of the grant it was used under, in the order of its slices, and
 * paid at their prices; what goes beyond is paid too (G-37). See service.h. */
#include "core/base/assert.h"
#include "core/charging/service.h"
#include "core/rating/price.h"

/* No balance falls below this, whatever a gateway claims was used: the sums of the ledger stay far
 * from the edge of 64 bits. The usage itself is recorded in full. */
#define BALANCE_MIN (-4 * GY_AMOUNT_MAX)

/* Usage before and after the Tariff-Time-Change of the grant (G-71). */
struct phases {
	int64_t units[2];
};

static int64_t sum(int64_t a, int64_t b)
{
	return b > GY_AMOUNT_MAX - a ? GY_AMOUNT_MAX : a + b;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static struct phases units_used(const struct gy_servicing *s, enum gy_unit unit)
{
	bool split = s->row != NULL && s->row->switch_us != 0;
	struct phases used = { { 0, 0 } };

	for (unsigned i = 0; i < s->service->n_used; i++) {
		const struct gy_used *report = &s->service->used[i];
		unsigned phase = split && report->tariff_change == GY_TCU_AFTER;

		used.units[phase] = sum(used.units[phase], report->count[unit]);
	}
	return used;
}

static bool reports(const struct gy_service *service, enum gy_unit unit)
{
	for (unsigned i = 0; i < service->n_used; i++)
		if (service->used[i].present[unit])
			return true;
	return false;
}

/* The unit of a report that has no price: money, which needs none, or the first that it holds. */
static enum gy_unit unit_reported(const struct gy_service *service)
{
	if (reports(service, GY_UNIT_MONEY))
		return GY_UNIT_MONEY;
	for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_MONEY; unit++)
		if (reports(service, (enum gy_unit)unit))
			return (enum gy_unit)unit;
	return GY_UNIT_NONE;
}

struct gy_charge *gy_usage_next_part(struct gy_servicing *s)
{
	struct gy_charge *own = &s->charges[0];

	gy_assert(s->n_charges < s->parts);
	s->charges[s->n_charges] = (struct gy_charge){
		.rating_group = own->rating_group,
		.service_key = own->service_key,
		.rc = GY_OK,
		.unit = own->unit,
		.final_unit = GY_FINAL_NONE,
		.rate.block = 1,
		.flags = GY_CHARGE_PART,
	};
	return &s->charges[s->n_charges++];
}

/* A row of the record for the next part of the usage; the first is the service's own. */
static struct gy_charge *part(struct gy_servicing *s)
{
	return s->charges[0].from == 0 ? &s->charges[0] : gy_usage_next_part(s);
}

static gy_time_us phase_time(const struct gy_servicing *s, unsigned phase)
{
	if (phase == 0 && s->row != NULL && s->row->switch_us != 0 &&
	    s->c->now >= s->row->switch_us)
		return s->row->switch_us - 1;
	return s->c->now;
}

/* Takes units from the purse at this rate, all of it. */
static void drain_money(struct gy_servicing *s, struct gy_rate rate, int64_t rule_id, int64_t units,
			unsigned phase)
{
	struct gy_account *account = s->c->account;
	int64_t most = account->balance - BALANCE_MIN, micros = 0;
	int64_t *carry = s->row != NULL ? &s->row->carry : &s->carry;
	struct gy_charge *charge = part(s);

	if (s->row != NULL)
		gy_row_reprice(s->row, s->row->unit, rate, s->row->rule_id);
	else
		s->carry_rate = rate;
	if (!gy_price_debit(rate, units, carry, &micros))
		micros = GY_AMOUNT_MAX;
	if (micros > most)
		micros = most;
	account->balance -= micros;
	charge->used = units;
	charge->debit = micros;
	charge->debit_rate = rate;
	charge->from = GY_FROM_MONEY;
	charge->from_id = rule_id;
	if (rule_id == 0 && charge->unit != GY_UNIT_MONEY) /* beyond a grant of cards only */
		charge->flags |= GY_CHARGE_UNRATED;
	if (micros > 0 && account->balance + account->credit_limit < 0)
		charge->flags |= GY_CHARGE_OVERRUN;
	gy_counters_add(account, &s->c->counting, s->rating_group, s->charges[0].unit, units,
			micros, 0, phase_time(s, phase));
}

static void drain_free(struct gy_servicing *s, int64_t rule_id, int64_t units, unsigned phase)
{
	struct gy_charge *charge = part(s);

	charge->used = units;
	charge->from = GY_FROM_FREE;
	charge->from_id = rule_id;
	gy_counters_add(s->c->account, &s->c->counting, s->rating_group, s->charges[0].unit, units,
			0, rule_id, phase_time(s, phase));
}

/* Free units of one rule and day, granted for both phases, are there once. */
static int64_t free_left(const struct gy_servicing *s, const struct gy_slice *slice)
{
	int64_t left = slice->units;

	if (slice->phase == 0 ||
	    !gy_counters_same_day(&s->c->counting, phase_time(s, 0), s->c->now))
		return left;
	for (unsigned i = 0; i < s->n_charges; i++)
		if (s->charges[i].from == GY_FROM_FREE && s->charges[i].from_id == slice->from_id)
			left -= s->charges[i].used;
	return left > 0 ? left : 0;
}

static void drain_card(struct gy_servicing *s, struct gy_account *home, struct gy_card *card,
		       int64_t units, unsigned phase)
{
	struct gy_charge *charge = part(s);

	gy_card_draw(s->c, home, card, s->rating_group, units);
	charge->used = units;
	charge->from = GY_FROM_CARD;
	charge->from_id = card->card_id;
	gy_counters_add(s->c->account, &s->c->counting, s->rating_group, s->charges[0].unit, units,
			0, 0, phase_time(s, phase));
}

/* Units that both phases were granted of one card are there once. */
static int64_t card_left(const struct gy_servicing *s, const struct gy_slice *slice)
{
	const struct gy_account *a = s->c->account;
	int64_t left = slice->units;

	if (slice->phase == 0)
		return left;
	for (unsigned i = 0; i < a->n_slices; i++) /* what is held is the larger phase's */
		if (a->slices[i].reservation == slice->reservation && a->slices[i].phase == 0 &&
		    a->slices[i].from == GY_FROM_CARD && a->slices[i].from_id == slice->from_id &&
		    a->slices[i].units > left)
			left = a->slices[i].units;
	for (unsigned i = 0; i < s->n_charges; i++)
		if (s->charges[i].from == GY_FROM_CARD && s->charges[i].from_id == slice->from_id)
			left -= s->charges[i].used;
	return left < 0 ? 0 : left < slice->units ? left : slice->units;
}

/* The cards of today in their order, as far as nobody holds them. Returns what they don't cover. */
static int64_t drain_sources(struct gy_servicing *s, int64_t units, unsigned phase,
			     struct gy_card_source *sources, unsigned room)
{
	bool more;
	unsigned n = gy_card_sources(s->c, s->service, s->rating_group, s->charges[0].unit,
				     phase_time(s, phase), sources, room, &more);

	for (unsigned i = 0; i < n && units > 0; i++) {
		int64_t taken = least(units, sources[i].left);

		drain_card(s, sources[i].home, sources[i].card, taken, phase);
		units -= taken;
	}
	return units;
}

static int64_t drain_free_cards(struct gy_servicing *s, int64_t units, unsigned phase)
{
	struct gy_card_source sources[GY_CARDS_PER_GRANT];

	return drain_sources(s, units, phase, sources, GY_CARDS_PER_GRANT);
}

/* Was this the price of a Rating-Group that is free? A price of nothing, which cards are drained
 * before, doesn't say so by itself; a rule that is gone cost nothing either. */
static bool is_of_free_group(const struct gy_servicing *s, struct gy_rate rate, int64_t rule_id)
{
	const struct gy_catalogue *catalogue = s->c->catalogue;

	if (rate.price_micros != 0 || rule_id == 0 || s->c->profile->cards == NULL)
		return false;
	for (unsigned i = 0; i < catalogue->n_rules; i++)
		if (catalogue->rules[i].rule_id == rule_id)
			return catalogue->rules[i].kind == GY_RULE_FREE;
	return true;
}

/* Free units that no grant holds, if the usage is of now. */
static int64_t drain_free_units(struct gy_servicing *s, int64_t units, unsigned phase)
{
	int64_t taken = least(units, s->tariff.free_units);

	if (s->tariff_rc != GY_OK || s->tariff.kind != GY_RULE_PRICED || taken <= 0 ||
	    s->tariff.unit != s->charges[0].unit || phase_time(s, phase) != s->c->now)
		return units;
	drain_free(s, s->tariff.free_rule_id, taken, phase);
	return units - taken;
}

/* Beyond the grant (G-37): what cards have left, then free units. Returns what money must pay. */
static int64_t drain_beyond(struct gy_servicing *s, int64_t units, unsigned phase,
			    struct gy_rate rate, int64_t rule_id)
{
	if (units <= 0 || is_of_free_group(s, rate, rule_id))
		return units;
	return drain_free_units(s, drain_free_cards(s, units, phase), phase);
}

/* One phase of a grant with slices. What goes beyond them all is over-use: of cards and free units
 * that are left, then of money, at the price of the phase. */
static void drain_slices(struct gy_servicing *s, unsigned phase, int64_t units)
{
	const struct gy_account *a = s->c->account;
	unsigned row = (unsigned)(s->row - a->reservations);
	struct gy_rate rate = s->row->rate;
	int64_t rule_id = s->row->rule_id, money = 0;

	for (unsigned i = 0; i < a->n_slices; i++) {
		const struct gy_slice *slice = &a->slices[i];
		int64_t taken = slice->units;

		if (slice->reservation != row || slice->phase != phase)
			continue;
		if (slice->from == GY_FROM_FREE)
			taken = free_left(s, slice);
		else if (slice->from == GY_FROM_CARD)
			taken = card_left(s, slice);
		if (taken > units)
			taken = units;
		units -= taken;
		if (slice->from == GY_FROM_MONEY) {
			money = taken;
			rate = slice->rate;
			rule_id = slice->from_id;
		} else if (slice->from == GY_FROM_FREE && taken > 0) {
			drain_free(s, slice->from_id, taken, phase);
		} else if (taken > 0) {
			struct gy_account *home = gy_home_find(s->c->homes, slice->home);

			gy_assert(home != NULL);
			drain_card(s, home, gy_card_find(home, slice->from_id), taken, phase);
		}
	}
	money += drain_beyond(s, units, phase, rate, rule_id);
	if (money > 0)
		drain_money(s, rate, rule_id, money, phase);
}

static bool has_slices(const struct gy_servicing *s)
{
	const struct gy_account *a = s->c->account;
	unsigned row = (unsigned)(s->row - a->reservations);

	for (unsigned i = 0; i < a->n_slices; i++)
		if (a->slices[i].reservation == row)
			return true;
	return false;
}

static void charge_by_row(struct gy_servicing *s)
{
	struct phases used = units_used(s, s->row->unit);
	int64_t over = used.units[0] - s->row->granted;

	s->charges[0].unit = s->row->unit;
	s->recent_units = sum(used.units[0], used.units[1]);
	if (s->row->granted_s != 0)
		s->recent_s = s->c->now / GY_SECOND_US - s->row->granted_s;
	/* What is held of cards goes back first: usage then takes it. */
	gy_cards_release(s->c->account, s->c->homes, s->row);
	s->row->granted = 0;
	if (has_slices(s)) {
		drain_slices(s, 0, used.units[0]);
		drain_slices(s, 1, used.units[1]);
	} else {
		if (over > 0)
			used.units[0] +=
				drain_beyond(s, over, 0, s->row->rate, s->row->rule_id) - over;
		if (used.units[0] > 0)
			drain_money(s, s->row->rate, s->row->rule_id, used.units[0], 0);
	}
	gy_reservation_clear(s->c->account, s->row);
}

int64_t gy_usage_draw(struct gy_servicing *s, int64_t units)
{
	struct gy_card_source sources[GY_CARDS_PER_EVENT];

	s->charges[0].unit = s->tariff.unit;
	return drain_sources(s, units, 0, sources, GY_CARDS_PER_EVENT);
}

void gy_usage_pay(struct gy_servicing *s, int64_t units)
{
	int64_t free = least(units, s->tariff.free_units);

	s->charges[0].unit = s->tariff.unit;
	if (free > 0)
		drain_free(s, s->tariff.free_rule_id, free, 0);
	if (units > free)
		drain_money(s, s->tariff.rate, s->tariff.rule_id, units - free, 0);
	s->charges[0].rule_id = s->tariff.rule_id;
	s->charges[0].carry = s->carry;
}

void gy_usage_pay_money(struct gy_servicing *s, int64_t micros)
{
	struct gy_charge *charge = &s->charges[0];

	s->c->account->balance -= micros;
	charge->unit = GY_UNIT_MONEY;
	charge->used = micros > 0 ? micros : -micros;
	charge->debit = micros;
	charge->debit_rate = (struct gy_rate){ 1, 1 };
	charge->from = GY_FROM_MONEY;
}

/* Usage that no grant was made for: of a first report, or of a session that has ended. */
static void charge_by_tariff(struct gy_servicing *s)
{
	int64_t units = units_used(s, s->tariff.unit).units[0];

	s->charges[0].unit = s->tariff.unit;
	if (s->tariff.kind == GY_RULE_PRICED)
		units = drain_free_cards(s, units, 0);
	if (!s->cards_only)
		gy_usage_pay(s, units);
	else if (units > 0)
		drain_money(s, s->tariff.rate, 0, units, 0);
}

/* Usage in other units than the grant's or the tariff's: money is debited as it is, the rest is
 * recorded, so that somebody sees it (G-37). In a row of its own where that has another unit. */
static void charge_otherwise(struct gy_servicing *s, enum gy_unit unit)
{
	struct gy_account *account = s->c->account;
	struct phases used = units_used(s, unit);
	int64_t units = sum(used.units[0], used.units[1]);
	struct gy_charge *charge = &s->charges[0];

	if (charge->unit != GY_UNIT_NONE && units == 0)
		return;
	if (charge->unit != GY_UNIT_NONE)
		charge = gy_usage_next_part(s);
	charge->unit = unit;
	charge->used = units;
	if (unit != GY_UNIT_MONEY) {
		charge->flags |= units > 0 ? GY_CHARGE_UNRATED : 0;
		return;
	}
	charge->debit = least(units, account->balance - BALANCE_MIN);
	charge->debit_rate = (struct gy_rate){ 1, 1 };
	charge->from = GY_FROM_MONEY;
	account->balance -= charge->debit;
	if (charge->debit > 0 && account->balance + account->credit_limit < 0)
		charge->flags |= GY_CHARGE_OVERRUN;
}

static bool is_free(const struct gy_servicing *s)
{
	return s->tariff_rc == GY_OK && s->tariff.kind == GY_RULE_FREE;
}

static bool has_price(const struct gy_servicing *s)
{
	if (s->tariff_rc != GY_OK || s->tariff.kind == GY_RULE_FORBIDDEN)
		return false;
	return !s->cards_only || units_used(s, s->tariff.unit).units[0] > 0;
}

void gy_usage_charge(struct gy_servicing *s)
{
	if (s->row != NULL)
		charge_by_row(s);
	else if (has_price(s))
		charge_by_tariff(s);
	if (is_free(s))
		return;
	/* 0 of its own kind leaves money to be paid; other kinds beside it are only told along. */
	if (!reports(s->service, s->charges[0].unit))
		charge_otherwise(s, unit_reported(s->service));
	else if (s->charges[0].used == 0 && s->charges[0].unit != GY_UNIT_MONEY)
		charge_otherwise(s, GY_UNIT_MONEY);
}
