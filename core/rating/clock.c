/* Local time from transition tables: see clock.h. */
#include "core/rating/clock.h"

#define HOUR_US   (3600 * GY_SECOND_US)
#define MINUTE_US (60 * GY_SECOND_US)
#define DAY_US    (86400 * GY_SECOND_US)
/* Edges looked at before one is returned at which nothing may change. */
#define STEPS_MAX 64

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Years begin on 1 March here, so that the leap day is the last one. */
int64_t gy_civil_day(int64_t year, int month, int day_of_month)
{
	int64_t shifted = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(shifted, 400), of_era = shifted - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day_of_month - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The offset in force at an instant, and the instant at which the next one comes. */
static int64_t offset_us(const struct gy_zone *zone, gy_time_us at, gy_time_us *until)
{
	unsigned low = 0, high = zone->n_changes; /* changes before low are <= at */

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (zone->changes[middle].at_us <= at)
			low = middle + 1;
		else
			high = middle;
	}
	/* Before the first change its own offset holds: nothing changes there. */
	if (low == 0)
		low = 1;
	*until = low < zone->n_changes ? zone->changes[low].at_us : INT64_MAX;
	return zone->changes[low - 1].offset_s * GY_SECOND_US;
}

static struct gy_civil civil(int64_t local_us)
{
	struct gy_civil c;
	int64_t shifted, era, of_era, year_of_era, of_year;
	int month;

	c.day = floor_div(local_us, DAY_US);
	c.of_day_us = local_us - c.day * DAY_US;
	c.weekday = (int)(c.day + 3 - floor_div(c.day + 3, 7) * 7) + 1; /* 1970-01-01: Thursday */
	shifted = c.day + 719468;
	era = floor_div(shifted, 146097);
	of_era = shifted - era * 146097;
	year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (int)((5 * of_year + 2) / 153);
	c.day_of_month = (int)(of_year - (153 * month + 2) / 5) + 1;
	c.month = month < 10 ? month + 3 : month - 9;
	c.year = year_of_era + era * 400 + (c.month <= 2);
	return c;
}

struct gy_civil gy_civil_at(const struct gy_zone *zone, gy_time_us at)
{
	gy_time_us until;

	return civil(at + offset_us(zone, at, &until));
}

gy_time_us gy_clock_next_change(const struct gy_zone *zone, gy_time_us at)
{
	gy_time_us until;

	(void)offset_us(zone, at, &until);
	return until;
}

