/* Events: debits, refunds and questions of one request, without a session (RFC 8506 §6, rules G-73
 * to G-79). */
#ifndef GY_CHARGING_EVENT_H
#define GY_CHARGING_EVENT_H

#include "core/charging/service.h"

/* Decides a CCR-E that is no duplicate; the subscriber is active, the service context charged.
 * Debits or credits the account, or only answers. *debit: taken from the balance, negative if
 * given. True: the account has changed, plan->answer and plan->record's charges tell how. False:
 * only plan->answer is to be given, a refusal or a question's answer. */
bool gy_event_charge(const struct gy_charging *charging, struct gy_plan *plan, int64_t *debit);

#endif
