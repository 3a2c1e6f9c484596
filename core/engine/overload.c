/* See overload.h. */
#include "core/engine/overload.h"

#define SECOND_NS INT64_C(1000000000)

/* A report that stays the same is renewed when half of its validity is over. */
#define RENEW_NS (GY_OVERLOAD_VALIDITY_S * SECOND_NS / 2)
/* The end is told as long as somebody may still believe the report before it. */
#define END_TOLD_NS (GY_OVERLOAD_VALIDITY_S * SECOND_NS)

static unsigned raised(unsigned reduction, uint64_t came, uint64_t refused)
{
	/* Rounded up: asking for too little asks again. */
	uint64_t served = (100 - reduction) * (came - refused) / came;
	unsigned wanted = (unsigned)(100 - served);

	return wanted < GY_REDUCTION_MAX ? wanted : GY_REDUCTION_MAX;
}

static unsigned lowered(unsigned reduction)
{
	unsigned step = reduction / 10 > 2 ? reduction / 10 : 2;

	return reduction > step ? reduction - step : 0;
}

static void report(struct gy_overload *o, unsigned reduction, int64_t now_ns, uint64_t stamp)
{
	o->sequence = stamp > o->sequence ? stamp : o->sequence + 1;
	o->changed_ns = now_ns;
	o->report = (struct gy_overload_report){
		.sequence = o->sequence,
		.reduction_percent = reduction,
		.validity_s = reduction > 0 ? GY_OVERLOAD_VALIDITY_S : 0,
	};
}

bool gy_overload_step(struct gy_overload *o, uint64_t came, uint64_t refused, int64_t now_ns,
		      uint64_t stamp)
{
	unsigned reduction = o->report.reduction_percent, wanted;

	if (refused > came)
		refused = came;
	wanted = refused > 0 ? raised(reduction, came, refused) : lowered(reduction);
	if (wanted != reduction || (wanted > 0 && now_ns - o->changed_ns >= RENEW_NS)) {
		report(o, wanted, now_ns, stamp);
		return true;
	}
	if (o->report.sequence != 0 && wanted == 0 && now_ns - o->changed_ns >= END_TOLD_NS) {
		o->report = (struct gy_overload_report){ .sequence = 0 };
		return true;
	}
	return false;
}
