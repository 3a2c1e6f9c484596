/* One service of a request (an MSCC, or the command's own units): debit what was used, then reserve
 * what may be used next. What gy_charge_decide does for each of them, in request order. */
#ifndef GY_CHARGING_SERVICE_H
#define GY_CHARGING_SERVICE_H

#include "core/charging/decide.h"

/* What is the same for all services of one request. */
struct gy_charging {
	const struct gy_ccr *ccr;
	const struct gy_catalogue *catalogue;
	const struct gy_profile *profile;
	struct gy_account *account;
	int session; /* index in the account; -1: it is no longer there (late usage only) */
	gy_time_us now;
	bool may_grant;        /* the session is open and goes on: not a CCR-T, not late usage */
	enum gy_rc denied;     /* what a request for units gets instead of them; GY_OK: nothing */
	int64_t default_group; /* Rating-Group of services that name none; -1: none (G-44) */
};

/* Debits the service's usage at the price of its grant, releases what it held and, if allowed,
 * reserves anew (G-37…G-50). Both outputs are filled whole; the account is changed. */
void gy_service_charge(const struct gy_charging *charging, const struct gy_service *service,
		       struct gy_service_answer *answer, struct gy_charge *charge);

#endif
