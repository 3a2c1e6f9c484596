/* Refuses what is wrong with one object of a rule snapshot: attribute, code, zone, calendar, rule.
 */
#include "core/rating/index.h"

#include <string.h>

#include "core/base/limits.h"
#include "core/rating/network.h"

/* Members of one set. */
#define SET_MAX 1024
/* Holidays this far from 1970: their microseconds still fit. */
#define DAYS_MAX 10000000

static bool refuse(struct gy_dynamic_fault *fault, enum gy_fault_reason reason, int64_t object_id)
{
	*fault = (struct gy_dynamic_fault){ .reason = reason, .object_id = object_id };
	return false;
}

const char *gy_fault_text(enum gy_fault_reason reason)
{
	static const char *const texts[GY_FAULT_COUNT] = {
		[GY_FAULT_NONE] = "no fault",
		[GY_FAULT_TOO_MANY] = "too many of them",
		[GY_FAULT_ORDER] = "not in ascending order",
		[GY_FAULT_ATTRIBUTE_TYPE] =
			"source, derivation, type, default and calendar don't fit together",
		[GY_FAULT_ZONE] = "time zone without transitions, with a bad one, or unknown; or a "
				  "day out of range",
		[GY_FAULT_DUPLICATE_ID] = "two rules have this id",
		[GY_FAULT_UNKNOWN_TARIFF] = "unknown specific code, or one without rules",
		[GY_FAULT_UNKNOWN_CODE] = "unknown dynamic code",
		[GY_FAULT_UNKNOWN_ATTRIBUTE] = "unknown attribute type",
		[GY_FAULT_VALUE_TYPE] = "a value that is not of the attribute's type",
		[GY_FAULT_PREDICATE] = "a match that this attribute type doesn't have",
		[GY_FAULT_EFFECT] = "effect with a bad operand, unit or stack group",
		[GY_FAULT_NEVER_VALUE] = "can never match: no value of the attribute satisfies it",
		[GY_FAULT_NEVER_TIME] = "can never match: it ends before it begins",
		[GY_FAULT_NEVER_GROUP] = "can never match: no specific rule of its code, "
					 "Rating-Group, unit and time",
		[GY_FAULT_REPLACE_OVERLAP] = "overlaps another REPLACE of equal precedence",
		[GY_FAULT_KEY_OVERLAP] = "valid at the same time as another rule of the same key",
		[GY_FAULT_NEGATIVE] = "the rate could go negative after the worst stacking",
		[GY_FAULT_NOT_EXACT] =
			"the rate could not be represented exactly after the worst stacking",
	};

	return (unsigned)reason < GY_FAULT_COUNT ? texts[reason] : "unknown fault";
}

/* ---- attribute types ---- */

/* The derivations of each source and the type of their values; NONE: as the operator likes. */
static const struct {
	enum gy_attribute_source source;
	enum gy_derivation first, last;
	enum gy_value_type type;
} derivations[] = {
	{ GY_SOURCE_STORED, GY_DERIVE_NONE, GY_DERIVE_NONE, GY_VALUE_NONE },
	{ GY_SOURCE_REQUEST, GY_DERIVE_ROAMING, GY_DERIVE_ROAMING, GY_VALUE_BOOLEAN },
	{ GY_SOURCE_REQUEST, GY_DERIVE_SERVING_NETWORK, GY_DERIVE_SERVING_COUNTRY, GY_VALUE_TEXT },
	{ GY_SOURCE_REQUEST, GY_DERIVE_RAT, GY_DERIVE_RAT, GY_VALUE_INTEGER },
	{ GY_SOURCE_REQUEST, GY_DERIVE_CELL, GY_DERIVE_RULE_BASE, GY_VALUE_TEXT },
	{ GY_SOURCE_CLOCK, GY_DERIVE_HOUR, GY_DERIVE_MONTH, GY_VALUE_INTEGER },
	{ GY_SOURCE_CLOCK, GY_DERIVE_HOLIDAY, GY_DERIVE_HOLIDAY, GY_VALUE_BOOLEAN },
	{ GY_SOURCE_COUNTER, GY_DERIVE_UNITS_DAY, GY_DERIVE_UNITS_MONTH, GY_VALUE_INTEGER },
	{ GY_SOURCE_COUNTER, GY_DERIVE_MONEY_DAY, GY_DERIVE_MONEY_MONTH, GY_VALUE_DECIMAL },
	{ GY_SOURCE_PUSHED, GY_DERIVE_OF_ALL, GY_DERIVE_OF_APN, GY_VALUE_NONE },
};