/* Index of the first listed day >= day. */
static unsigned first_day(const struct gy_calendar *calendar, int64_t day)
{
	unsigned low = 0, high = calendar->n_days;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (calendar->days[middle] < day)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool holiday(const struct gy_calendar *calendar, int64_t day)
{
	unsigned i = first_day(calendar, day);

	return i < calendar->n_days && calendar->days[i] == day;
}

static int64_t value_of(const struct gy_civil *c, const struct gy_calendar *calendar,
			enum gy_derivation derivation)
{
	switch (derivation) {
	case GY_DERIVE_HOUR:
		return c->of_day_us / HOUR_US;
	case GY_DERIVE_MINUTE_OF_DAY:
		return c->of_day_us / MINUTE_US;
	case GY_DERIVE_WEEKDAY:
		return c->weekday;
	case GY_DERIVE_DAY_OF_MONTH:
		return c->day_of_month;
	case GY_DERIVE_MONTH:
		return c->month;
	case GY_DERIVE_HOLIDAY:
		return calendar != NULL && holiday(calendar, c->day);
	default:
		return 0;
	}
}

int64_t gy_clock_value(const struct gy_zone *zone, const struct gy_calendar *calendar,
		       enum gy_derivation derivation, gy_time_us at)
{
	struct gy_civil c = gy_civil_at(zone, at);

	return value_of(&c, calendar, derivation);
}

static int64_t next_month_day(const struct gy_civil *c)
{
	return c->month == 12 ? gy_civil_day(c->year + 1, 1, 1)
			      : gy_civil_day(c->year, c->month + 1, 1);
}

/* The next local day, after today, on which it is or is not a holiday; INT64_MIN if never. */
static int64_t holiday_flip(const struct gy_calendar *calendar, int64_t today)
{
	unsigned i = calendar == NULL ? 0 : first_day(calendar, today);

	if (calendar == NULL || i == calendar->n_days)
		return INT64_MIN;
	if (calendar->days[i] != today)
		return calendar->days[i];
	while (i + 1 < calendar->n_days && calendar->days[i + 1] == calendar->days[i] + 1)
		i++;
	return (int64_t)calendar->days[i] + 1;
}

/* The next instant by the wall clock at which the value may leave [.., high); INT64_MIN: never. */
static int64_t boundary(const struct gy_civil *c, const struct gy_calendar *calendar,
			enum gy_derivation derivation, int64_t high)
{
	int64_t day = c->day + 1, unit = 0, month_end;

	switch (derivation) {
	case GY_DERIVE_HOUR:
		unit = HOUR_US;
		break;
	case GY_DERIVE_MINUTE_OF_DAY:
		unit = MINUTE_US;
		break;
	case GY_DERIVE_WEEKDAY:
		day = c->day + (high <= 7 ? high : 8) - c->weekday;
		break;
	case GY_DERIVE_DAY_OF_MONTH:
		month_end = next_month_day(c);
		day = high <= 31 ? c->day + high - c->day_of_month : month_end;
		if (day > month_end)
			day = month_end;
		break;
	case GY_DERIVE_MONTH:
		day = next_month_day(c);
		break;
	case GY_DERIVE_HOLIDAY:
		day = holiday_flip(calendar, c->day);
		break;
	default:
		return INT64_MIN;
	}
	if (unit != 0 && high < DAY_US / unit)
		return c->day * DAY_US + high * unit;
	return day == INT64_MIN ? INT64_MIN : day * DAY_US;
}

static bool whole_domain(enum gy_derivation derivation, int64_t low, int64_t high)
{
	switch (derivation) {
	case GY_DERIVE_HOUR:
		return low <= 0 && high >= 24;
	case GY_DERIVE_MINUTE_OF_DAY:
		return low <= 0 && high >= 1440;
	case GY_DERIVE_WEEKDAY:
		return low <= 1 && high >= 8;
	case GY_DERIVE_DAY_OF_MONTH:
		return low <= 1 && high >= 32;
	case GY_DERIVE_MONTH:
		return low <= 1 && high >= 13;
	case GY_DERIVE_HOLIDAY:
		return low <= 0 && high >= 2;
	default:
		return true;
	}
}

gy_time_us gy_clock_leaves(const struct gy_zone *zone, const struct gy_calendar *calendar,
			   enum gy_derivation derivation, gy_time_us at, int64_t low, int64_t high)
{
	gy_time_us t = at;

	if (whole_domain(derivation, low, high))
		return INT64_MAX;
	for (int step = 0; step < STEPS_MAX; step++) {
		gy_time_us until;
		int64_t offset = offset_us(zone, t, &until), edge, value;
		struct gy_civil c = civil(t + offset);

		edge = boundary(&c, calendar, derivation, high);
		if (edge == INT64_MIN && until == INT64_MAX)
			return INT64_MAX;
		t = edge != INT64_MIN && edge - offset < until ? edge - offset : until;
		value = gy_clock_value(zone, calendar, derivation, t);
		if (value < low || value >= high)
			return t;
	}
	return t;
}

gy_time_us gy_clock_next_day(const struct gy_zone *zone, gy_time_us at)
{
	int64_t today = gy_civil_at(zone, at).day;
	gy_time_us t = at;

	for (;;) {
		gy_time_us until;
		int64_t offset = offset_us(zone, t, &until);
		gy_time_us midnight = (today + 1) * DAY_US - offset;

		if (midnight < until)
			return midnight;
		t = until;
		if (gy_civil_at(zone, t).day != today)
			return t;
	}
}
