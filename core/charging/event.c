/* Events: see event.h. */
#include "core/charging/event.h"

#include "core/base/assert.h"
#include "core/charging/direction.h"
#include "core/rating/price.h"

/* What one service of an event is about. */
struct order {
	enum gy_rc rc; /* GY_OK: it has a price */
	enum gy_unit unit;
	int64_t units;  /* of unit; money: micro-units */
	int64_t cards;  /* of them, what traffic cards give */
	int64_t due;    /* what their settlement will cost this account */
	int64_t micros; /* what the rest costs today */
	bool covered;   /* there is something that gives the rest */
};

/* What the services of a question would take of cards: the next one finds that much less. */
struct taken {
	unsigned n;
	struct {
		const struct gy_card *card;
		int64_t units;
	} cards[2 * GY_CARDS_PER_EVENT];
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t sum(int64_t a, int64_t b)
{
	return b > GY_AMOUNT_MAX - a ? GY_AMOUNT_MAX : a + b;
}

/* Takes units of one card. Returns how many. */
static int64_t take(struct taken *taken, const struct gy_card_source *source, int64_t wanted)
{
	unsigned i = 0;
	int64_t units;

	if (taken == NULL)
		return least(source->left, wanted);
	while (i < taken->n && taken->cards[i].card != source->card)
		i++;
	if (i == 2 * GY_CARDS_PER_EVENT)
		return 0;
	if (i == taken->n) {
		taken->cards[i].card = source->card;
		taken->cards[taken->n++].units = 0;
	}
	units = least(source->left - taken->cards[i].units, wanted);
	taken->cards[i].units += units > 0 ? units : 0;
	return units > 0 ? units : 0;
}

/* Cards go first (G-97). taken: of the services before, if nothing is really drawn. */
static void order_cards(const struct gy_servicing *s, struct taken *taken, struct order *o)
{
	struct gy_card_source sources[GY_CARDS_PER_EVENT];
	bool more;
	unsigned n;

	if (s->tariff.kind != GY_RULE_PRICED || s->c->profile->cards == NULL)
		return;
	n = gy_card_sources(s->c, s->service, s->rating_group, o->unit, s->c->now, sources,
			    GY_CARDS_PER_EVENT, &more);
	for (unsigned i = 0; i < n; i++) {
		sources[i].left = take(taken, &sources[i], o->units - o->cards);
		o->cards += sources[i].left;
	}
	o->due = gy_card_due(s->c->account, sources, n);
}

static struct order order_of(const struct gy_servicing *s, struct taken *taken)
{
	const struct gy_service *service = s->service;
	struct order o = { .rc = gy_servicing_rc(s), .unit = s->tariff.unit, .covered = true };
	int64_t carry = 0, paid;

	if (service->requested_present[GY_UNIT_MONEY]) { /* no rating (G-74) */
		o = (struct order){ .unit = GY_UNIT_MONEY,
				    .units = service->requested_count[GY_UNIT_MONEY],
				    .covered = true };
		o.micros = o.units;
		return o;
	}
	if (o.rc != GY_OK)
		return o;
	if (service->requested_present[o.unit])
		o.units = service->requested_count[o.unit];
	else /* no amount: is there anything at all? (G-76) */
		o.units = s->c->ccr->action == GY_CHECK_BALANCE ? 1 : s->policy->default_grant;
	order_cards(s, taken, &o);
	paid = o.units - o.cards;
	o.covered = !s->cards_only || paid == 0;
	paid = paid > s->tariff.free_units ? paid - s->tariff.free_units : 0;
	if (!gy_price_debit(s->tariff.rate, paid, &carry, &o.micros))
		o.rc = GY_RATING_FAILED;
	/* For no amount, or less than a micro-unit pays, one must have anything at all. */
	if (s->c->ccr->action == GY_CHECK_BALANCE && paid > 0 && s->tariff.rate.price_micros > 0 &&
	    (o.micros == 0 || !service->requested_present[o.unit]))
		o.micros = 1;
	return o;
}

/* What a bound refund gives back: the whole debit, or the part of it that is named (G-75). */
static struct order order_of_debit(const struct gy_servicing *s)
{
	const struct gy_service *service = s->service;
	const struct gy_history *h = s->c->debit;
	struct order o = { .unit = h->debit_unit,
			   .units = h->debit_units,
			   .micros = h->debit_micros };