static bool fits_source(const struct gy_attribute_type *type)
{
	for (size_t i = 0; i < sizeof(derivations) / sizeof(derivations[0]); i++)
		if (type->source == derivations[i].source &&
		    type->derivation >= derivations[i].first &&
		    type->derivation <= derivations[i].last)
			return derivations[i].type == GY_VALUE_NONE ||
			       derivations[i].type == type->type;
	return false;
}

static bool needs_zone(const struct gy_attribute_type *type)
{
	return type->source == GY_SOURCE_CLOCK || type->source == GY_SOURCE_COUNTER;
}

/* A value by itself. */
static bool sound(const struct gy_value *value)
{
	switch (value->type) {
	case GY_VALUE_BOOLEAN:
		return value->number == 0 || value->number == 1;
	case GY_VALUE_TEXT:
		return value->text.len <= GY_TEXT_MAX;
	case GY_VALUE_INTEGER:
	case GY_VALUE_DECIMAL:
	case GY_VALUE_TIME:
		return value->number >= -GY_AMOUNT_MAX && value->number <= GY_AMOUNT_MAX;
	default:
		return false;
	}
}

static bool check_attribute(const struct gy_dynamic *dynamic, const struct gy_attribute_type *type,
			    struct gy_dynamic_fault *fault)
{
	bool ok = type->attribute_id > 0 && type->type >= GY_VALUE_INTEGER &&
		  type->type <= GY_VALUE_TIME && type->on_change >= GY_CHANGE_REAUTH &&
		  type->on_change <= GY_CHANGE_VALIDITY && fits_source(type);

	if (ok && type->fallback.type != GY_VALUE_NONE)
		ok = type->fallback.type == type->type && sound(&type->fallback) &&
		     type->source != GY_SOURCE_CLOCK;
	if (ok && type->derivation == GY_DERIVE_HOLIDAY)
		ok = gy_calendar_find(dynamic, type->calendar_id) != NULL;
	if (ok && type->derivation == GY_DERIVE_ROAMING)
		ok = dynamic->n_home_networks > 0;
	if (!ok)
		return refuse(fault, GY_FAULT_ATTRIBUTE_TYPE, type->attribute_id);
	if (needs_zone(type) && dynamic->n_zones == 0)
		return refuse(fault, GY_FAULT_ZONE, type->attribute_id);
	return true;
}

static bool check_attributes(const struct gy_dynamic *dynamic, struct gy_dynamic_fault *fault)
{
	for (unsigned i = 0; i < dynamic->n_attributes; i++) {
		const struct gy_attribute_type *type = &dynamic->attributes[i];

		if (i > 0 && type[-1].attribute_id >= type->attribute_id)
			return refuse(fault, GY_FAULT_ORDER, type->attribute_id);
		if (!check_attribute(dynamic, type, fault))
			return false;
	}
	for (unsigned i = 0; i < dynamic->n_home_networks; i++)
		if (!gy_network_is(dynamic->home_networks[i]))
			return refuse(fault, GY_FAULT_ATTRIBUTE_TYPE, 0);
	return true;
}

static bool check_codes(const struct gy_dynamic *dynamic, struct gy_dynamic_fault *fault)
{
	for (unsigned i = 0; i < dynamic->n_codes; i++) {
		const struct gy_dynamic_code *code = &dynamic->codes[i];

		if (code->code_id <= 0 || (i > 0 && code[-1].code_id >= code->code_id))
			return refuse(fault, GY_FAULT_ORDER, code->code_id);
		if (gy_attribute_type_find(dynamic, code->attribute_id) == NULL)
			return refuse(fault, GY_FAULT_UNKNOWN_ATTRIBUTE, code->code_id);
		if (code->on_missing != GY_MISSING_IGNORE && code->on_missing != GY_MISSING_DENY)
			return refuse(fault, GY_FAULT_ATTRIBUTE_TYPE, code->code_id);
	}
	return true;
}

