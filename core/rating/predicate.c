/* Rules and predicates by themselves, and the look-ups of a snapshot's objects by id. */
#include "core/rating/index.h"

int gy_rule_specificity(const struct gy_dynamic_rule *rule)
{
	return (rule->code_id != 0 ? 2 : 0) + (rule->tariff_id != 0 ? 1 : 0);
}

enum gy_stage gy_effect_stage(enum gy_effect_kind kind)
{
	static const enum gy_stage stages[] = {
		[GY_EFFECT_DENY] = GY_STAGE_DENY,         [GY_EFFECT_REPLACE] = GY_STAGE_REPLACE,
		[GY_EFFECT_MULTIPLY] = GY_STAGE_MULTIPLY, [GY_EFFECT_ADD] = GY_STAGE_ADD,
		[GY_EFFECT_FREE] = GY_STAGE_FREE,         [GY_EFFECT_FLOOR] = GY_STAGE_FLOOR,
		[GY_EFFECT_CAP] = GY_STAGE_CAP,           [GY_EFFECT_QUOTA] = GY_STAGE_QUOTA,
		[GY_EFFECT_VALIDITY] = GY_STAGE_VALIDITY, [GY_EFFECT_REDIRECT] = GY_STAGE_REDIRECT,
	};

	return stages[kind];
}

unsigned gy_predicate_ranges(const struct gy_predicate *predicate)
{
	switch (predicate->match) {
	case GY_MATCH_EQUAL:
		return 1;
	case GY_MATCH_SET:
		return predicate->n_set;
	case GY_MATCH_RANGE:
		return predicate->low.type != GY_VALUE_NONE &&
				       predicate->high.type != GY_VALUE_NONE &&
				       predicate->low.number > predicate->high.number
			       ? 2
			       : 1;
	default:
		return 0;
	}
}

void gy_predicate_range(const struct gy_predicate *predicate, unsigned n, int64_t *low,
			int64_t *high)
{
	const struct gy_value *point =
		predicate->match == GY_MATCH_SET ? &predicate->set[n] : &predicate->low;
	bool wraps = predicate->match == GY_MATCH_RANGE && gy_predicate_ranges(predicate) == 2;

	if (predicate->match != GY_MATCH_RANGE) {
		*low = point->number;
		*high = point->number + 1;
		return;
	}
	*low = predicate->low.type == GY_VALUE_NONE ? INT64_MIN : predicate->low.number;
	*high = predicate->high.type == GY_VALUE_NONE ? INT64_MAX : predicate->high.number;
	if (wraps && n == 0)
		*low = INT64_MIN;
	else if (wraps)
		*high = INT64_MAX;
}

static bool in_set(const struct gy_predicate *predicate, const struct gy_value *value)
{
	for (unsigned i = 0; i < predicate->n_set; i++)
		if (gy_value_compare(&predicate->set[i], value) == 0)
			return true;
	return false;
}

bool gy_predicate_matches(const struct gy_predicate *predicate, const struct gy_value *value)
{
	bool missing = value->type == GY_VALUE_NONE, above, below;

	switch (predicate->match) {
	case GY_MATCH_ANY:
		return !missing;
	case GY_MATCH_MISSING:
		return missing;
	case GY_MATCH_EQUAL:
		return gy_value_compare(&predicate->low, value) == 0;
	case GY_MATCH_SET:
		return in_set(predicate, value);
	case GY_MATCH_RANGE:
		if (missing)
			return false;
		above = predicate->low.type == GY_VALUE_NONE ||
			value->number >= predicate->low.number;
		below = predicate->high.type == GY_VALUE_NONE ||
			value->number < predicate->high.number;
		return gy_predicate_ranges(predicate) == 2 ? above || below : above && below;
	}
	return false;
}

uint32_t gy_group_segment(const struct gy_dynamic_index *index, const struct gy_group *group,
			  const struct gy_value *value)
{
	uint32_t low = 0, high = group->n_edges;

	if (group->text) {
		const struct gy_bytes *texts = index->texts + group->edges;

		while (low < high) {
			uint32_t middle = low + (high - low) / 2;
			struct gy_value at = { .type = GY_VALUE_TEXT, .text = texts[middle] };
			int order = gy_value_compare(&at, value);

			if (order == 0)
				return middle;
			if (order < 0)
				low = middle + 1;
			else
				high = middle;
		}
		return group->n_edges;
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (index->edges[group->edges + middle] <= value->number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct gy_attribute_type *gy_slot_attribute(const struct gy_dynamic *dynamic, uint32_t slot)
{
	if (slot < dynamic->n_codes)
		return gy_attribute_type_find(dynamic, dynamic->codes[slot].attribute_id);
	slot -= dynamic->n_codes;
	return slot < dynamic->n_attributes ? &dynamic->attributes[slot] : NULL;
}

uint32_t gy_rule_slot(const struct gy_dynamic *dynamic, const struct gy_dynamic_rule *rule)
{
	if (rule->code_id != 0)
		return (uint32_t)(gy_dynamic_code_find(dynamic, rule->code_id) - dynamic->codes);
	if (rule->attribute_id == 0)
		return dynamic->n_codes + dynamic->n_attributes;
	return dynamic->n_codes + (uint32_t)(gy_attribute_type_find(dynamic, rule->attribute_id) -
					     dynamic->attributes);
}

const struct gy_attribute_type *gy_rule_attribute(const struct gy_dynamic *dynamic,
						  const struct gy_dynamic_rule *rule)
{
	return gy_slot_attribute(dynamic, gy_rule_slot(dynamic, rule));
}

/* Binary search for an id in an array of structs that begin with it. */
static const void *find(const void *base, unsigned n, size_t size, int32_t id)
{
	unsigned low = 0, high = n;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const void *at = (const char *)base + middle * size;
		int32_t there = *(const int32_t *)at;

		if (there == id)
			return at;
		if (there < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

_Static_assert(offsetof(struct gy_attribute_type, attribute_id) == 0, "find");
_Static_assert(offsetof(struct gy_dynamic_code, code_id) == 0, "find");
_Static_assert(offsetof(struct gy_zone, zone_id) == 0, "find");
_Static_assert(offsetof(struct gy_calendar, calendar_id) == 0, "find");

const struct gy_attribute_type *gy_attribute_type_find(const struct gy_dynamic *dynamic,
						       int32_t attribute_id)
{
	return find(dynamic->attributes, dynamic->n_attributes, sizeof(*dynamic->attributes),
		    attribute_id);
}

const struct gy_dynamic_code *gy_dynamic_code_find(const struct gy_dynamic *dynamic,
						   int32_t code_id)
{
	return find(dynamic->codes, dynamic->n_codes, sizeof(*dynamic->codes), code_id);
}

const struct gy_zone *gy_zone_find(const struct gy_zones *zones, int32_t zone_id)
{
	const struct gy_zone *zone = NULL;

	if (zone_id != 0)
		zone = find(zones->zones, zones->n, sizeof(*zones->zones), zone_id);
	if (zone == NULL)
		zone = find(zones->zones, zones->n, sizeof(*zones->zones), zones->default_zone_id);
	return zone;
}

const struct gy_calendar *gy_calendar_find(const struct gy_dynamic *dynamic, int32_t calendar_id)
{
	return find(dynamic->calendars, dynamic->n_calendars, sizeof(*dynamic->calendars),
		    calendar_id);
}