	if (service->requested_present[GY_UNIT_MONEY]) {
		o.unit = GY_UNIT_MONEY;
		o.units = o.micros = service->requested_count[GY_UNIT_MONEY];
	} else if (service->requested_present[o.unit]) {
		o.units = service->requested_count[o.unit];
		if (o.units <= h->debit_units && h->debit_units > 0)
			o.micros = (int64_t)((__int128)h->debit_micros * o.units / h->debit_units);
		else
			o.rc = GY_RATING_FAILED;
	}
	if (o.micros <= 0 || o.micros > h->debit_micros) /* nothing, or more than it was */
		o.rc = GY_RATING_FAILED;
	return o;
}

/* What a debit took of cards has perhaps been settled since, or its card is gone: it isn't given
 * back, and money for the rest alone would be no refund of that debit. */
static bool took_cards(const struct gy_charging *c, struct gy_plan *plan)
{
	if (c->debit == NULL || !c->debit->debit_took_cards)
		return false;
	gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY,
			 "units of a traffic card are not given back");
	return true;
}

static void refuse(struct gy_plan *plan, enum gy_rc rc)
{
	gy_answer_refuse(&plan->answer, rc, gy_rc_text(rc));
}

/* --- questions: nothing changes ---- */

/* What all services together take. */
struct total {
	int64_t micros, due; /* as in an order */
	bool covered;        /* there is something to take each of them from */
};

/* GY_OK, or why one of them has no price. */
static enum gy_rc add_up(const struct gy_charging *c, struct gy_plan *plan, struct total *total)
{
	struct taken taken = { .n = 0 };

	*total = (struct total){ .covered = true };
	for (unsigned i = 0; i < c->ccr->n_services; i++) {
		struct gy_servicing s;
		struct order o;

		gy_servicing_begin(&s, c, &c->ccr->services[i], &plan->services[i], plan->charges,
				   plan->parts);
		o = order_of(&s, &taken);
		if (o.rc == GY_CREDIT_CONTROL_NOT_APPLICABLE)
			continue; /* free */
		if (o.rc != GY_OK)
			return o.rc;
		total->micros = sum(total->micros, o.micros);
		total->due = sum(total->due, o.due);
		total->covered &= o.covered;
	}
	return GY_OK;
}

static void check_balance(const struct gy_charging *c, struct gy_plan *plan)
{
	struct total needed;
	enum gy_rc rc = add_up(c, plan, &needed);
	bool enough;

	if (rc != GY_OK) {
		refuse(plan, rc);
		return;
	}
	if (c->ccr->n_services == 0)
		needed.micros = 1; /* is there anything at all? (G-76) */
	enough = needed.covered && (needed.micros == 0 ||
				    needed.micros <= gy_account_spendable(c->account) - needed.due);
	plan->answer = (struct gy_answer){
		.rc = GY_OK,
		.check_balance = enough ? GY_CHECK_ENOUGH : GY_CHECK_NO_CREDIT,
	};
}

/* What money would pay now: cards and free units cost nothing (G-77). */
static void price_enquiry(const struct gy_charging *c, struct gy_plan *plan)
{
	struct total price;
	enum gy_rc rc = add_up(c, plan, &price);

	if (rc != GY_OK) {
		refuse(plan, rc);
		return;
	}
	plan->answer = (struct gy_answer){
		.rc = GY_OK,
		.has_cost = true,
		.cost_micros = price.micros,
		.currency = c->account->currency,
	};
}

/* --- debit and refund ---- */

static void answer_paid(struct gy_servicing *s, const struct order *o)
{
	struct gy_charge *own = &s->charges[0];

	own->unit = o->unit;
	s->answer->unit = o->units > 0 ? o->unit : GY_UNIT_NONE; /* never a GSU of 0 (G-48) */
	s->answer->granted = own->granted = o->units;
	own->directions = gy_directions_of(s->service, o->unit, 0);
	gy_directions_grant(s->answer, own->directions, s->service);
	own->flags |= GY_CHARGE_EVENT;
}