/* ---- zones and calendars ---- */

static bool check_zone(const struct gy_zone *zone)
{
	if (zone->zone_id <= 0 || zone->n_changes == 0)
		return false;
	for (unsigned i = 0; i < zone->n_changes; i++) {
		const struct gy_zone_change *change = &zone->changes[i];

		if (change->offset_s <= -86400 || change->offset_s >= 86400)
			return false;
		if (i > 0 && (change[-1].at_us >= change->at_us || change->at_us > GY_AMOUNT_MAX ||
			      change->at_us < -GY_AMOUNT_MAX))
			return false;
	}
	return true;
}

static bool check_times(const struct gy_dynamic *dynamic, struct gy_dynamic_fault *fault)
{
	for (unsigned i = 0; i < dynamic->n_zones; i++) {
		const struct gy_zone *zone = &dynamic->zones[i];

		if (i > 0 && zone[-1].zone_id >= zone->zone_id)
			return refuse(fault, GY_FAULT_ORDER, zone->zone_id);
		if (!check_zone(zone))
			return refuse(fault, GY_FAULT_ZONE, zone->zone_id);
	}
	if (dynamic->n_zones > 0 && gy_zone_find(dynamic, 0) == NULL)
		return refuse(fault, GY_FAULT_ZONE, dynamic->default_zone_id);
	for (unsigned i = 0; i < dynamic->n_calendars; i++) {
		const struct gy_calendar *calendar = &dynamic->calendars[i];

		if (calendar->calendar_id <= 0 ||
		    (i > 0 && calendar[-1].calendar_id >= calendar->calendar_id))
			return refuse(fault, GY_FAULT_ORDER, calendar->calendar_id);
		for (unsigned d = 0; d < calendar->n_days; d++) {
			if (d > 0 && calendar->days[d - 1] >= calendar->days[d])
				return refuse(fault, GY_FAULT_ORDER, calendar->calendar_id);
			if (calendar->days[d] > DAYS_MAX || calendar->days[d] < -DAYS_MAX)
				return refuse(fault, GY_FAULT_ZONE, calendar->calendar_id);
		}
	}
	return true;
}

/* ---- predicates ---- */

void gy_attribute_domain(const struct gy_attribute_type *type, int64_t *low, int64_t *high)
{
	static const struct {
		enum gy_derivation derivation;
		int64_t low, high;
	} domains[] = {
		{ GY_DERIVE_RAT, 0, 255 },
		{ GY_DERIVE_HOUR, 0, 23 },
		{ GY_DERIVE_MINUTE_OF_DAY, 0, 1439 },
		{ GY_DERIVE_WEEKDAY, 1, 7 },
		{ GY_DERIVE_DAY_OF_MONTH, 1, 31 },
		{ GY_DERIVE_MONTH, 1, 12 },
		{ GY_DERIVE_UNITS_DAY, 0, INT64_MAX },
		{ GY_DERIVE_UNITS_MONTH, 0, INT64_MAX },
		{ GY_DERIVE_MONEY_DAY, 0, INT64_MAX },
		{ GY_DERIVE_MONEY_MONTH, 0, INT64_MAX },
	};

	*low = type->type == GY_VALUE_BOOLEAN ? 0 : INT64_MIN;
	*high = type->type == GY_VALUE_BOOLEAN ? 1 : INT64_MAX;
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
		if (type->derivation == domains[i].derivation) {
			*low = domains[i].low;
			*high = domains[i].high;
		}
}

static bool is_cyclic(const struct gy_attribute_type *type)
{
	return type->derivation >= GY_DERIVE_HOUR && type->derivation <= GY_DERIVE_MONTH;
}

