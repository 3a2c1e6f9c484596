/* What a subscriber has used and paid today and this month: for attributes of the source counter
 * and for FREE rules (spec/tariffs.md). Days and months are local to the subscriber's time zone. */
#ifndef GY_CHARGING_COUNTERS_H
#define GY_CHARGING_COUNTERS_H

#include "core/charging/account.h"
#include "core/rating/dynamic.h"

/* FREE rules whose use is remembered for one subscriber at a time. */
#define GY_FREE_USED_MAX 32

struct gy_counting {
	const struct gy_dynamic *dynamic; /* NULL, or without counts: nothing is counted */
	int64_t subscriber_id;
	int32_t zone_id;
};

/* The counters as rating wants them, at `at`, for a Rating-Group and unit. Free units that other
 * reservations hold count as used, and what can't be counted is used up. free has room for
 * GY_FREE_USED_MAX; *counters points to it. */
void gy_counters_read(const struct gy_account *account, const struct gy_counting *counting,
		      uint32_t rating_group, enum gy_unit unit, gy_time_us at,
		      struct gy_free_used *free, struct gy_counters *counters);

/* Adds what was used of a Rating-Group and what it cost; free_rule: units of it were free by that
 * rule, 0 none. Rows of past days and months make way; rows of later ones (the usage may be
 * yesterday's) keep what they say of these. */
void gy_counters_add(struct gy_account *account, const struct gy_counting *counting,
		     uint32_t rating_group, enum gy_unit unit, int64_t units, int64_t micros,
		     int64_t free_rule, gy_time_us at);

/* True if both instants are of one local day. */
bool gy_counters_same_day(const struct gy_counting *counting, gy_time_us a, gy_time_us b);

#endif
