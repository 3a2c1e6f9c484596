/* The grant: how much, from which sources, at which prices; and what is held for it. See service.h.
 *
 * A tariff that changes within the grant's validity makes two phases (G-70): the grant is as large
 * as both allow, and what is held covers the dearer. */
#include "core/base/assert.h"
#include "core/charging/service.h"
#include "core/rating/price.h"

/* One phase of a grant in the making. */
struct phase {
	const struct gy_tariff_result *tariff;
	int64_t carry; /* in this tariff's block */
	int64_t free;  /* units that cost nothing, drained first */
	int64_t money; /* units that are paid */
	int64_t held;
};

struct sizing {
	unsigned n_phases;
	struct phase phase[2];
	gy_time_us end_us; /* the prices hold until then */
	int64_t wanted, units;
	bool short_of_money;
};

void gy_row_reprice(struct gy_reservation *row, enum gy_unit unit, struct gy_rate rate,
		    int64_t rule_id)
{
	/* A price of nothing has no remainder, and must not hold a micro-unit for one. */
	if (row->unit != unit || rate.price_micros == 0)
		row->carry = 0;
	else if (row->rate.block != rate.block)
		row->carry = gy_carry_rescale(row->carry, row->rate.block, rate.block);
	row->unit = unit;
	row->rate = rate;
	row->rule_id = rule_id;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The largest sum a reservation of this account may hold now. */
static int64_t holdable(const struct gy_account *account)
{
	return least(gy_account_available(account), GY_AMOUNT_MAX);
}

static uint32_t policy_validity(const struct gy_servicing *s)
{
	uint32_t validity_s = s->policy->validity_s;

	if (s->tariff.validity_rule_id != 0 && s->tariff.validity_s < validity_s)
		validity_s = s->tariff.validity_s;
	return validity_s;
}

/* Never beyond the price's and the account's own end, never 0 (G-66). */
static uint32_t validity(const struct gy_servicing *s, gy_time_us end_us)
{
	gy_time_us end = least(end_us, s->c->account->valid_until_us), now = s->c->now;
	uint32_t policy_s = policy_validity(s);
	int64_t left = end > now ? (end - now) / GY_SECOND_US : 0;

	if (left >= (int64_t)policy_s)
		return policy_s > 0 ? policy_s : 1;
	return left > 0 ? (uint32_t)left : 1;
}

/* Only for what a gateway can count on both sides of an instant, and if it does (G-70). */
static bool splits(const struct gy_servicing *s)
{
	return s->has_next && s->c->tariff_time_change &&
	       (s->tariff.unit == GY_UNIT_OCTETS || s->tariff.unit == GY_UNIT_SERVICE) &&
	       s->next.kind == GY_RULE_PRICED && s->next.unit == s->tariff.unit &&
	       s->tariff.valid_until_us / GY_SECOND_US > s->c->now / GY_SECOND_US &&
	       s->tariff.valid_until_us <
		       s->c->now + (int64_t)validity(s, s->next.valid_until_us) * GY_SECOND_US;
}

static void begin_phases(struct gy_servicing *s, struct sizing *z)
{
	z->n_phases = splits(s) ? 2 : 1;
	z->end_us = z->n_phases == 2 ? s->next.valid_until_us : s->tariff.valid_until_us;
	z->phase[0] = (struct phase){ .tariff = &s->tariff, .carry = s->row->carry };
	z->phase[1] = (struct phase){ .tariff = &s->next };
	if (s->next.rate.price_micros != 0 && z->n_phases == 2)
		z->phase[1].carry =
			gy_carry_rescale(s->row->carry, s->row->rate.block, s->next.rate.block);
}

/* What is asked for, within what policy and rules allow (G-39). */
static int64_t wanted_units(const struct gy_servicing *s, const struct sizing *z)
{
	const struct gy_tariff_result *tariff = &s->tariff;
	int64_t wanted = s->service->requested_count[tariff->unit];

	if (!s->service->requested_present[tariff->unit] || wanted == 0)
		wanted = s->policy->default_grant;
	wanted = least(wanted, s->policy->max_grant);
	for (unsigned i = 0; i < z->n_phases; i++) {
		const struct gy_tariff_result *t = z->phase[i].tariff;

		if (t->quota_rule_id != 0)
			wanted = least(wanted, t->quota_units);
		if (!t->dynamic)
			continue;
		if (t->counter_units > 0)
			wanted = least(wanted, t->counter_units);
		if (t->free_more && t->free_units > 0)
			wanted = least(wanted, t->free_units);
	}
	return wanted > 0 ? wanted : 1;
}

/* How many of the wanted units this phase covers. */
static int64_t phase_covers(const struct gy_servicing *s, struct phase *p, int64_t wanted,
			    bool *short_of_money)
{
	const struct gy_tariff_result *t = p->tariff;
	int64_t affordable = gy_price_affordable(t->rate, holdable(s->c->account), p->carry);
	int64_t money;

	if (t->kind == GY_RULE_FREE) /* also below zero */
		affordable = GY_AMOUNT_MAX;

	p->free = least(t->free_units, wanted);
	money = wanted - p->free;
	if (affordable < money)
		*short_of_money = true;
	money = least(money, affordable);
	/* A grant ends where a counter of money changes the price; one unit goes beyond it. */
	if (t->dynamic && t->counter_micros > 0 && t->counter_micros < INT64_MAX)
		money = least(money,
			      gy_price_affordable(t->rate, least(t->counter_micros, GY_AMOUNT_MAX),
						  p->carry) +
				      1);
	return p->free + money;
}

static void size(struct gy_servicing *s, struct sizing *z)
{
	begin_phases(s, z);
	z->wanted = z->units = wanted_units(s, z);
	z->short_of_money = false;
	for (unsigned i = 0; i < z->n_phases; i++)
		z->units = least(z->units,
				 phase_covers(s, &z->phase[i], z->wanted, &z->short_of_money));
	for (unsigned i = 0; i < z->n_phases; i++) {
		struct phase *p = &z->phase[i];
		bool covered = true;

		p->free = least(p->free, z->units);
		p->money = z->units - p->free;
		if (p->money > 0)
			covered = gy_price_reserve(p->tariff->rate, p->money, p->carry, &p->held);
		gy_assert(covered);
	}
}

static void add_slice(struct gy_servicing *s, unsigned phase, enum gy_from from, int64_t from_id,
		      int64_t units, struct gy_rate rate, int64_t held)
{
	struct gy_account *a = s->c->account;

	gy_assert(a->n_slices < a->slices_room);
	a->slices[a->n_slices++] = (struct gy_slice){
		.reservation = (unsigned)(s->row - a->reservations),
		.phase = phase,
		.from = from,
		.from_id = from_id,
		.units = units,
		.rate = rate,
		.held = held,
	};
}

static void hold(struct gy_servicing *s, const struct sizing *z)
{
	struct gy_reservation *row = s->row;
	bool simple = z->n_phases == 1 && z->phase[0].free == 0;

	row->granted = z->units;
	for (unsigned i = 0; i < z->n_phases; i++) {
		const struct phase *p = &z->phase[i];

		if (p->held > row->reserved)
			row->reserved = p->held;
		if (simple)
			continue;
		if (p->free > 0)
			add_slice(s, i, GY_FROM_FREE, p->tariff->free_rule_id, p->free,
				  (struct gy_rate){ 0, 1 }, 0);
		/* Also when it has no units: it tells the price of over-use. */
		add_slice(s, i, GY_FROM_MONEY, p->tariff->rule_id, p->money, p->tariff->rate,
			  p->held);
	}
	if (z->n_phases == 2)
		row->switch_us = s->tariff.valid_until_us;
	s->c->account->reserved += row->reserved;
	if (!simple)
		s->charges[0].flags |= GY_CHARGE_SLICED;
}

/* The last units, or none (G-47, G-48, G-60). */
static void tell_final(struct gy_servicing *s)
{
	s->answer->final_unit = s->policy->final_unit;
	if (s->c->terminate_only) {
		s->answer->final_unit = GY_FINAL_TERMINATE;
		return;
	}
	if (s->tariff.redirect_rule_id == 0)
		return;
	s->answer->final_unit = GY_FINAL_REDIRECT;
	s->answer->redirect_rule = (uint32_t)s->tariff.redirect_rule_id;
	s->answer->redirect_type = s->tariff.redirect_type;
	s->answer->redirect_address = s->tariff.redirect_address;
}

void gy_grant(struct gy_servicing *s)
{
	struct gy_service_answer *answer = s->answer;
	struct gy_reservation *row = s->row;
	struct sizing z;

	gy_row_reprice(row, s->tariff.unit, s->tariff.rate, s->tariff.rule_id);
	size(s, &z);
	if (z.short_of_money && z.units < z.wanted)
		tell_final(s);
	if (z.units == 0 && answer->final_unit <= GY_FINAL_TERMINATE) {
		answer->final_unit = GY_FINAL_NONE;
		answer->rc = GY_CREDIT_LIMIT_REACHED;
		return;
	}
	answer->validity_s = row->validity_s = validity(s, z.end_us);
	if (z.units == 0)
		return;
	hold(s, &z);
	answer->unit = row->unit;
	answer->granted = z.units;
	answer->switch_s = (uint32_t)(row->switch_us / GY_SECOND_US);
	answer->quota_holding_s = s->policy->quota_holding_s;
	if (answer->final_unit == GY_FINAL_NONE && s->policy->threshold < z.units &&
	    s->policy->threshold <= UINT32_MAX)
		answer->threshold = (uint32_t)s->policy->threshold;
}
