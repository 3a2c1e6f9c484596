/* Debit and reserve of one service: see service.h. */
#include "core/charging/service.h"

#include "core/base/assert.h"
#include "core/rating/price.h"
#include "core/rating/tariff.h"

/* No balance falls below this, whatever a gateway claims was used: the sums of the ledger stay far
 * from the edge of 64 bits. The usage itself is recorded in full. */
#define BALANCE_MIN (-4 * GY_AMOUNT_MAX)

/* How a service is counted: what the tariff says now, and the row that remembers its last grant. */
struct counted {
	uint32_t rating_group;
	const struct gy_policy *policy; /* NULL: none */
	enum gy_rc tariff_rc;           /* of the result below */
	struct gy_tariff_result tariff;
	struct gy_reservation *row; /* NULL: none */
};

static int64_t units_used(const struct gy_service *service, enum gy_unit unit)
{
	int64_t units = 0;

	for (unsigned i = 0; i < service->n_used; i++) {
		int64_t more = service->used[i].count[unit];

		units = more > GY_AMOUNT_MAX - units ? GY_AMOUNT_MAX : units + more;
	}
	return units;
}

/* The unit of a report that has no price: the first that it holds. */
static enum gy_unit unit_reported(const struct gy_service *service)
{
	for (unsigned i = 0; i < service->n_used; i++)
		for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_COUNT; unit++)
			if (service->used[i].present[unit])
				return (enum gy_unit)unit;
	return GY_UNIT_NONE;
}

static bool names_units(const struct gy_service *service)
{
	for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_COUNT; unit++)
		if (service->requested_present[unit])
			return true;
	return false;
}

/* The price in force. A session keeps its kind of unit where it can (G-46); otherwise the request
 * chooses, or, if it leaves that to us (G-39), the tariff. */
static enum gy_rc resolve(const struct gy_charging *c, const struct gy_service *service,
			  struct counted *n)
{
	int32_t tariff = c->profile->tariff_id;

	if (!service->requested || !names_units(service)) {
		if (n->row != NULL && gy_tariff_resolve(c->catalogue, tariff, n->rating_group,
							n->row->unit, c->now, &n->tariff) == GY_OK)
			return GY_OK;
		return gy_tariff_resolve(c->catalogue, tariff, n->rating_group, GY_UNIT_NONE,
					 c->now, &n->tariff);
	}
	if (n->row != NULL && service->requested_present[n->row->unit] &&
	    gy_tariff_resolve(c->catalogue, tariff, n->rating_group, n->row->unit, c->now,
			      &n->tariff) == GY_OK)
		return GY_OK;
	for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_COUNT; unit++)
		if (service->requested_present[unit] &&
		    gy_tariff_resolve(c->catalogue, tariff, n->rating_group, (enum gy_unit)unit,
				      c->now, &n->tariff) == GY_OK)
			return GY_OK;
	return GY_RATING_FAILED;
}

/* Takes units at a rate from the balance, all of it (G-37). */
static void debit(struct gy_account *account, struct gy_rate rate, int64_t units, int64_t *carry,
		  struct gy_charge *charge)
{
	int64_t most = account->balance - BALANCE_MIN;
	int64_t micros = 0;

	if (!gy_price_debit(rate, units, carry, &micros))
		micros = GY_AMOUNT_MAX;
	if (micros > most)
		micros = most;
	account->balance -= micros;
	charge->used = units;
	charge->debit = micros;
	charge->debit_rate = rate;
	if (micros > 0 && account->balance + account->credit_limit < 0)
		charge->flags |= GY_CHARGE_OVERRUN;
}

/* What was used is paid at the price of the grant it was used under; without one, at today's. */
static void charge_usage(const struct gy_charging *c, const struct gy_service *service,
			 struct counted *n, struct gy_charge *charge)
{
	int64_t carry = 0;

	if (n->row != NULL) {
		charge->unit = n->row->unit;
		debit(c->account, n->row->rate, units_used(service, n->row->unit), &n->row->carry,
		      charge);
		gy_reservation_release(c->account, n->row);
		return;
	}
	if (n->tariff_rc == GY_OK && n->tariff.kind != GY_RULE_FORBIDDEN) {
		charge->unit = n->tariff.unit;
		debit(c->account, n->tariff.rate, units_used(service, n->tariff.unit), &carry,
		      charge);
		charge->rule_id = n->tariff.rule_id;
		charge->carry = carry;
		return;
	}
	charge->unit = unit_reported(service);
	charge->used = units_used(service, charge->unit);
	if (charge->used > 0)
		charge->flags |= GY_CHARGE_UNRATED;
}

