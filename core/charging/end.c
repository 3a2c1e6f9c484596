/* The end of a session without a request: by supervision, by an operator, by its gateway's restart.
 * See decide.h. */
#include "core/base/assert.h"
#include "core/charging/decide.h"

void gy_charge_end(struct gy_account *account, struct gy_session_key key,
		   const struct gy_homes *homes, enum gy_session_state reason, gy_time_us now,
		   int64_t late_window_us, struct gy_plan *plan)
{
	int found = gy_session_find(account, key);
	struct gy_session *s;
	unsigned n = 0;

	plan->changed = plan->opened = plan->unmatched = false;
	plan->check_at_us = 0;
	if (found < 0 || account->sessions[found].state != GY_SESSION_OPEN)
		return;
	s = &account->sessions[found];
	if (reason == GY_SESSION_EXPIRED && now < s->deadline_us) {
		plan->check_at_us = s->deadline_us;
		return;
	}
	for (unsigned i = 0; i < account->n_reservations; i++) {
		struct gy_reservation *row = &account->reservations[i];

		if (row->session != (unsigned)found || row->granted == 0)
			continue;
		gy_assert(n < plan->parts * plan->room);
		plan->charges[n++] = (struct gy_charge){
			.rating_group = row->rating_group,
			.service_key = row->service_key,
			.rc = GY_OK,
			.unit = row->unit,
			.final_unit = GY_FINAL_NONE,
			.rate = row->rate,
			.carry = row->carry,
			.rule_id = row->rule_id,
		};
		gy_reservation_release(account, homes, row);
	}
	s->state = reason;
	s->deadline_us = now + late_window_us;
	plan->changed = true;
	plan->record = (struct gy_record){
		.at_us = now,
		.account_id = account->account_id,
		.group_id = account->group_id,
		.subscriber_id = s->subscriber_id,
		.gateway_id = s->gateway_id,
		.session = key,
		.opened_us = s->opened_us,
		/* A greater one that comes later is new: its record needn't be looked for. */
		.number = s->highest > 0 ? (uint32_t)s->highest : 0,
		.balance = account->balance,
		.reserved = account->reserved,
		.rc = GY_OK,
		.n_charges = n,
		.charges = plan->charges,
	};
	gy_tombstones_trim(account, now);
}