static void debit_one(struct gy_servicing *s, const struct order *o)
{
	if (o->rc != GY_OK) {
		s->answer->rc = o->rc;
		return;
	}
	if (!o->covered ||
	    (o->micros > 0 && o->micros > gy_account_spendable(s->c->account) - o->due)) {
		s->answer->rc = GY_CREDIT_LIMIT_REACHED;
		return;
	}
	if (o->unit == GY_UNIT_MONEY)
		gy_usage_pay_money(s, o->micros);
	else
		gy_usage_pay(s, o->cards > 0 ? gy_usage_draw(s, o->units) : o->units);
	answer_paid(s, o);
}

/* Money comes back at today's price, or as the amount that is named (G-75). */
static void refund_one(struct gy_servicing *s, const struct order *o)
{
	if (o->rc != GY_OK) {
		s->answer->rc = o->rc;
		return;
	}
	if (s->c->debit == NULL && s->cards_only && o->unit != GY_UNIT_MONEY) {
		s->answer->rc = GY_RATING_FAILED; /* there is no price to give back */
		return;
	}
	if (o->micros > GY_AMOUNT_MAX || s->c->account->balance > 3 * GY_AMOUNT_MAX) {
		s->answer->rc = GY_RATING_FAILED;
		return;
	}
	gy_usage_pay_money(s, -o->micros);
	s->charges[0].unit = o->unit;
	s->charges[0].used = o->units;
	answer_paid(s, o);
}

static bool charge_all(const struct gy_charging *c, struct gy_plan *plan)
{
	bool refund = c->ccr->action == GY_REFUND_ACCOUNT, any = false;

	plan->answer = (struct gy_answer){
		.rc = GY_OK,
		.at_command_level = c->ccr->services_at_command_level,
		.n_services = c->ccr->n_services,
		.services = plan->services,
		.currency = c->account->currency,
		.refundable = !refund,
		.session = c->ccr->session,
		.number = c->ccr->number,
	};
	plan->record.n_charges = 0;
	for (unsigned i = 0; i < c->ccr->n_services; i++) {
		const struct gy_service *service = &c->ccr->services[i];
		struct gy_servicing s;
		struct order o;

		gy_servicing_begin(&s, c, service, &plan->services[i],
				   &plan->charges[plan->record.n_charges], plan->parts);
		o = c->debit != NULL ? order_of_debit(&s) : order_of(&s, NULL);
		if (refund)
			refund_one(&s, &o);
		else
			debit_one(&s, &o);
		any |= plan->services[i].rc == GY_OK;
		s.charges[0].rc = plan->services[i].rc;
		plan->record.n_charges += s.n_charges;
		if (plan->services[i].rc == GY_RATING_FAILED && plan->answer.n_failed == 0)
			gy_answer_name_rating_group(&plan->answer, service);
	}
	return any;
}

bool gy_event_charge(const struct gy_charging *c, struct gy_plan *plan, int64_t *debit)
{
	int64_t before = c->account->balance;

	*debit = 0;
	gy_assert(plan->room >= c->ccr->n_services);
	if (took_cards(c, plan))
		return false;
	switch (c->ccr->action) {
	case GY_CHECK_BALANCE:
		check_balance(c, plan);
		return false;
	case GY_PRICE_ENQUIRY:
		price_enquiry(c, plan);
		return false;
	case GY_DIRECT_DEBITING:
	case GY_REFUND_ACCOUNT:
		break;
	case GY_ACTION_NONE:
		refuse(plan, GY_MISSING_AVP);
		return false;
	}
	if (!charge_all(c, plan)) {
		/* Nothing was debited: the command says why, and a retry may fare better. */
		if (c->ccr->services_at_command_level && c->ccr->n_services > 0)
			refuse(plan, plan->services[0].rc);
		return false;
	}
	*debit = before - c->account->balance;
	return true;
}