static bool has_upper_case(struct gy_bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] >= 'A' && text.data[i] <= 'Z')
			return true;
	return false;
}

/* MCC and MNC, then groups of lower-case hex digits, each after a '-'. */
static bool is_location(struct gy_bytes text)
{
	size_t len = 0;

	while (len < text.len && text.data[len] != '-')
		len++;
	if (len == text.len || !gy_network_is((struct gy_bytes){ text.data, len }))
		return false;
	for (size_t i = len; i < text.len; i++)
		if (memchr("-0123456789abcdef", text.data[i], 17) == NULL)
			return false;
	return text.len <= GY_LOCATION_MAX;
}

/* A value that the attribute can have. */
static bool possible(const struct gy_attribute_type *type, const struct gy_value *value)
{
	int64_t low, high;

	switch (type->derivation) {
	case GY_DERIVE_SERVING_NETWORK:
		return gy_network_is(value->text);
	case GY_DERIVE_SERVING_COUNTRY:
		return value->text.len == 3 && !has_upper_case(value->text);
	case GY_DERIVE_CELL:
	case GY_DERIVE_AREA:
		return is_location(value->text);
	case GY_DERIVE_APN:
		return value->text.len > 0 && !has_upper_case(value->text);
	case GY_DERIVE_CHARACTERISTICS:
		return gy_characteristics_is(value->text) && !has_upper_case(value->text);
	case GY_DERIVE_RULE_BASE:
		return value->text.len > 0;
	default:
		break;
	}
	if (type->type == GY_VALUE_TEXT)
		return true;
	gy_attribute_domain(type, &low, &high);
	return value->number >= low && value->number <= high;
}

static enum gy_fault_reason value_fault(const struct gy_attribute_type *type,
					const struct gy_value *value)
{
	return value->type == type->type && sound(value) ? GY_FAULT_NONE : GY_FAULT_VALUE_TYPE;
}

static enum gy_fault_reason set_fault(const struct gy_attribute_type *type,
				      const struct gy_predicate *p)
{
	bool any = false;

	if (p->n_set > SET_MAX)
		return GY_FAULT_TOO_MANY;
	for (unsigned i = 0; i < p->n_set; i++) {
		if (value_fault(type, &p->set[i]) != GY_FAULT_NONE)
			return GY_FAULT_VALUE_TYPE;
		if (i > 0 && gy_value_compare(&p->set[i - 1], &p->set[i]) >= 0)
			return GY_FAULT_ORDER;
		any |= possible(type, &p->set[i]);
	}
	return any ? GY_FAULT_NONE : GY_FAULT_NEVER_VALUE;
}

static enum gy_fault_reason range_fault(const struct gy_attribute_type *type,
					const struct gy_predicate *p)
{
	int64_t first, last;
	bool has_low = p->low.type != GY_VALUE_NONE, has_high = p->high.type != GY_VALUE_NONE;

	if (type->type == GY_VALUE_TEXT || type->type == GY_VALUE_BOOLEAN)
		return GY_FAULT_PREDICATE;
	if ((has_low && value_fault(type, &p->low) != GY_FAULT_NONE) ||
	    (has_high && value_fault(type, &p->high) != GY_FAULT_NONE))
		return GY_FAULT_VALUE_TYPE;
	gy_attribute_domain(type, &first, &last);
	if (has_low && has_high && p->low.number >= p->high.number) {
		/* Over the end of the cycle and on from its beginning: one of both parts must
		 * exist. */
		if (!is_cyclic(type) || p->low.number == p->high.number)
			return GY_FAULT_NEVER_VALUE;
		return p->low.number <= last || p->high.number > first ? GY_FAULT_NONE
								       : GY_FAULT_NEVER_VALUE;
	}
	if ((has_low && p->low.number > last) || (has_high && p->high.number <= first))
		return GY_FAULT_NEVER_VALUE;
	return GY_FAULT_NONE;
}

