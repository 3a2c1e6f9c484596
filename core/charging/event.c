/* Events: see event.h. */
#include "core/charging/event.h"

#include "core/base/assert.h"
#include "core/rating/price.h"

enum { CURRENCY_CODE = 425 };

/* What one service of an event is about. */
struct order {
	enum gy_rc rc; /* GY_OK: it has a price */
	enum gy_unit unit;
	int64_t units;  /* of unit; money: micro-units */
	int64_t micros; /* what it costs today */
};

static struct order order_of(const struct gy_servicing *s)
{
	const struct gy_service *service = s->service;
	struct order o = { .rc = gy_servicing_rc(s), .unit = s->tariff.unit };
	int64_t carry = 0, paid;

	if (service->requested_present[GY_UNIT_MONEY]) { /* no rating (G-74) */
		o = (struct order){ .unit = GY_UNIT_MONEY,
				    .units = service->requested_count[GY_UNIT_MONEY] };
		o.micros = o.units;
		return o;
	}
	if (o.rc != GY_OK)
		return o;
	o.units = service->requested_present[o.unit] ? service->requested_count[o.unit]
						     : s->policy->default_grant;
	paid = o.units > s->tariff.free_units ? o.units - s->tariff.free_units : 0;
	if (!gy_price_debit(s->tariff.rate, paid, &carry, &o.micros))
		o.rc = GY_RATING_FAILED;
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

/* An amount in another currency than the account's is no amount (G-74). */
static bool wrong_currency(const struct gy_charging *c, struct gy_plan *plan)
{
	for (unsigned i = 0; i < c->ccr->n_services; i++) {
		int currency = c->ccr->services[i].requested_currency;

		if (currency == 0 || currency == c->account->currency)
			continue;
		gy_answer_refuse(&plan->answer, GY_INVALID_AVP_VALUE,
				 "Currency-Code is not the account's");
		plan->answer.n_failed = 1;
		plan->answer.failed[0] = (struct gy_failed_avp){
			.code = CURRENCY_CODE,
			.avp = c->ccr->services[i].requested_currency_avp,
		};
		return true;
	}
	return false;
}

static void refuse(struct gy_plan *plan, enum gy_rc rc)
{
	gy_answer_refuse(&plan->answer, rc, gy_rc_text(rc));
}

/* --- questions: nothing changes ---- */

/* What all services together cost. GY_OK, or why one of them has no price. */
static enum gy_rc total(const struct gy_charging *c, struct gy_plan *plan, int64_t *micros)
{
	*micros = 0;
	for (unsigned i = 0; i < c->ccr->n_services; i++) {
		struct gy_servicing s;
		struct order o;

		gy_servicing_begin(&s, c, &c->ccr->services[i], &plan->services[i], plan->charges,
				   plan->parts);
		o = order_of(&s);
		if (o.rc == GY_CREDIT_CONTROL_NOT_APPLICABLE)
			continue; /* free */
		if (o.rc != GY_OK)
			return o.rc;
		*micros = o.micros > GY_AMOUNT_MAX - *micros ? GY_AMOUNT_MAX : *micros + o.micros;
	}
	return GY_OK;
}

static void check_balance(const struct gy_charging *c, struct gy_plan *plan)
{
	int64_t needed, available = gy_account_available(c->account);
	enum gy_rc rc = total(c, plan, &needed);

	if (rc != GY_OK) {
		refuse(plan, rc);
		return;
	}
	if (needed == 0)
		needed = 1; /* no amount asked: is there anything at all? (G-76) */
	plan->answer = (struct gy_answer){
		.rc = GY_OK,
		.check_balance = available >= needed ? GY_CHECK_ENOUGH : GY_CHECK_NO_CREDIT,
	};
}

static void price_enquiry(const struct gy_charging *c, struct gy_plan *plan)
{
	int64_t micros;
	enum gy_rc rc = total(c, plan, &micros);

	if (rc != GY_OK) {
		refuse(plan, rc);
		return;
	}
	plan->answer = (struct gy_answer){
		.rc = GY_OK,
		.has_cost = true,
		.cost_micros = micros,
		.currency = c->account->currency,
	};
}

/* --- debit and refund ---- */

static void answer_paid(struct gy_servicing *s, const struct order *o)
{
	struct gy_charge *own = &s->charges[0];

	s->answer->unit = own->unit = o->unit;
	s->answer->granted = own->granted = o->units;
	own->flags |= GY_CHARGE_EVENT;
}

static void debit_one(struct gy_servicing *s, const struct order *o)
{
	if (o->rc != GY_OK) {
		s->answer->rc = o->rc;
		return;
	}
	if (o->micros > gy_account_available(s->c->account)) {
		s->answer->rc = GY_CREDIT_LIMIT_REACHED;
		return;
	}
	if (o->unit == GY_UNIT_MONEY)
		gy_usage_pay_money(s, o->micros);
	else
		gy_usage_pay(s, o->units);
	answer_paid(s, o);
}

/* Money comes back at today's price, or as the amount that is named (G-75). */
static void refund_one(struct gy_servicing *s, const struct order *o)
{
	if (o->rc != GY_OK) {
		s->answer->rc = o->rc;
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
		o = c->debit != NULL ? order_of_debit(&s) : order_of(&s);
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
	if (wrong_currency(c, plan))
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