/* The row that will hold the next grant, and holds the remainder meanwhile. NULL: no room. */
static struct gy_reservation *row_make(const struct gy_charging *c,
				       const struct gy_service *service, struct counted *n,
				       int64_t carry)
{
	struct gy_account *a = c->account;
	unsigned of_session = 0;

	for (unsigned i = 0; i < a->n_reservations; i++)
		of_session += a->reservations[i].session == (unsigned)c->session;
	if (of_session >= GY_SESSION_RESERVATIONS_MAX)
		return NULL;
	gy_assert(a->n_reservations < a->reservations_room);
	n->row = &a->reservations[a->n_reservations++];
	*n->row = (struct gy_reservation){
		.session = (unsigned)c->session,
		.rating_group = n->rating_group,
		.service_key = service->service_key,
		.unit = n->tariff.unit,
		.rate = n->tariff.rate,
		.carry = carry,
		.rule_id = n->tariff.rule_id,
	};
	return n->row;
}

/* From now on the row is priced by today's tariff; its remainder goes along. A price of nothing has
 * none, and must not hold a micro-unit for it. */
static void row_reprice(struct gy_reservation *row, const struct gy_tariff_result *tariff)
{
	if (row->unit != tariff->unit || tariff->rate.price_micros == 0)
		row->carry = 0;
	else
		row->carry = gy_carry_rescale(row->carry, row->rate.block, tariff->rate.block);
	row->unit = tariff->unit;
	row->rate = tariff->rate;
	row->rule_id = tariff->rule_id;
}

static gy_time_us earlier(gy_time_us a, gy_time_us b)
{
	return a < b ? a : b;
}

/* Never beyond the price's and the account's own end, never 0 (G-66). */
static uint32_t validity(const struct gy_charging *c, const struct counted *n)
{
	gy_time_us end = earlier(n->tariff.valid_until_us, c->account->valid_until_us);
	int64_t left = end > c->now ? (end - c->now) / GY_SECOND_US : 0;

	if (left >= (int64_t)n->policy->validity_s)
		return n->policy->validity_s;
	return left > 0 ? (uint32_t)left : 1;
}

/* The largest sum a reservation of this account may hold now. */
static int64_t holdable(const struct gy_account *account)
{
	int64_t available = gy_account_available(account);

	return available > GY_AMOUNT_MAX ? GY_AMOUNT_MAX : available;
}

static int64_t wanted_units(const struct gy_service *service, const struct counted *n)
{
	int64_t wanted = service->requested_count[n->tariff.unit];

	if (!service->requested_present[n->tariff.unit] || wanted == 0)
		wanted = n->policy->default_grant;
	return wanted > n->policy->max_grant ? n->policy->max_grant : wanted;
}

/* Sizes the grant and holds its price (G-39, G-40, G-47…G-50). */
static void grant(const struct gy_charging *c, const struct gy_service *service, struct counted *n,
		  struct gy_service_answer *answer)
{
	struct gy_reservation *row = n->row;
	int64_t wanted = wanted_units(service, n), units;
	bool covered;

	row_reprice(row, &n->tariff);
	units = gy_price_affordable(row->rate, holdable(c->account), row->carry);
	if (units >= wanted)
		units = wanted;
	else
		answer->final_unit = n->policy->final_unit;
	if (units == 0 && answer->final_unit <= GY_FINAL_TERMINATE) {
		answer->final_unit = GY_FINAL_NONE;
		answer->rc = GY_CREDIT_LIMIT_REACHED;
		return;
	}
	answer->validity_s = row->validity_s = validity(c, n);
	if (units == 0)
		return;
	covered = gy_price_reserve(row->rate, units, row->carry, &row->reserved);
	gy_assert(covered);
	row->granted = units;
	c->account->reserved += row->reserved;
	answer->unit = row->unit;
	answer->granted = units;
	answer->quota_holding_s = n->policy->quota_holding_s;
	if (answer->final_unit == GY_FINAL_NONE && n->policy->threshold < units &&
	    n->policy->threshold <= UINT32_MAX)
		answer->threshold = (uint32_t)n->policy->threshold;
}

