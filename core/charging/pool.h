/* Credit pools: Rating-Groups of one session that draw from one sum (RFC 8506 §5.1.2, G-72).
 *
 * Each member keeps a grant of its own, and money held for it; the gateway is told to count them as
 * one: S = sum of Qi * Mi, in micro-units, Mi being the price of a unit. So a member may use more
 * than its grant as long as the others use less. When it reports that, their grants shrink by as
 * much money as it took: what is held stays the price of what is granted, always. */
#ifndef GY_CHARGING_POOL_H
#define GY_CHARGING_POOL_H

#include "core/charging/service.h"

/* The pool that this service's next grant is part of, if money pays for all of it; 0: none. Sets
 * nothing. */
uint32_t gy_pool_of(const struct gy_servicing *s);

/* Before anything of a request is charged: gives to each grant that it reports as exceeded what the
 * others of its pool can spare. */
void gy_pools_draw(const struct gy_charging *charging);

/* After everything is charged: a row of the record for each grant that has shrunk and that the
 * request itself doesn't settle or, as a CCR-T, release. Returns how many there are, at charges
 * (room for most). */
unsigned gy_pools_note(const struct gy_charging *charging, struct gy_charge *charges,
		       unsigned most);

/* Grants of an account that are in a pool: the most rows that gy_pools_note may need. */
unsigned gy_pooled(const struct gy_account *account);

#endif
