/* Local time, computed from an instant and tables that came with the snapshot: no libc, no tz
 * files, no clock. The proleptic Gregorian calendar; leap seconds don't exist, as in POSIX. */
#ifndef GY_RATING_CLOCK_H
#define GY_RATING_CLOCK_H

#include "core/rating/attribute.h"

/* From at_us on, local time = UTC + offset_s. */
struct gy_zone_change {
	gy_time_us at_us;
	int32_t offset_s; /* -86399..86399, whole minutes or not */
};

/* A time zone as its transitions. The first offset also holds before it, the last one after it. */
struct gy_zone {
	int32_t zone_id; /* > 0 */
	const char *name;
	unsigned n_changes;                   /* >= 1 */
	const struct gy_zone_change *changes; /* ascending */
};

/* Those of a snapshot. */
struct gy_zones {
	unsigned n;
	const struct gy_zone *zones; /* by zone_id */
	int32_t default_zone_id;
};

/* Days of a holiday calendar, as days since 1970-01-01, ascending. */
struct gy_calendar {
	int32_t calendar_id; /* > 0 */
	const char *name;
	unsigned n_days;
	const int32_t *days;
};

/* A local date and time. */
struct gy_civil {
	int64_t day;       /* days since 1970-01-01 */
	int64_t of_day_us; /* since local midnight by the wall clock, 0..86399999999 */
	int64_t year;
	int month;        /* 1..12 */
	int day_of_month; /* 1..31 */
	int weekday;      /* 1 Monday .. 7 Sunday */
};

/* Days since 1970-01-01 of a date. */
int64_t gy_civil_day(int64_t year, int month, int day_of_month);

/* The local date and time of an instant. */
struct gy_civil gy_civil_at(const struct gy_zone *zone, gy_time_us at);

/* The value of a clock attribute (GY_DERIVE_HOUR .. GY_DERIVE_HOLIDAY) at an instant. */
int64_t gy_clock_value(const struct gy_zone *zone, const struct gy_calendar *calendar,
		       enum gy_derivation derivation, gy_time_us at);

/* The first instant after `at` at which a clock attribute's value is outside of [low, high), which
 * holds its value at `at`; INT64_MAX if it stays there for ever. After 64 transitions it gives up
 * and returns an earlier instant. */
gy_time_us gy_clock_leaves(const struct gy_zone *zone, const struct gy_calendar *calendar,
			   enum gy_derivation derivation, gy_time_us at, int64_t low, int64_t high);

/* The first instant after `at` at which the clock is set; INT64_MAX: never again. */
gy_time_us gy_clock_next_change(const struct gy_zone *zone, gy_time_us at);

/* The first instant after `at` that belongs to another local date than `at`. */
gy_time_us gy_clock_next_day(const struct gy_zone *zone, gy_time_us at);

#endif
