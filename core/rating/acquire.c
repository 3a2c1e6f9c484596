/* The acquiring unit (S-1..S-5, S-11): codes in force, their target attributes, the values now. */
#include "core/rating/generate.h"

#include <string.h>

#include "core/rating/index.h"
#include "core/rating/network.h"

static void sooner(gy_time_us *until, gy_time_us at, gy_time_us now)
{
	if (at > now && at < *until)
		*until = at;
}

static struct gy_value text_value(const char *text, size_t len)
{
	if (len == 0)
		return (struct gy_value){ .type = GY_VALUE_NONE };
	return (struct gy_value){ .type = GY_VALUE_TEXT, .text = { (const uint8_t *)text, len } };
}

static struct gy_value number_value(enum gy_value_type type, int64_t number)
{
	return (struct gy_value){ .type = type, .number = number };
}

/* ---- stored ---- */

static struct gy_value stored_value(const struct gy_rating_input *input, int32_t attribute_id,
				    gy_time_us *until)
{
	const struct gy_attributes *a = input->attributes;
	const struct gy_attribute_value *best = NULL;

	for (unsigned i = 0; a != NULL && i < a->n_values; i++) {
		const struct gy_attribute_value *v = &a->values[i];

		if (v->attribute_id != attribute_id)
			continue;
		sooner(until, v->valid_from_us, input->now);
		sooner(until, v->valid_until_us, input->now);
		if (v->valid_from_us <= input->now && input->now < v->valid_until_us &&
		    (best == NULL || v->valid_from_us > best->valid_from_us))
			best = v;
	}
	return best != NULL ? best->value : (struct gy_value){ .type = GY_VALUE_NONE };
}

/* ---- request ---- */

static bool is_home(const struct gy_dynamic *dynamic, struct gy_bytes network)
{
	for (unsigned i = 0; i < dynamic->n_home_networks; i++) {
		struct gy_bytes home = dynamic->home_networks[i];

		if (home.len == network.len && memcmp(home.data, network.data, home.len) == 0)
			return true;
	}
	return false;
}

static struct gy_value characteristics(struct gy_bytes text, struct gy_acquired *acquired)
{
	if (!gy_characteristics_is(text))
		return (struct gy_value){ .type = GY_VALUE_NONE };
	for (size_t i = 0; i < text.len; i++) /* letters have this bit, in lower case */
		acquired->characteristics[i] =
			(char)(text.data[i] >= 'A' ? text.data[i] | 0x20 : text.data[i]);
	return text_value(acquired->characteristics, text.len);
}

static struct gy_value request_value(const struct gy_dynamic *dynamic,
				     const struct gy_network *network,
				     enum gy_derivation derivation, struct gy_acquired *acquired)
{
	const struct gy_value missing = { .type = GY_VALUE_NONE };
	struct gy_bytes serving;

	if (network == NULL)
		return missing;
	serving = network->serving_mcc_mnc;
	switch (derivation) {
	case GY_DERIVE_ROAMING:
		if (!gy_network_is(serving))
			return missing;
		return number_value(GY_VALUE_BOOLEAN, !is_home(dynamic, serving));
	case GY_DERIVE_SERVING_NETWORK:
	case GY_DERIVE_OF_NETWORK:
		if (!gy_network_is(serving))
			return missing;
		return (struct gy_value){ .type = GY_VALUE_TEXT, .text = serving };
	case GY_DERIVE_SERVING_COUNTRY:
		if (!gy_network_is(serving))
			return missing;
		return (struct gy_value){ .type = GY_VALUE_TEXT, .text = { serving.data, 3 } };
	case GY_DERIVE_RAT:
		if (network->rat_type.len != 1)
			return missing;
		return number_value(GY_VALUE_INTEGER, network->rat_type.data[0]);
	case GY_DERIVE_CELL:
	case GY_DERIVE_OF_CELL:
		return text_value(acquired->cell,
				  gy_location_cell(network->location, acquired->cell));
	case GY_DERIVE_AREA:
	case GY_DERIVE_OF_AREA:
		return text_value(acquired->area,
				  gy_location_area(network->location, acquired->area));
	case GY_DERIVE_APN:
	case GY_DERIVE_OF_APN:
		return text_value(acquired->apn, gy_apn_text(network->apn, acquired->apn));
	case GY_DERIVE_CHARACTERISTICS:
		return characteristics(network->characteristics, acquired);
	case GY_DERIVE_RULE_BASE:
		return text_value((const char *)network->rule_base.data,
				  network->rule_base.len <= GY_TEXT_MAX ? network->rule_base.len
									: 0);
	default:
		return missing;
	}
}

/* ---- counters ---- */

static struct gy_value counter_value(const struct gy_rating_input *input,
				     const struct gy_zone *zone,
				     const struct gy_attribute_type *type)
{
	const struct gy_counters *counters = input->counters;
	const struct gy_counted *counted;
	bool day =
		type->derivation == GY_DERIVE_UNITS_DAY || type->derivation == GY_DERIVE_MONEY_DAY;
	int64_t number;

	if (counters == NULL)
		return (struct gy_value){ .type = GY_VALUE_NONE };
	counted = type->all_groups ? &counters->all : &counters->group;
	switch (type->derivation) {
	case GY_DERIVE_UNITS_DAY:
		number = counted->units_day;
		break;
	case GY_DERIVE_UNITS_MONTH:
		number = counted->units_month;
		break;
	case GY_DERIVE_MONEY_DAY:
		number = counted->money_day_micros;
		break;
	default:
		number = counted->money_month_micros;
		break;
	}
	if (input->now > counters->at_us) {
		struct gy_civil then = gy_civil_at(zone, counters->at_us);
		struct gy_civil now = gy_civil_at(zone, input->now);

		if (day ? now.day > then.day
			: now.year > then.year || (now.year == then.year && now.month > then.month))
			number = 0;
	}
	return number_value(type->type, number);
}