/* A session that has ended remembers no new remainders. */
static bool is_open(const struct gy_charging *c)
{
	return c->session >= 0 && c->account->sessions[c->session].state == GY_SESSION_OPEN;
}

static bool asks(const struct gy_charging *c, const struct gy_service *service)
{
	return service->requested && c->may_grant && !(service->reasons & 1U << GY_REASON_FINAL);
}

/* After the final units: the usage is paid, nothing is left, the gateway asks again at this
 * Validity-Time's end (G-63). */
static bool awaits_topup(const struct gy_charging *c, const struct gy_service *service,
			 const struct counted *n)
{
	return c->ccr->type == GY_UPDATE && !service->requested && n->row != NULL &&
	       n->policy != NULL && n->policy->final_unit > GY_FINAL_TERMINATE &&
	       gy_price_affordable(n->row->rate, holdable(c->account), n->row->carry) == 0;
}

static enum gy_rc kind_rc(const struct counted *n)
{
	if (n->tariff_rc != GY_OK || n->policy == NULL)
		return GY_RATING_FAILED;
	switch (n->tariff.kind) {
	case GY_RULE_FREE:
		return GY_CREDIT_CONTROL_NOT_APPLICABLE;
	case GY_RULE_FORBIDDEN:
		return GY_END_USER_SERVICE_DENIED;
	case GY_RULE_PRICED:
		break;
	}
	return GY_OK;
}

static void charge_and_grant(const struct gy_charging *c, const struct gy_service *service,
			     struct counted *n, struct gy_service_answer *answer,
			     struct gy_charge *charge)
{
	bool paid_by_row = n->row != NULL;

	charge_usage(c, service, n, charge);
	answer->rc = kind_rc(n);
	if (paid_by_row && !asks(c, service))
		answer->rc = GY_OK; /* the grant's own price was enough to settle it */
	if (!is_open(c) || answer->rc != GY_OK)
		return;
	if (n->row == NULL && row_make(c, service, n, charge->carry) == NULL) {
		answer->rc = GY_END_USER_SERVICE_DENIED;
		return;
	}
	if (!asks(c, service)) {
		if (awaits_topup(c, service, n))
			answer->validity_s = n->row->validity_s = n->policy->validity_s;
	} else if (c->denied != GY_OK) {
		answer->rc = c->denied;
	} else {
		grant(c, service, n, answer);
	}
}

void gy_service_charge(const struct gy_charging *c, const struct gy_service *service,
		       struct gy_service_answer *answer, struct gy_charge *charge)
{
	int64_t group =
		service->has_rating_group ? (int64_t)service->rating_group : c->default_group;
	struct counted n = { .rating_group = group >= 0 ? (uint32_t)group : 0 };

	*answer = (struct gy_service_answer){
		.has_rating_group = service->has_rating_group,
		.rating_group = service->rating_group,
		.n_service_ids = service->n_service_ids,
		.service_ids = service->service_ids,
		.final_unit = GY_FINAL_NONE,
	};
	*charge = (struct gy_charge){
		.rating_group = n.rating_group,
		.service_key = service->service_key,
		.flags = service->has_rating_group ? 0 : GY_CHARGE_NO_RATING_GROUP,
		.rate.block = 1,
	};
	n.tariff_rc = GY_RATING_FAILED;
	if (group >= 0) {
		n.policy = gy_policy_find(c->catalogue, n.rating_group);
		if (c->session >= 0)
			n.row = gy_reservation_find(c->account, (unsigned)c->session,
						    n.rating_group, service->service_key);
		n.tariff_rc = resolve(c, service, &n);
	}
	charge_and_grant(c, service, &n, answer, charge);
	answer->policy = n.policy;
	charge->rc = answer->rc;
	charge->final_unit = answer->final_unit;
	charge->quota_holding_s = answer->quota_holding_s;
	charge->validity_s = answer->validity_s;
	charge->threshold = answer->threshold;
	if (n.row != NULL) {
		charge->unit = answer->unit != GY_UNIT_NONE ? answer->unit : charge->unit;
		charge->granted = n.row->granted;
		charge->reserved = n.row->reserved;
		charge->rate = n.row->rate;
		charge->carry = n.row->carry;
		charge->rule_id = n.row->rule_id;
	}
}
