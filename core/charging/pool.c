/* See pool.h. */
#include "core/charging/pool.h"

#include "core/base/assert.h"
#include "core/rating/price.h"

uint32_t gy_pool_of(const struct gy_servicing *s)
{
	const struct gy_tariff_result *t = &s->tariff;

	if (s->policy == NULL || !s->c->pools || s->cards_only || t->kind != GY_RULE_PRICED ||
	    t->rate.price_micros == 0 || t->unit == GY_UNIT_MONEY)
		return 0;
	return s->policy->pool;
}

unsigned gy_pooled(const struct gy_account *account)
{
	unsigned n = 0;

	for (unsigned i = 0; i < account->n_reservations; i++)
		n += account->reservations[i].pool != 0;
	return n;
}

/* What the request reports as used of a grant, units of its kind; -1: nothing is said about it. */
static int64_t reported(const struct gy_charging *c, const struct gy_reservation *row)
{
	int64_t units = -1;

	for (unsigned i = 0; i < c->ccr->n_services; i++) {
		const struct gy_service *service = &c->ccr->services[i];
		int64_t group = service->has_rating_group ? (int64_t)service->rating_group
							  : c->default_group;

		if (group != (int64_t)row->rating_group || service->service_key != row->service_key)
			continue;
		if (units < 0)
			units = 0;
		for (unsigned k = 0; k < service->n_used; k++) {
			int64_t used = service->used[k].count[row->unit];

			units = used > GY_AMOUNT_MAX - units ? GY_AMOUNT_MAX : units + used;
		}
	}
	return units;
}

/* Takes so much money of another grant, as far as it hasn't used it itself. Returns how much. */
static int64_t shrink(struct gy_reservation *row, int64_t used, int64_t micros)
{
	int64_t left = row->reserved > micros ? row->reserved - micros : 0, held = 0;
	int64_t granted = gy_price_affordable(row->rate, left, row->carry);

	if (granted < used)
		granted = used;
	if (granted >= row->granted)
		return 0;
	if (granted > 0 && !gy_price_reserve(row->rate, granted, row->carry, &held))
		return 0;
	micros = row->reserved - held;
	row->granted = granted;
	row->reserved = held;
	row->shrunk = true;
	return micros;
}

/* What one grant lacks comes from the others of its pool, in their order. */
static void draw(const struct gy_charging *c, struct gy_reservation *row, int64_t used)
{
	struct gy_account *a = c->account;
	int64_t carry = row->carry, free = gy_account_available(a), cost, lacking;

	if (!gy_price_debit(row->rate, used, &carry, &cost))
		cost = GY_AMOUNT_MAX;
	lacking = cost - row->reserved;
	/* Settled, and not granted anew: the rest of its old grant may still count with the
	 * gateway, and is what has become free. */
	if (row->granted == 0 && free > 0)
		lacking -= free;
	for (unsigned i = 0; i < a->n_reservations && lacking > 0; i++) {
		struct gy_reservation *other = &a->reservations[i];
		int64_t theirs, taken;

		if (other == row || other->session != row->session || other->pool != row->pool)
			continue;
		theirs = reported(c, other);
		taken = shrink(other, theirs > 0 ? theirs : 0, lacking);
		row->reserved += taken;
		lacking -= taken;
	}
	/* As long as the request is being decided: it is charged against this, then released. */
	row->granted = gy_price_affordable(row->rate, row->reserved, row->carry);
	if (row->granted > used)
		row->granted = used;
}

void gy_pools_draw(const struct gy_charging *c)
{
	struct gy_account *a = c->account;

	if (c->session < 0)
		return;
	for (unsigned i = 0; i < a->n_reservations; i++) {
		struct gy_reservation *row = &a->reservations[i];
		int64_t used;

		if (row->pool == 0 || row->session != (unsigned)c->session)
			continue;
		used = reported(c, row);
		if (used > row->granted)
			draw(c, row, used);
	}
}

unsigned gy_pools_note(const struct gy_charging *c, struct gy_charge *charges, unsigned most)
{
	struct gy_account *a = c->account;
	unsigned n = 0;

	for (unsigned i = 0; i < a->n_reservations; i++) {
		struct gy_reservation *row = &a->reservations[i];

		if (!row->shrunk)
			continue;
		row->shrunk = false;
		/* Its own row of the record says what became of it, or the end of the session. */
		if (reported(c, row) >= 0 || c->ccr->type == GY_TERMINATION)
			continue;
		gy_assert(n < most);
		charges[n++] = (struct gy_charge){
			.rating_group = row->rating_group,
			.service_key = row->service_key,
			.rc = GY_OK,
			.unit = row->unit,
			.final_unit = GY_FINAL_NONE,
			.granted = row->granted,
			.reserved = row->reserved,
			.rate = row->rate,
			.carry = row->carry,
			.rule_id = row->rule_id,
			.validity_s = row->validity_s,
			.pool = row->pool,
			.flags = GY_CHARGE_PART | GY_CHARGE_SHRUNK,
		};
	}
	return n;
}
