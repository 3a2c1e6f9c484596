/* Counters of the day and the month: see counters.h. */
#include "core/charging/counters.h"

#include "core/base/assert.h"
#include "core/base/limits.h"

/* An account keeps at most so many rows; further kinds of usage then go uncounted, never unpaid,
 * and no rule that has no row gives free units. */
#define COUNTERS_MAX 256

static bool counts(const struct gy_counting *counting)
{
	return counting->dynamic != NULL && counting->dynamic->counts;
}

static struct gy_civil civil(const struct gy_counting *counting, gy_time_us at)
{
	const struct gy_zone *zone = gy_zone_find(&counting->dynamic->zones, counting->zone_id);

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

/* The list of what FREE rules have given. Its last place is kept for those that it has none for. */
struct free_list {
	struct gy_free_used *used;
	unsigned n;
	bool full;
};

static void free_used(struct free_list *list, int64_t rule_id, int64_t units, int64_t later)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->used[i].rule_id == rule_id) {
			list->used[i].units = sum(list->used[i].units, units);
			list->used[i].later = sum(list->used[i].later, later);
			return;
		}
	if (list->n < GY_FREE_USED_MAX - 1)
		list->used[list->n++] = (struct gy_free_used){ rule_id, units, later };
	else
		list->full = true;
}

/* Would usage of this slice count for the day of at? What is used before a Tariff-Time-Change that
 * has passed counts at its end, all other usage when it is reported. */
static bool is_of_day(const struct gy_counting *counting, const struct gy_reservation *row,
		      unsigned phase, gy_time_us at)
{
	if (row->switch_us == 0 || (phase == 0) == (at < row->switch_us))
		return true;
	return gy_counters_same_day(counting, phase == 0 ? row->switch_us - 1 : row->switch_us, at);
}

/* What the same grant holds of the same rule before its Tariff-Time-Change: there once for both. */
static int64_t held_before(const struct gy_account *account, unsigned slice)
{
	const struct gy_slice *after = &account->slices[slice];

	for (unsigned i = slice; i-- > 0;) {
		const struct gy_slice *s = &account->slices[i];

		if (s->reservation != after->reservation)
			break;
		if (s->phase == 0 && s->from == GY_FROM_FREE && s->from_id == after->from_id)
			return s->units;
	}
	return 0;
}

/* Free units that the subscriber's other grants hold: they can't be promised twice. */
static void free_held(const struct gy_account *account, const struct gy_counting *counting,
		      gy_time_us at, struct free_list *list)
{
	for (unsigned i = 0; i < account->n_slices; i++) {
		const struct gy_slice *slice = &account->slices[i];
		const struct gy_reservation *row = &account->reservations[slice->reservation];
		int64_t units = slice->units;

		if (slice->from != GY_FROM_FREE ||
		    account->sessions[row->session].subscriber_id != counting->subscriber_id)
			continue;
		if (!is_of_day(counting, row, slice->phase, at)) {
			if (slice->phase == 1)
				free_used(list, slice->from_id, 0, units);
			continue;
		}
		if (slice->phase == 1 && is_of_day(counting, row, 0, at))
			units -= held_before(account, i);
		if (units > 0)
			free_used(list, slice->from_id, units, 0);
	}
}

/* A row whose day and month are over says nothing any more. */
static bool is_past(const struct gy_counter *row, struct gy_civil today)
{
	return row->day < today.day &&
	       (row->kind == GY_COUNTED_FREE || row->month < month_of(today));
}

/* A row of a later day (the clock went back, or the subscriber to the west) can't count this one:
 * what can't be counted is not given. */
static void take_free(const struct gy_counter *row, struct gy_civil today, struct free_list *list)
{
	if (row->day >= today.day)
		free_used(list, row->id, row->day == today.day ? row->units_day : GY_AMOUNT_MAX, 0);
}

void gy_counters_read(const struct gy_account *account, const struct gy_counting *counting,
		      uint32_t rating_group, enum gy_unit unit, gy_time_us at,
		      struct gy_free_used *free, struct gy_counters *counters)
{
	bool room = account->n_counters < COUNTERS_MAX;
	struct free_list list = { .used = free };
	struct gy_civil today;

	*counters = (struct gy_counters){ .at_us = at, .free = free };
	if (!counts(counting))
		return;
	today = civil(counting, at);
	for (unsigned i = 0; i < account->n_counters; i++) {
		const struct gy_counter *row = &account->counters[i];

		room = room || is_past(row, today); /* it would make way */
		if (row->subscriber_id != counting->subscriber_id)
			continue;
		if (row->kind == GY_COUNTED_FREE)
			take_free(row, today, &list);
		else if (row->kind == GY_COUNTED_GROUP && row->unit == unit &&
			 row->id == (int64_t)rating_group)
			take(row, today, &counters->group);
		else if (row->kind == GY_COUNTED_ALL && row->unit == unit)
			take(row, today, &counters->all);
	}
	free_held(account, counting, at, &list);
	if (list.full || !room)
		free[list.n++] = (struct gy_free_used){ 0, GY_AMOUNT_MAX, GY_AMOUNT_MAX };
	counters->n_free = list.n;
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

/* today: of the usage. What a row says of a later day or month stays. */
static void count(struct gy_account *account, const struct gy_counting *counting,
		  enum gy_counted_kind kind, int64_t id, enum gy_unit unit, int64_t units,
		  int64_t micros, struct gy_civil today)
{
	struct gy_counter *row = row_for(account, counting, kind, id, unit, today);

	if (row == NULL)
		return;
	if (row->day < today.day) {
		row->day = today.day;
		row->units_day = row->micros_day = 0;
	}
	if (row->month < month_of(today)) {
		row->month = month_of(today);
		row->units_month = row->micros_month = 0;
	}
	if (row->day == today.day) {
		row->units_day = sum(row->units_day, units);
		row->micros_day = sum(row->micros_day, micros);
	}
	if (row->month == month_of(today)) {
		row->units_month = sum(row->units_month, units);
		row->micros_month = sum(row->micros_month, micros);
	}
}

void gy_counters_add(struct gy_account *account, const struct gy_counting *counting,
		     uint32_t rating_group, enum gy_unit unit, int64_t units, int64_t micros,
		     int64_t free_rule, gy_time_us at)
{
	struct gy_civil today;

	if (!counts(counting) || (units == 0 && micros == 0))
		return;
	today = civil(counting, at);
	if (free_rule != 0) /* first: what is given away has to end */
		count(account, counting, GY_COUNTED_FREE, free_rule, unit, units, 0, today);
	count(account, counting, GY_COUNTED_GROUP, rating_group, unit, units, micros, today);
	count(account, counting, GY_COUNTED_ALL, 0, unit, units, micros, today);
}
