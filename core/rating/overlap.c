/* Refuses rules that contradict each other: same id, same key at the same time, two REPLACE of
 * equal precedence. */
#include "core/rating/index.h"

#include "core/rating/sort.h"

static bool refuse(struct gy_dynamic_fault *fault, enum gy_fault_reason reason,
		   const struct gy_dynamic_rule *a, const struct gy_dynamic_rule *b)
{
	bool a_later = a->rule_id > b->rule_id;

	*fault = (struct gy_dynamic_fault){
		.reason = reason,
		.rule_id = a_later ? a->rule_id : b->rule_id,
		.other_rule_id = a_later ? b->rule_id : a->rule_id,
	};
	return false;
}

static int compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static bool overlap_in_time(const struct gy_dynamic_rule *a, const struct gy_dynamic_rule *b)
{
	return a->valid_from_us < b->valid_until_us && b->valid_from_us < a->valid_until_us;
}

/* ---- ids ---- */

static int by_id(const void *a, const void *b, const void *context)
{
	const struct gy_dynamic_rule *rules = context;

	return compare(rules[*(const uint32_t *)a].rule_id, rules[*(const uint32_t *)b].rule_id);
}

static bool check_ids(const struct gy_dynamic *dynamic, uint32_t *order,
		      struct gy_dynamic_fault *fault)
{
	gy_sort(order, dynamic->n_rules, sizeof(*order), by_id, dynamic->rules);
	for (uint32_t i = 1; i < dynamic->n_rules; i++) {
		const struct gy_dynamic_rule *a = &dynamic->rules[order[i - 1]];
		const struct gy_dynamic_rule *b = &dynamic->rules[order[i]];

		if (a->rule_id == b->rule_id)
			return refuse(fault, GY_FAULT_DUPLICATE_ID, a, b);
	}
	return true;
}

/* ---- keys ---- */

static int compare_predicates(const struct gy_predicate *a, const struct gy_predicate *b)
{
	int order = compare(a->match, b->match);

	if (order != 0)
		return order;
	switch (a->match) {
	case GY_MATCH_EQUAL:
		return gy_value_compare(&a->low, &b->low);
	case GY_MATCH_RANGE:
		order = gy_value_compare(&a->low, &b->low);
		return order != 0 ? order : gy_value_compare(&a->high, &b->high);
	case GY_MATCH_SET:
		order = compare(a->n_set, b->n_set);
		for (unsigned i = 0; order == 0 && i < a->n_set; i++)
			order = gy_value_compare(&a->set[i], &b->set[i]);
		return order;
	default:
		return 0;
	}
}

/* Everything that makes two rules the same but for operand and time. */
static int compare_keys(const struct gy_dynamic_rule *a, const struct gy_dynamic_rule *b)
{
	const int64_t x[] = { a->tariff_id, a->code_id,     a->attribute_id, a->rating_group,
			      a->unit,      a->effect.kind, a->precedence,   a->stack_group };
	const int64_t y[] = { b->tariff_id, b->code_id,     b->attribute_id, b->rating_group,
			      b->unit,      b->effect.kind, b->precedence,   b->stack_group };

	for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); i++)
		if (x[i] != y[i])
			return compare(x[i], y[i]);
	return compare_predicates(&a->predicate, &b->predicate);
}

static int by_key(const void *a, const void *b, const void *context)
{
	const struct gy_dynamic_rule *rules = context;
	const struct gy_dynamic_rule *x = &rules[*(const uint32_t *)a];
	const struct gy_dynamic_rule *y = &rules[*(const uint32_t *)b];
	int order = compare_keys(x, y);

	if (order == 0)
		order = compare(x->valid_from_us, y->valid_from_us);
	return order != 0 ? order : compare(x->rule_id, y->rule_id);
}

static bool check_keys(const struct gy_dynamic *dynamic, uint32_t *order,
		       struct gy_dynamic_fault *fault)
{
	gy_sort(order, dynamic->n_rules, sizeof(*order), by_key, dynamic->rules);
	for (uint32_t i = 1; i < dynamic->n_rules; i++) {
		const struct gy_dynamic_rule *a = &dynamic->rules[order[i - 1]];
		const struct gy_dynamic_rule *b = &dynamic->rules[order[i]];

		/* Neighbours are enough: were an earlier one open longer, its own neighbour would
		 * overlap. */
		if (compare_keys(a, b) == 0 && overlap_in_time(a, b))
			return refuse(fault, GY_FAULT_KEY_OVERLAP, a, b);
	}
	return true;
}

/* ---- REPLACE ---- */