bool gy_attribute_always(const struct gy_attribute_type *type)
{
	return type->fallback.type != GY_VALUE_NONE || type->source == GY_SOURCE_CLOCK ||
	       type->derivation == GY_DERIVE_HOLIDAY;
}

static enum gy_fault_reason predicate_fault(const struct gy_attribute_type *type,
					    const struct gy_predicate *p)
{
	if (type == NULL)
		return p->match == GY_MATCH_ANY ? GY_FAULT_NONE : GY_FAULT_PREDICATE;
	switch (p->match) {
	case GY_MATCH_ANY:
		return GY_FAULT_NONE;
	case GY_MATCH_MISSING:
		return gy_attribute_always(type) ? GY_FAULT_NEVER_VALUE : GY_FAULT_NONE;
	case GY_MATCH_EQUAL:
		if (value_fault(type, &p->low) != GY_FAULT_NONE)
			return GY_FAULT_VALUE_TYPE;
		return possible(type, &p->low) ? GY_FAULT_NONE : GY_FAULT_NEVER_VALUE;
	case GY_MATCH_SET:
		return set_fault(type, p);
	case GY_MATCH_RANGE:
		return range_fault(type, p);
	}
	return GY_FAULT_PREDICATE;
}

/* ---- effects ---- */

static bool is_effect(const struct gy_dynamic_rule *rule)
{
	const struct gy_effect *e = &rule->effect;
	bool rated = e->block > 0 && e->block <= GY_AMOUNT_MAX;
	bool counted = rule->unit == GY_UNIT_OCTETS || rule->unit == GY_UNIT_SECONDS ||
		       rule->unit == GY_UNIT_SERVICE;

	switch (e->kind) {
	case GY_EFFECT_DENY:
		return e->amount == 0 && e->block == 0 && rule->stack_group == 0;
	case GY_EFFECT_REPLACE:
	case GY_EFFECT_FLOOR:
	case GY_EFFECT_CAP:
		return counted && rated && e->amount >= 0 && e->amount <= GY_PRICE_MAX;
	case GY_EFFECT_ADD:
		return counted && rated && e->amount >= -GY_PRICE_MAX && e->amount <= GY_PRICE_MAX;
	case GY_EFFECT_MULTIPLY:
		return e->block == 0 && e->amount >= 0 && e->amount <= GY_PPM_MAX;
	case GY_EFFECT_FREE:
	case GY_EFFECT_QUOTA:
		return counted && e->block == 0 && e->amount > 0 && e->amount <= GY_AMOUNT_MAX;
	case GY_EFFECT_VALIDITY:
		return e->block == 0 && e->amount > 0 && e->amount <= UINT32_MAX;
	case GY_EFFECT_REDIRECT:
		return e->amount == 0 && e->block == 0 && e->address != NULL &&
		       e->address[0] != '\0' && e->redirect_type >= GY_REDIRECT_IPV4 &&
		       e->redirect_type <= GY_REDIRECT_SIP_URI;
	}
	return false;
}

/* ---- rules ---- */

static bool any_specific_rule(const struct gy_catalogue *catalogue,
			      const struct gy_dynamic_rule *rule)
{
	for (unsigned i = 0; i < catalogue->n_rules; i++) {
		const struct gy_specific_rule *s = &catalogue->rules[i];

		if ((rule->tariff_id == 0 || rule->tariff_id == s->tariff_id) &&
		    (rule->rating_group == GY_ANY_RATING_GROUP ||
		     rule->rating_group == (int64_t)s->rating_group) &&
		    (rule->unit == GY_UNIT_NONE || rule->unit == s->unit) &&
		    rule->valid_from_us < s->valid_until_us &&
		    s->valid_from_us < rule->valid_until_us)
			return true;
	}
	return false;
}

