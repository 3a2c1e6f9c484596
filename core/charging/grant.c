/* The grant: how much, from which sources, at which prices; and what is held for it. See service.h.
 *
 * A tariff that changes within the grant's validity makes two phases (G-70): the grant is as large
 * as both allow, and what is held covers the dearer. */
#include "core/base/assert.h"
#include "core/charging/direction.h"
#include "core/charging/pool.h"
#include "core/charging/service.h"
#include "core/rating/price.h"

/* One phase of a grant in the making: cards, then free units, then money. */
struct phase {
	const struct gy_tariff_result *tariff;
	int64_t carry; /* in this tariff's block */
	unsigned n_cards;
	struct gy_card_source cards[GY_CARDS_PER_GRANT]; /* in their order; left: what it takes */
	bool more_cards; /* that there is no room for: the grant ends with these */
	int64_t free;    /* units that cost nothing, drained after the cards */
	int64_t money;   /* units that are paid */
	int64_t held;
};

struct sizing {
	unsigned n_phases;
	struct phase phase[2];
	gy_time_us switch_us; /* two phases: the second begins */
	gy_time_us end_us;    /* prices and sources hold until then */
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
	return least(gy_account_spendable(account), GY_AMOUNT_MAX);
}

static uint32_t policy_validity(const struct gy_servicing *s)
{
	uint32_t validity_s = s->policy->validity_s;

	if (s->tariff.validity_rule_id != 0 && s->tariff.validity_s < validity_s)
		validity_s = s->tariff.validity_s;
	return validity_s;
}

/* Shorter by up to so many percent, differently for each request: sessions that were opened
 * together don't all come back together. */
static uint32_t with_jitter(const struct gy_servicing *s, uint32_t validity_s)
{
	uint64_t most = (uint64_t)validity_s * s->policy->validity_jitter / 100, dice;

	if (most == 0)
		return validity_s;
	dice = (s->c->ccr->session.lo ^ s->c->ccr->number) * UINT64_C(0x9e3779b97f4a7c15);
	return validity_s - (uint32_t)((dice >> 32) % (most + 1));
}

/* Never beyond the price's and the account's own end, never 0 (G-66). */
uint32_t gy_validity(const struct gy_servicing *s, gy_time_us end_us)
{
	gy_time_us end = least(end_us, s->c->account->valid_until_us), now = s->c->now;
	uint32_t policy_s = with_jitter(s, policy_validity(s));
	int64_t left = end > now ? (end - now) / GY_SECOND_US : 0;

	if (left >= (int64_t)policy_s)
		return policy_s > 0 ? policy_s : 1;
	return left > 0 ? (uint32_t)left : 1;
}

/* Only for what a gateway can count on both sides of an instant, and if it does (G-70). A pool's
 * multiplier is one price. */
static bool may_split(const struct gy_servicing *s, gy_time_us switch_us, gy_time_us next_end_us)
{
	return s->c->tariff_time_change && gy_pool_of(s) == 0 &&
	       (s->tariff.unit == GY_UNIT_OCTETS || s->tariff.unit == GY_UNIT_SERVICE) &&
	       switch_us / GY_SECOND_US > s->c->now / GY_SECOND_US &&
	       switch_us < s->c->now + (int64_t)gy_validity(s, next_end_us) * GY_SECOND_US;
}

static gy_time_us card_edge(const struct gy_servicing *s, gy_time_us at)
{
	return gy_card_edge(s->c, s->service, s->rating_group, s->tariff.unit, at);
}

/* The price, the cards in use, or both change at switch_us; what holds after it goes to
 * *next_end_us. NULL: the price after it is none that a grant could go on with. */
static const struct gy_tariff_result *after(const struct gy_servicing *s, gy_time_us switch_us,
					    gy_time_us *next_end_us)
{
	const struct gy_tariff_result *tariff = &s->tariff;

	if (switch_us == s->tariff.valid_until_us) {
		if (!s->has_next || s->next.kind != GY_RULE_PRICED ||
		    s->next.unit != s->tariff.unit)
			return NULL;
		tariff = &s->next;
	}
	*next_end_us = least(tariff->valid_until_us, card_edge(s, switch_us));
	return tariff;
}