/* ---- pushed ---- */

static struct gy_value pushed_value(const struct gy_rating_input *input, int32_t attribute_id,
				    struct gy_bytes scope, gy_time_us *until)
{
	const struct gy_pushed *pushed = input->pushed;
	const struct gy_pushed_value wanted = { .attribute_id = attribute_id,
						.scope = scope,
						.valid_from_us = input->now };
	unsigned low = 0, high = pushed == NULL ? 0 : pushed->n_values, n = high;
	struct gy_value found = { .type = GY_VALUE_NONE };

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (gy_pushed_compare(&pushed->values[middle], &wanted) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < n) {
		struct gy_pushed_value next = pushed->values[low];

		next.valid_from_us = input->now;
		if (gy_pushed_compare(&next, &wanted) == 0)
			sooner(until, pushed->values[low].valid_from_us, input->now);
	}
	if (low > 0) {
		struct gy_pushed_value last = pushed->values[low - 1];

		last.valid_from_us = input->now;
		if (gy_pushed_compare(&last, &wanted) == 0 && input->now < last.valid_until_us) {
			sooner(until, last.valid_until_us, input->now);
			found = last.value;
		}
	}
	return found;
}

/* ---- all sources ---- */

static struct gy_value source_value(const struct gy_dynamic *dynamic,
				    const struct gy_rating_input *input,
				    const struct gy_attribute_type *type,
				    struct gy_acquired *acquired)
{
	struct gy_value scope = { .type = GY_VALUE_NONE };

	switch (type->source) {
	case GY_SOURCE_STORED:
		return stored_value(input, type->attribute_id, &acquired->until_us);
	case GY_SOURCE_REQUEST:
		return request_value(dynamic, input->network, type->derivation, acquired);
	case GY_SOURCE_CLOCK:
		return number_value(type->type,
				    gy_clock_value(acquired->zone,
						   gy_calendar_find(dynamic, type->calendar_id),
						   type->derivation, input->now));
	case GY_SOURCE_COUNTER:
		return counter_value(input, acquired->zone, type);
	case GY_SOURCE_PUSHED:
		if (type->derivation != GY_DERIVE_OF_ALL) {
			scope = request_value(dynamic, input->network, type->derivation, acquired);
			if (scope.type == GY_VALUE_NONE)
				return scope;
		}
		return pushed_value(input, type->attribute_id, scope.text, &acquired->until_us);
	}
	return scope;
}

static void acquire_value(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			  struct gy_acquired_code *code, struct gy_acquired *acquired)
{
	const struct gy_attribute_type *type = code->attribute;

	if (type == NULL) {
		code->value = (struct gy_value){ .type = GY_VALUE_NONE };
		code->origin = GY_ORIGIN_NONE;
		return;
	}
	code->value = source_value(dynamic, input, type, acquired);
	/* A value of another type than the snapshot's: the type was made anew since. Not there. */
	if (code->value.type == type->type) {
		code->origin = GY_ORIGIN_SOURCE;
		return;
	}
	code->value = type->fallback;
	code->origin =
		type->fallback.type == GY_VALUE_NONE ? GY_ORIGIN_MISSING : GY_ORIGIN_FALLBACK;
}

/* Puts a code in its place by id; one that is there already, or that the snapshot doesn't know, is
 * passed over. False: too many. */
static bool put_code(const struct gy_dynamic *dynamic, int32_t code_id,
		     struct gy_acquired *acquired)
{
	const struct gy_dynamic_code *code = gy_dynamic_code_find(dynamic, code_id);
	unsigned at = acquired->n;

	if (code == NULL)
		return true;
	while (at > 0 && acquired->codes[at - 1].code->code_id >= code_id)
		at--;
	if (at < acquired->n && acquired->codes[at].code->code_id == code_id)
		return true;
	if (acquired->n == GY_DYNAMIC_CODES_MAX)
		return false;
	for (unsigned i = acquired->n; i > at; i--)
		acquired->codes[i] = acquired->codes[i - 1];
	acquired->codes[at].code = code;
	acquired->codes[at].attribute = gy_attribute_type_find(dynamic, code->attribute_id);
	acquired->codes[at].slot = (uint32_t)(code - dynamic->codes);
	acquired->n++;
	return true;
}

enum gy_rc gy_tariff_acquire(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			     struct gy_acquired *acquired)
{
	const struct gy_attributes *a = input->attributes;

	acquired->n = 0;
	acquired->until_us = INT64_MAX;
	acquired->zone = gy_zone_find(dynamic, a != NULL ? a->zone_id : 0);
	for (unsigned i = 0; a != NULL && i < a->n_codes; i++) {
		sooner(&acquired->until_us, a->codes[i].valid_from_us, input->now);
		sooner(&acquired->until_us, a->codes[i].valid_until_us, input->now);
		if (a->codes[i].valid_from_us <= input->now &&
		    input->now < a->codes[i].valid_until_us &&
		    !put_code(dynamic, a->codes[i].code_id, acquired))
			return GY_RATING_FAILED;
	}
	for (unsigned i = 0; i < dynamic->index->n_common; i++) {
		struct gy_acquired_code *code = &acquired->codes[acquired->n++];

		code->code = NULL;
		code->slot = dynamic->index->common[i];
		code->attribute = gy_slot_attribute(dynamic, code->slot);
	}
	for (unsigned i = 0; i < acquired->n; i++)
		acquire_value(dynamic, input, &acquired->codes[i], acquired);
	return GY_OK;
}
