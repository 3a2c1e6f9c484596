/* Which subscribers' prices a dry run would change, and how.
 *
 * By the pure functions that a node uses, at the present moment, with stored attributes and pushed
 * values, for nobody in particular on the network's side: no request, so roaming, location and RAT
 * are missing, and nothing used yet. */
#ifndef GY_CTL_PRICES_H
#define GY_CTL_PRICES_H

#include "deploy/gyroctl/sound.h"

/* Subscribers that are looked at: the first by number. */
#define GY_PRICED_MAX 20000
/* Subscribers that are shown. */
#define GY_PRICES_SHOWN 20

struct gy_prices;

/* Prices as this transaction sees them; NULL after an error. */
struct gy_prices *gy_prices_find(struct gy_ctl *ctl, const struct gy_catalogue *catalogue,
				 const struct gy_pushed *pushed);

/* What differs; either may be NULL: not known. */
void gy_prices_show(struct gy_ctl *ctl, const struct gy_prices *before,
		    const struct gy_prices *after);

#endif