static void begin_phases(struct gy_servicing *s, struct sizing *z)
{
	gy_time_us next_end_us = 0;
	const struct gy_tariff_result *then;

	z->switch_us = z->end_us = least(s->tariff.valid_until_us, card_edge(s, s->c->now));
	then = after(s, z->switch_us, &next_end_us);
	z->n_phases = then != NULL && may_split(s, z->switch_us, next_end_us) ? 2 : 1;
	z->phase[0] = (struct phase){ .tariff = &s->tariff, .carry = s->row->carry };
	if (z->n_phases == 1)
		return;
	z->end_us = next_end_us;
	z->phase[1] = (struct phase){ .tariff = then };
	if (then->rate.price_micros != 0)
		z->phase[1].carry =
			gy_carry_rescale(s->row->carry, s->row->rate.block, then->rate.block);
}

/* Adaptive grants: as much as is used in the target time at the rate of the last report. */
static int64_t at_recent_rate(const struct gy_servicing *s)
{
	__int128 units;

	if (s->policy->target_s == 0 || s->recent_s <= 0 || s->recent_units == 0)
		return s->policy->default_grant;
	units = (__int128)s->recent_units * s->policy->target_s / s->recent_s;
	if (units < s->policy->min_grant)
		return s->policy->min_grant;
	return units < s->policy->max_grant ? (int64_t)units : s->policy->max_grant;
}

/* Where sources run low, an adaptive grant takes half of an equal share of them for each open
 * session, so that the others get something, too, and the end comes in small steps. */
static int64_t share_of_sources(const struct gy_servicing *s, const struct sizing *z)
{
	struct gy_card_source cards[GY_CARDS_PER_GRANT];
	const struct gy_account *a = s->c->account;
	int64_t sources, open = 0;
	unsigned n;
	bool more;

	if (s->policy->target_s == 0)
		return GY_AMOUNT_MAX;
	sources = s->cards_only
			  ? 0
			  : gy_price_affordable(s->tariff.rate, holdable(a), z->phase[0].carry);
	n = gy_card_sources(s->c, s->service, s->rating_group, s->tariff.unit, s->c->now, cards,
			    GY_CARDS_PER_GRANT, &more);
	for (unsigned i = 0; i < n; i++)
		sources = cards[i].left > GY_AMOUNT_MAX - sources ? GY_AMOUNT_MAX
								  : sources + cards[i].left;
	for (unsigned i = 0; i < a->n_sessions; i++)
		open += a->sessions[i].state == GY_SESSION_OPEN;
	sources /= 2 * (open > 0 ? open : 1);
	return sources > s->policy->min_grant ? sources : s->policy->min_grant;
}

