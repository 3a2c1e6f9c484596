/* The traffic of one service; see the header. */
#include <string.h>

#include "tests/client/flow.h"

#define REASON_THRESHOLD       0
#define REASON_FINAL           2
#define REASON_QUOTA_EXHAUSTED 3

#define TERMINATE 0

/* Used units at which the next report is due. */
static int64_t report_at(const struct gy_flow *f, int64_t step)
{
	int64_t at = f->granted;

	if (f->final_unit < 0 && f->threshold >= 0 && f->threshold < at)
		at -= f->threshold;
	if (step > 0 && step < at)
		at = step;
	return at;
}

static void use(struct gy_flow *f, int64_t units)
{
	f->used += units;
	f->total += units;
	f->wanted -= units;
}

int gy_flow_run(struct gy_flow *f, int64_t step)
{
	int64_t at;

	if (f->state == GY_FLOW_FREE) {
		f->total += f->wanted;
		f->wanted = 0;
		f->state = GY_FLOW_DONE;
	}
	if (f->state != GY_FLOW_FLOWING)
		return -1;
	at = report_at(f, step);
	if (f->used + f->wanted < at || (f->used + f->wanted == at && f->final_unit < 0)) {
		use(f, f->wanted);
		f->state = GY_FLOW_DONE;
		return -1;
	}
	if (at > f->used)
		use(f, at - f->used);
	if (at < f->granted)
		return REASON_THRESHOLD;
	if (f->final_unit >= 0) {
		f->state = GY_FLOW_BLOCKED;
		return REASON_FINAL;
	}
	return REASON_QUOTA_EXHAUSTED;
}

void gy_flow_report(struct gy_flow *f, int reason, bool request, struct gy_case_service *service,
		    struct gy_case_used *used)
{
	/* G-53: these stand in the USU, all others in the MSCC. */
	bool in_used = reason == REASON_THRESHOLD || reason == REASON_QUOTA_EXHAUSTED;

	*service = (struct gy_case_service){
		.has_rating_group = f->has_rating_group,
		.rating_group = f->rating_group,
		.n_service_ids = f->n_service_ids,
		.service_ids = f->service_ids,
		.requested = request,
		.reason = in_used ? -1 : reason,
		.used_reason = in_used ? reason : -1,
	};
	if (request && f->request_size > 0) {
		service->requested_units.present[f->quantity] = true;
		service->requested_units.count[f->quantity] = f->request_size;
	}
	if (f->state == GY_FLOW_ASKING && f->used == 0)
		return;
	*used = (struct gy_case_used){ .tariff_change = -1 };
	used->units.present[f->quantity] = true;
	used->units.count[f->quantity] = f->used;
	service->n_used = 1;
	service->used = used;
	f->reported += f->used;
	f->used = 0;
	f->granted = 0;
}

void gy_flow_answered(struct gy_flow *f, const struct gy_case_seen_service *seen)
{
	f->code = seen->code;
	f->granted = 0;
	f->threshold = f->quantity == GY_CASE_SECONDS   ? seen->time_threshold
		       : f->quantity == GY_CASE_SERVICE ? seen->unit_threshold
							: seen->volume_threshold;
	f->validity_s = seen->validity;
	f->final_unit = seen->final_unit;
	for (int q = 0; q < GY_CASE_QUANTITIES; q++)
		if (seen->grant.present[q])
			f->granted = seen->grant.count[q];
	if (f->state == GY_FLOW_DONE || f->state == GY_FLOW_BLOCKED)
		return;
	if (seen->code == 4011)
		f->state = GY_FLOW_FREE;
	else
		f->state = seen->code == 2001 && f->granted > 0 ? GY_FLOW_FLOWING : GY_FLOW_BLOCKED;
}

bool gy_flow_reauthorise(struct gy_flow *f)
{
	if (f->state == GY_FLOW_BLOCKED && f->wanted > 0)
		f->state = GY_FLOW_ASKING;
	return f->state == GY_FLOW_ASKING || gy_flow_open(f);
}

bool gy_flow_open(const struct gy_flow *f)
{
	return f->used > 0 || f->granted > 0;
}
