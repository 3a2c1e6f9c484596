/* Counters of the day and the month: see counters.h. */
#include "core/charging/counters.h"

#include "core/base/assert.h"
#include "core/base/limits.h"

/* An account keeps at most so many rows; further kinds of usage then go uncounted, never unpaid. */
#define COUNTERS_MAX 256

static bool counts(const struct gy_counting *counting)
{
	return counting->dynamic != NULL && counting->dynamic->counts;
}

static struct gy_civil civil(const struct gy_counting *counting, gy_time_us at)
{
	const struct gy_zone *zone = gy_zone_find(counting->dynamic, counting->zone_id);

	if (zone == NULL)
		return (struct gy_civil){ .day = at / (86400 * GY_SECOND_US) };
	return gy_civil_at(zone, at);
}

static int64_t month_of(struct gy_civil date)
{
	return date.year * 12 + date.month;
}

bool gy_counters_same_day(const struct gy_counting *counting, gy_time_us a, gy_time_us b)
{
	return counting->dynamic == NULL || civil(counting, a).day == civil(counting, b).day;
}

static int64_t sum(int64_t a, int64_t b)
{
	return b > GY_AMOUNT_MAX - a ? GY_AMOUNT_MAX : a + b;
}

static void take(const struct gy_counter *row, struct gy_civil today, struct gy_counted *counted)
{
	if (row->day == today.day) {
		counted->units_day = row->units_day;
		counted->money_day_micros = row->micros_day;
	}
	if (row->month == month_of(today)) {
		counted->units_month = row->units_month;
		counted->money_month_micros = row->micros_month;
	}
}

static void free_used(struct gy_free_used *free, unsigned *n, int64_t rule_id, int64_t units)
{
	for (unsigned i = 0; i < *n; i++)
		if (free[i].rule_id == rule_id) {
			free[i].units = sum(free[i].units, units);
			return;
		}
	if (*n < GY_FREE_USED_MAX)
		free[(*n)++] = (struct gy_free_used){ rule_id, units };
}

/* Free units that the subscriber's other grants hold: they can't be promised twice. */
static void free_held(const struct gy_account *account, const struct gy_counting *counting,
		      struct gy_free_used *free, unsigned *n)
{
	for (unsigned i = 0; i < account->n_slices; i++) {
		const struct gy_slice *slice = &account->slices[i];
		const struct gy_reservation *row = &account->reservations[slice->reservation];

		if (slice->from == GY_FROM_FREE && slice->phase == 0 &&
		    account->sessions[row->session].subscriber_id == counting->subscriber_id)
			free_used(free, n, slice->from_id, slice->units);
	}
}

void gy_counters_read(const struct gy_account *account, const struct gy_counting *counting,
		      uint32_t rating_group, enum gy_unit unit, gy_time_us at,
		      struct gy_free_used *free, struct gy_counters *counters)
{
	struct gy_civil today;
	unsigned n = 0;

	*counters = (struct gy_counters){ .at_us = at, .free = free };
	if (!counts(counting))
		return;
	today = civil(counting, at);
	for (unsigned i = 0; i < account->n_counters; i++) {
		const struct gy_counter *row = &account->counters[i];

		if (row->subscriber_id != counting->subscriber_id)
			continue;
		if (row->kind == GY_COUNTED_FREE && row->day == today.day)
			free_used(free, &n, row->id, row->units_day);
		else if (row->kind == GY_COUNTED_GROUP && row->unit == unit &&
			 row->id == (int64_t)rating_group)
			take(row, today, &counters->group);
		else if (row->kind == GY_COUNTED_ALL && row->unit == unit)
			take(row, today, &counters->all);
	}
	free_held(account, counting, free, &n);
	counters->n_free = n;
}

/* A row whose day and month are over says nothing any more. */
static bool is_past(const struct gy_counter *row, struct gy_civil today)
{
	return row->day < today.day &&
	       (row->kind == GY_COUNTED_FREE || row->month < month_of(today));
}

static struct gy_counter *row_for(struct gy_account *account, const struct gy_counting *counting,
				  enum gy_counted_kind kind, int64_t id, enum gy_unit unit,
				  struct gy_civil today)
{
	struct gy_counter *past = NULL;

	for (unsigned i = 0; i < account->n_counters; i++) {
		struct gy_counter *row = &account->counters[i];

		if (row->subscriber_id == counting->subscriber_id && row->kind == kind &&
		    row->id == id && row->unit == unit)
			return row;
		if (is_past(row, today))
			past = row;
	}
	if (past == NULL) {
		if (account->n_counters >= COUNTERS_MAX)
			return NULL;
		gy_assert(account->n_counters < account->counters_room);
		past = &account->counters[account->n_counters++];
	}
	*past = (struct gy_counter){
		.subscriber_id = counting->subscriber_id, .kind = kind, .id = id, .unit = unit
	};
	return past;
}

static void count(struct gy_account *account, const struct gy_counting *counting,
		  enum gy_counted_kind kind, int64_t id, enum gy_unit unit, int64_t units,
		  int64_t micros, struct gy_civil today)
{
	struct gy_counter *row = row_for(account, counting, kind, id, unit, today);

	if (row == NULL)
		return;
	if (row->day != today.day) {
		row->day = today.day;
		row->units_day = row->micros_day = 0;
	}
	if (row->month != month_of(today)) {
		row->month = month_of(today);
		row->units_month = row->micros_month = 0;
	}
	row->units_day = sum(row->units_day, units);
	row->micros_day = sum(row->micros_day, micros);
	row->units_month = sum(row->units_month, units);
	row->micros_month = sum(row->micros_month, micros);
}

void gy_counters_add(struct gy_account *account, const struct gy_counting *counting,
		     uint32_t rating_group, enum gy_unit unit, int64_t units, int64_t micros,
		     int64_t free_rule, gy_time_us at)
{
	struct gy_civil today;

	if (!counts(counting) || (units == 0 && micros == 0))
		return;
	today = civil(counting, at);
	count(account, counting, GY_COUNTED_GROUP, rating_group, unit, units, micros, today);
	count(account, counting, GY_COUNTED_ALL, 0, unit, units, micros, today);
	if (free_rule != 0)
		count(account, counting, GY_COUNTED_FREE, free_rule, unit, units, 0, today);
}
