/* Octets that are asked for and granted by direction: CC-Input-Octets, CC-Output-Octets or both,
 * instead of CC-Total-Octets (G-39). What is counted, priced and held is always their sum (G-41).
 */
#ifndef GY_CHARGING_DIRECTION_H
#define GY_CHARGING_DIRECTION_H

#include "core/charging/answer.h"

/* Notes what a Requested-Service-Unit without CC-Total-Octets names; NULL: it doesn't. A 0 beside
 * an amount asks for nothing. */
void gy_directions_ask(struct gy_service *service, const int64_t *input, const int64_t *output);

/* The directions of a grant in this unit: those that the request names; if it leaves the units to
 * us, those of the grant before it (G-46). */
unsigned gy_directions_of(const struct gy_service *service, enum gy_unit unit, unsigned before);

/* Names the granted octets by direction. Both get of them what the request's amounts are to each
 * other; half each where it has none. asked NULL: the request isn't at hand. */
void gy_directions_grant(struct gy_service_answer *answer, unsigned directions,
			 const struct gy_service *asked);

#endif