static bool share_number(const struct gy_predicate *a, const struct gy_predicate *b)
{
	unsigned i = 0, j = 0;

	while (i < gy_predicate_ranges(a) && j < gy_predicate_ranges(b)) {
		int64_t low[2], high[2];

		gy_predicate_range(a, i, &low[0], &high[0]);
		gy_predicate_range(b, j, &low[1], &high[1]);
		if (low[0] < high[1] && low[1] < high[0])
			return true;
		if (high[0] < high[1])
			i++;
		else
			j++;
	}
	return false;
}

static const struct gy_value *points(const struct gy_predicate *p, unsigned *n)
{
	*n = p->match == GY_MATCH_SET ? p->n_set : 1;
	return p->match == GY_MATCH_SET ? p->set : &p->low;
}

static bool share_text(const struct gy_predicate *a, const struct gy_predicate *b)
{
	unsigned i = 0, j = 0, n_a, n_b;
	const struct gy_value *x = points(a, &n_a), *y = points(b, &n_b);

	while (i < n_a && j < n_b) {
		int order = gy_value_compare(&x[i], &y[j]);

		if (order == 0)
			return true;
		if (order < 0)
			i++;
		else
			j++;
	}
	return false;
}

/* True if some value of the attribute satisfies both. */
static bool share_value(const struct gy_attribute_type *attribute, const struct gy_predicate *a,
			const struct gy_predicate *b)
{
	if ((a->match == GY_MATCH_MISSING) != (b->match == GY_MATCH_MISSING))
		return false;
	if (a->match == GY_MATCH_MISSING || a->match == GY_MATCH_ANY || b->match == GY_MATCH_ANY)
		return true;
	return attribute->type == GY_VALUE_TEXT ? share_text(a, b) : share_number(a, b);
}

static int by_replace(const void *a, const void *b, const void *context)
{
	const struct gy_dynamic_rule *rules = context;
	const struct gy_dynamic_rule *x = &rules[*(const uint32_t *)a];
	const struct gy_dynamic_rule *y = &rules[*(const uint32_t *)b];
	const int64_t p[] = { x->effect.kind != GY_EFFECT_REPLACE,
			      x->tariff_id,
			      x->unit,
			      x->precedence,
			      gy_rule_specificity(x),
			      x->rule_id };
	const int64_t q[] = { y->effect.kind != GY_EFFECT_REPLACE,
			      y->tariff_id,
			      y->unit,
			      y->precedence,
			      gy_rule_specificity(y),
			      y->rule_id };

	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
		if (p[i] != q[i])
			return compare(p[i], q[i]);
	return 0;
}

/* Rivals: only the accident of id or date would decide between them. The specific code is part of
 * how specific a rule is: equally specific rules name the same one, or none, or never meet. */
static bool rivals(const struct gy_dynamic_rule *a, const struct gy_dynamic_rule *b)
{
	return a->effect.kind == b->effect.kind && a->tariff_id == b->tariff_id &&
	       a->unit == b->unit && a->precedence == b->precedence &&
	       gy_rule_specificity(a) == gy_rule_specificity(b);
}

static bool meet(const struct gy_dynamic *dynamic, const struct gy_dynamic_rule *a,
		 const struct gy_dynamic_rule *b)
{
	const struct gy_attribute_type *attribute;

	if (a->rating_group != b->rating_group && a->rating_group != GY_ANY_RATING_GROUP &&
	    b->rating_group != GY_ANY_RATING_GROUP)
		return false;
	if (!overlap_in_time(a, b))
		return false;
	attribute = gy_rule_attribute(dynamic, a);
	if (attribute == NULL || attribute != gy_rule_attribute(dynamic, b))
		return true;
	return share_value(attribute, &a->predicate, &b->predicate);
}

static bool check_replace(const struct gy_dynamic *dynamic, uint32_t *order,
			  struct gy_dynamic_fault *fault)
{
	const struct gy_dynamic_rule *rules = dynamic->rules;

	gy_sort(order, dynamic->n_rules, sizeof(*order), by_replace, rules);
	for (uint32_t i = 0; i < dynamic->n_rules; i++) {
		const struct gy_dynamic_rule *a = &rules[order[i]];

		if (a->effect.kind != GY_EFFECT_REPLACE)
			break;
		for (uint32_t j = i + 1; j < dynamic->n_rules && rivals(a, &rules[order[j]]); j++)
			if (meet(dynamic, a, &rules[order[j]]))
				return refuse(fault, GY_FAULT_REPLACE_OVERLAP, a, &rules[order[j]]);
	}
	return true;
}

bool gy_check_overlaps(const struct gy_dynamic *dynamic, uint32_t *scratch,
		       struct gy_dynamic_fault *fault)
{
	for (uint32_t i = 0; i < dynamic->n_rules; i++)
		scratch[i] = i;
	return check_ids(dynamic, scratch, fault) && check_keys(dynamic, scratch, fault) &&
	       check_replace(dynamic, scratch, fault);
}