/* What is asked for, within what policy and rules allow (G-39). */
static int64_t wanted_units(const struct gy_servicing *s, const struct sizing *z)
{
	const struct gy_tariff_result *tariff = &s->tariff;
	int64_t wanted = s->service->requested_count[tariff->unit];

	if (!s->service->requested_present[tariff->unit] || wanted == 0)
		wanted = at_recent_rate(s);
	if (tariff->unit == GY_UNIT_MONEY)
		return wanted; /* the policy's bounds are of the tariff's units */
	wanted = least(least(wanted, s->policy->max_grant), share_of_sources(s, z));
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

/* The cards that this phase draws from, each with what it takes of them. Returns the sum. */
static int64_t take_cards(const struct gy_servicing *s, struct sizing *z, struct phase *p,
			  int64_t wanted)
{
	gy_time_us at = p == &z->phase[0] ? s->c->now : z->switch_us;
	int64_t units = 0;

	if (p->tariff->kind == GY_RULE_FREE)
		return 0;
	p->n_cards = gy_card_sources(s->c, s->service, s->rating_group, p->tariff->unit, at,
				     p->cards, GY_CARDS_PER_GRANT, &p->more_cards);
	for (unsigned i = 0; i < p->n_cards; i++) {
		p->cards[i].left = least(p->cards[i].left, wanted - units);
		units += p->cards[i].left;
		z->end_us = p->cards[i].left > 0
				    ? least(z->end_us, p->cards[i].card->valid_until_us)
				    : z->end_us;
	}
	return units;
}

/* How many of the wanted units this phase covers. */
static int64_t phase_covers(const struct gy_servicing *s, struct sizing *z, struct phase *p)
{
	const struct gy_tariff_result *t = p->tariff;
	int64_t cards = take_cards(s, z, p, z->wanted), purse, affordable, money;

	p->free = p->money = 0;
	if (s->cards_only && !p->more_cards && cards < z->wanted)
		z->short_of_money = true;
	if (s->cards_only || p->more_cards)
		return cards;
	purse = holdable(s->c->account) - gy_card_due(s->c->account, p->cards, p->n_cards);
	affordable = t->kind == GY_RULE_FREE /* also below zero */
			     ? GY_AMOUNT_MAX
			     : gy_price_affordable(t->rate, purse, p->carry);
	p->free = least(t->free_units, z->wanted - cards);
	money = z->wanted - cards - p->free;
	if (affordable < money)
		z->short_of_money = true;
	money = least(money, affordable);
	/* A grant ends where a counter of money changes the price; one unit goes beyond it. */
	if (t->dynamic && t->counter_micros > 0 && t->counter_micros < INT64_MAX)
		money = least(money,
			      gy_price_affordable(t->rate, least(t->counter_micros, GY_AMOUNT_MAX),
						  p->carry) +
				      1);
	return cards + p->free + money;
}

/* Each source as far as the grant goes, in their order. */
static void cut_phase(struct phase *p, int64_t units)
{
	bool covered = true;

	for (unsigned i = 0; i < p->n_cards; i++) {
		p->cards[i].left = least(p->cards[i].left, units);
		units -= p->cards[i].left;
	}
	p->free = least(p->free, units);
	p->money = units - p->free;
	if (p->money > 0)
		covered = gy_price_reserve(p->tariff->rate, p->money, p->carry, &p->held);
	gy_assert(covered);
}

/* Returns true if one phase covers more than the other. */
static bool size_phases(struct gy_servicing *s, struct sizing *z)
{
	int64_t first, second;

	z->wanted = wanted_units(s, z);
	z->short_of_money = false;
	first = second = phase_covers(s, z, &z->phase[0]);
	if (z->n_phases == 2)
		second = phase_covers(s, z, &z->phase[1]);
	z->units = least(first, second);
	return first != second;
}

/* Where hours of cards begin or end, and there is less on one side of that than on the other, the
 * grant ends with the first side: what it gives must not be cut to what there is after the hours,
 * and its units are not the final ones if there are more once the hours have begun. */
static void size(struct gy_servicing *s, struct sizing *z)
{
	begin_phases(s, z);
	if (size_phases(s, z) && z->switch_us == card_edge(s, s->c->now)) {
		z->n_phases = 1;
		z->end_us = z->switch_us;
		(void)size_phases(s, z);
	}
	for (unsigned i = 0; i < z->n_phases; i++)
		cut_phase(&z->phase[i], z->units);
}

static void add_slice(struct gy_servicing *s, struct gy_slice slice)
{
	struct gy_account *a = s->c->account;

	gy_assert(a->n_slices < a->slices_room);
	slice.reservation = (unsigned)(s->row - a->reservations);
	a->slices[a->n_slices++] = slice;
}

/* What a card gave to the phase before this one is there once for both. */
static int64_t taken_before(const struct sizing *z, unsigned phase, const struct gy_card *card)
{
	for (unsigned i = 0; phase == 1 && i < z->phase[0].n_cards; i++)
		if (z->phase[0].cards[i].card == card)
			return z->phase[0].cards[i].left;
	return 0;
}

static void hold_cards(struct gy_servicing *s, const struct sizing *z, unsigned phase)
{
	for (unsigned i = 0; i < z->phase[phase].n_cards; i++) {
		const struct gy_card_source *source = &z->phase[phase].cards[i];
		int64_t before = taken_before(z, phase, source->card);

		if (source->left == 0)
			continue;
		add_slice(s, (struct gy_slice){ .phase = phase,
						.from = GY_FROM_CARD,
						.from_id = source->card->card_id,
						.home = source->home->account_id,
						.units = source->left,
						.rate = { 0, 1 } });
		if (source->left > before)
			gy_card_reserve(source->home, source->card, source->left - before);
		gy_card_count(s->c, source->bound);
	}
}

static bool is_simple(const struct sizing *z)
{
	return z->n_phases == 1 && z->phase[0].free == 0 &&
	       (z->phase[0].n_cards == 0 || z->phase[0].cards[0].left == 0);
}

static void hold(struct gy_servicing *s, const struct sizing *z)
{
	struct gy_reservation *row = s->row;
	bool simple = is_simple(z);

	row->granted = z->units;
	for (unsigned i = 0; i < z->n_phases; i++) {
		const struct phase *p = &z->phase[i];

		if (p->held > row->reserved)
			row->reserved = p->held;
		if (simple)
			continue;
		hold_cards(s, z, i);
		if (p->free > 0)
			add_slice(s, (struct gy_slice){ .phase = i,
							.from = GY_FROM_FREE,
							.from_id = p->tariff->free_rule_id,
							.units = p->free,
							.rate = { 0, 1 } });
		/* The second one's also when it has no units: it tells the price of over-use. */
		if (p->money == 0 && i == 0)
			continue;
		add_slice(s, (struct gy_slice){ .phase = i,
						.from = GY_FROM_MONEY,
						.from_id = p->tariff->rule_id,
						.units = p->money,
						.rate = p->tariff->rate,
						.held = p->held });
	}
	if (z->n_phases == 2)
		row->switch_us = z->switch_us;
	s->c->account->reserved += row->reserved;
	row->pool = simple ? gy_pool_of(s) : 0;
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

/* A threshold has to be below each amount of the grant (G-50). */
static int64_t least_part(const struct gy_service_answer *answer)
{
	int64_t output = answer->granted - answer->input;

	return answer->input > 0 && output > 0 ? least(answer->input, output) : answer->granted;
}

void gy_grant(struct gy_servicing *s)
{
	struct gy_service_answer *answer = s->answer;
	struct gy_reservation *row = s->row;
	struct sizing z;

	gy_row_reprice(row, s->tariff.unit, s->tariff.rate, s->tariff.rule_id);
	row->final = false;
	size(s, &z);
	if (z.short_of_money && z.units < z.wanted)
		tell_final(s);
	if (z.units == 0 && answer->final_unit <= GY_FINAL_TERMINATE) {
		answer->final_unit = GY_FINAL_NONE;
		answer->rc = GY_CREDIT_LIMIT_REACHED;
		return;
	}
	answer->validity_s = row->validity_s = gy_validity(s, z.end_us);
	row->granted_s = (uint32_t)(s->c->now / GY_SECOND_US);
	row->final = answer->final_unit > GY_FINAL_TERMINATE;
	if (z.units == 0)
		return;
	hold(s, &z);
	answer->unit = row->unit;
	answer->granted = z.units;
	row->directions = gy_directions_of(s->service, row->unit, row->directions);
	gy_directions_grant(answer, row->directions, s->service);
	answer->switch_s = (uint32_t)(row->switch_us / GY_SECOND_US);
	answer->pool = row->pool;
	answer->pool_rate = row->rate;
	answer->quota_holding_s = s->policy->quota_holding_s;
	if (answer->final_unit == GY_FINAL_NONE && answer->unit != GY_UNIT_MONEY &&
	    s->policy->threshold < least_part(answer) && s->policy->threshold <= UINT32_MAX)
		answer->threshold = (uint32_t)s->policy->threshold;
}
