/* The specific rule of a Rating-Group: a binary search in the snapshot's sorted rules. */
#include "core/rating/tariff.h"

static int compare_key(const struct gy_specific_rule *rule, int32_t tariff_id,
		       uint32_t rating_group)
{
	if (rule->tariff_id != tariff_id)
		return rule->tariff_id < tariff_id ? -1 : 1;
	if (rule->rating_group != rating_group)
		return rule->rating_group < rating_group ? -1 : 1;
	return 0;
}

int gy_specific_rule_compare(const void *a, const void *b)
{
	const struct gy_specific_rule *x = a, *y = b;
	int order = compare_key(x, y->tariff_id, y->rating_group);

	if (order != 0)
		return order;
	if (x->unit != y->unit)
		return x->unit < y->unit ? -1 : 1;
	return (x->valid_from_us > y->valid_from_us) - (x->valid_from_us < y->valid_from_us);
}

/* Index of the first rule of (tariff_id, rating_group), or of where it would stand. */
static unsigned first_rule(const struct gy_catalogue *catalogue, int32_t tariff_id,
			   uint32_t rating_group)
{
	unsigned low = 0, high = catalogue->n_rules;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (compare_key(&catalogue->rules[middle], tariff_id, rating_group) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

enum gy_rc gy_tariff_resolve(const struct gy_catalogue *catalogue, int32_t tariff_id,
			     uint32_t rating_group, enum gy_unit unit, gy_time_us now,
			     struct gy_tariff_result *result)
{
	for (unsigned i = first_rule(catalogue, tariff_id, rating_group); i < catalogue->n_rules;
	     i++) {
		const struct gy_specific_rule *rule = &catalogue->rules[i];

		if (compare_key(rule, tariff_id, rating_group) != 0)
			break;
		if (unit != GY_UNIT_NONE && rule->unit != unit)
			continue;
		if (now < rule->valid_from_us || now >= rule->valid_until_us)
			continue;
		*result = (struct gy_tariff_result){
			.rule_id = rule->rule_id,
			.kind = rule->kind,
			.unit = rule->unit,
			.rate = rule->rate,
			.valid_until_us = rule->valid_until_us,
		};
		return GY_OK;
	}
	return GY_RATING_FAILED;
}