/* The specific rules are ordered by code. */
static bool knows_tariff(const struct gy_catalogue *catalogue, int32_t tariff_id)
{
	unsigned low = 0, high = catalogue->n_rules;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (catalogue->rules[middle].tariff_id == tariff_id)
			return true;
		if (catalogue->rules[middle].tariff_id < tariff_id)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static enum gy_fault_reason key_fault(const struct gy_catalogue *catalogue,
				      const struct gy_dynamic *dynamic,
				      const struct gy_dynamic_rule *rule)
{
	if (rule->tariff_id != 0 && !knows_tariff(catalogue, rule->tariff_id))
		return GY_FAULT_UNKNOWN_TARIFF;
	if (rule->code_id != 0 && gy_dynamic_code_find(dynamic, rule->code_id) == NULL)
		return GY_FAULT_UNKNOWN_CODE;
	if (rule->code_id != 0 && rule->attribute_id != 0)
		return GY_FAULT_PREDICATE;
	if (rule->attribute_id != 0 && gy_attribute_type_find(dynamic, rule->attribute_id) == NULL)
		return GY_FAULT_UNKNOWN_ATTRIBUTE;
	if (rule->rating_group != GY_ANY_RATING_GROUP &&
	    (rule->rating_group < 0 || rule->rating_group > UINT32_MAX))
		return GY_FAULT_NEVER_GROUP;
	return GY_FAULT_NONE;
}

static enum gy_fault_reason rule_fault(const struct gy_catalogue *catalogue,
				       const struct gy_dynamic *dynamic,
				       const struct gy_dynamic_rule *rule)
{
	enum gy_fault_reason reason = key_fault(catalogue, dynamic, rule);

	if (reason != GY_FAULT_NONE)
		return reason;
	if (rule->rule_id <= 0 || rule->tariff_id < 0 || rule->stack_group < 0 || !is_effect(rule))
		return GY_FAULT_EFFECT;
	if (rule->valid_from_us >= rule->valid_until_us)
		return GY_FAULT_NEVER_TIME;
	if (rule->effect.kind == GY_EFFECT_FREE && dynamic->n_zones == 0)
		return GY_FAULT_ZONE; /* whose day? */
	reason = predicate_fault(gy_rule_attribute(dynamic, rule), &rule->predicate);
	if (reason != GY_FAULT_NONE)
		return reason;
	return any_specific_rule(catalogue, rule) ? GY_FAULT_NONE : GY_FAULT_NEVER_GROUP;
}

/* Attributes that rules without a dynamic code look at: at most GY_COMMON_MAX. */
static bool check_common(const struct gy_dynamic *dynamic, struct gy_dynamic_fault *fault)
{
	int32_t seen[GY_COMMON_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < dynamic->n_rules; i++) {
		const struct gy_dynamic_rule *rule = &dynamic->rules[i];
		unsigned k = 0;

		if (rule->code_id != 0 || rule->attribute_id == 0)
			continue;
		while (k < n && seen[k] != rule->attribute_id)
			k++;
		if (k < n)
			continue;
		if (n == GY_COMMON_MAX) {
			refuse(fault, GY_FAULT_TOO_MANY, rule->attribute_id);
			fault->rule_id = rule->rule_id;
			return false;
		}
		seen[n++] = rule->attribute_id;
	}
	return true;
}

bool gy_check_objects(const struct gy_catalogue *catalogue, const struct gy_dynamic *dynamic,
		      struct gy_dynamic_fault *fault)
{
	if (dynamic->n_rules > GY_DYNAMIC_RULES_MAX)
		return refuse(fault, GY_FAULT_TOO_MANY, 0);
	if (!check_times(dynamic, fault) || !check_attributes(dynamic, fault) ||
	    !check_codes(dynamic, fault))
		return false;
	/* Of all rules at fault the one with the lowest id is named, whatever their order. */
	for (unsigned i = 0; i < dynamic->n_rules; i++) {
		const struct gy_dynamic_rule *rule = &dynamic->rules[i];
		enum gy_fault_reason reason = rule_fault(catalogue, dynamic, rule);

		if (reason != GY_FAULT_NONE &&
		    (fault->reason == GY_FAULT_NONE || rule->rule_id < fault->rule_id)) {
			refuse(fault, reason, 0);
			fault->rule_id = rule->rule_id;
		}
	}
	return fault->reason == GY_FAULT_NONE && check_common(dynamic, fault);
}
