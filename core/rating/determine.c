/* The determining unit (S-6, S-10, S-12): the rules of both codes, then those that the values
 * satisfy. */
#include "core/rating/generate.h"

#include "core/base/assert.h"
#include "core/rating/index.h"
#include "core/rating/sort.h"
#include "core/rating/trace.h"

/* One acquired code on its way through the index. */
struct walk {
	const struct gy_dynamic *dynamic;
	const struct gy_rating_input *input;
	const struct gy_acquired_code *code;
	struct gy_determined *out;
	int64_t low,
		high; /* of the value: as long as it stays in [low, high), the same rules match */
	bool missing_rule; /* one says what to do without a value */
};

static void sooner(gy_time_us *until, gy_time_us at, gy_time_us now)
{
	if (at > now && at < *until)
		*until = at;
}

static void take_entries(struct walk *w, uint32_t first, uint32_t until)
{
	const struct gy_dynamic_index *index = w->dynamic->index;
	struct gy_determined *out = w->out;

	for (uint32_t i = first; i < until; i++) {
		const struct gy_indexed_rule *rule = &index->rules[index->entries[i]];

		sooner(&out->until_us, rule->valid_from_us, w->input->now);
		sooner(&out->until_us, rule->valid_until_us, w->input->now);
		if (w->input->now < rule->valid_from_us || w->input->now >= rule->valid_until_us)
			continue;
		gy_assert(out->n < sizeof(out->rules) / sizeof(out->rules[0]));
		out->rules[out->n++] = index->entries[i];
		w->missing_rule = true;
	}
}

static void walk_group(struct walk *w, const struct gy_group *group)
{
	const struct gy_dynamic_index *index = w->dynamic->index;
	const uint32_t *offsets = index->nodes + group->nodes;
	uint32_t segment = 0;

	w->out->effects |= group->effects;
	if (w->code->origin == GY_ORIGIN_MISSING) {
		take_entries(w, group->missing, group->missing + group->n_missing);
		return;
	}
	if (w->code->origin != GY_ORIGIN_NONE)
		segment = gy_group_segment(index, group, &w->code->value);
	for (uint32_t node = segment + group->n_segments; node > 0; node /= 2)
		take_entries(w, offsets[node], offsets[node + 1]);
	if (group->text)
		return;
	if (segment > 0 && index->edges[group->edges + segment - 1] > w->low)
		w->low = index->edges[group->edges + segment - 1];
	if (segment < group->n_edges && index->edges[group->edges + segment] < w->high)
		w->high = index->edges[group->edges + segment];
}

/* When, or after how much, the value leaves the range in which the same rules match. */
static void find_edge(struct walk *w, const struct gy_acquired *acquired)
{
	const struct gy_attribute_type *type = w->code->attribute;
	struct gy_determined *out = w->out;
	int64_t left;

	if (w->low == INT64_MIN && w->high == INT64_MAX)
		return;
	if (type->source == GY_SOURCE_CLOCK) {
		sooner(&out->until_us,
		       gy_clock_leaves(acquired->zone,
				       gy_calendar_find(w->dynamic, type->calendar_id),
				       type->derivation, w->input->now, w->low, w->high),
		       w->input->now);
		return;
	}
	if (type->source != GY_SOURCE_COUNTER)
		return;
	/* A counter begins anew with the next day (or month, which is a next day too). */
	if (w->low > 0)
		sooner(&out->until_us, gy_clock_next_day(acquired->zone, w->input->now),
		       w->input->now);
	if (w->code->origin != GY_ORIGIN_SOURCE || w->high == INT64_MAX)
		return;
	left = w->high - w->code->value.number;
	if (type->derivation == GY_DERIVE_UNITS_DAY || type->derivation == GY_DERIVE_UNITS_MONTH) {
		if (left < out->counter_units)
			out->counter_units = left;
	} else if (left < out->counter_micros) {
		out->counter_micros = left;
	}
}

static void walk_code(struct walk *w, enum gy_unit unit, const struct gy_acquired *acquired)
{
	const struct gy_dynamic_index *index = w->dynamic->index;
	const struct gy_dynamic_code *code = w->code->code;

	for (unsigned shapes = index->shapes[w->code->slot]; shapes != 0; shapes &= shapes - 1) {
		const struct gy_group *group =
			gy_group_find(index, w->code->slot, __builtin_ctz(shapes),
				      w->input->tariff_id, w->input->rating_group, unit);

		if (group != NULL)
			walk_group(w, group);
	}
	if (w->code->origin == GY_ORIGIN_MISSING) {
		if (code != NULL && code->on_missing == GY_MISSING_DENY && !w->missing_rule &&
		    w->out->denied_code == 0)
			w->out->denied_code = code->code_id;
	} else if (w->code->origin != GY_ORIGIN_NONE) {
		find_edge(w, acquired);
	}
}

static int by_number(const void *a, const void *b, const void *context)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	(void)context;
	return (x > y) - (x < y);
}

/* Few rules are the rule: insertion; many: heapsort. */
static void order_rules(struct gy_determined *out)
{
	if (out->n > 32) {
		gy_sort(out->rules, out->n, sizeof(out->rules[0]), by_number, NULL);
		return;
	}
	for (unsigned i = 1; i < out->n; i++) {
		uint32_t rule = out->rules[i];
		unsigned k = i;

		for (; k > 0 && out->rules[k - 1] > rule; k--)
			out->rules[k] = out->rules[k - 1];
		out->rules[k] = rule;
	}
}

/* ---- explain: the rules of both codes that the second step passed over ---- */

static enum gy_verdict why_not(const struct gy_rating_input *input, enum gy_unit unit,
			       const struct gy_dynamic_rule *rule,
			       const struct gy_acquired_code *code)
{
	if (rule->rating_group != GY_ANY_RATING_GROUP &&
	    rule->rating_group != (int64_t)input->rating_group)
		return GY_VERDICT_RATING_GROUP;
	if (rule->unit != GY_UNIT_NONE && rule->unit != unit)
		return GY_VERDICT_UNIT;
	if (input->now < rule->valid_from_us)
		return GY_VERDICT_EARLY;
	if (input->now >= rule->valid_until_us)
		return GY_VERDICT_LATE;
	if (code->origin == GY_ORIGIN_NONE)
		return GY_VERDICT_APPLIED;
	if (gy_predicate_matches(&rule->predicate, &code->value))
		return GY_VERDICT_APPLIED;
	if (code->origin == GY_ORIGIN_MISSING)
		return GY_VERDICT_MISSING;
	return rule->predicate.match == GY_MATCH_MISSING ? GY_VERDICT_PRESENT : GY_VERDICT_VALUE;
}

static void trace_passed_over(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			      enum gy_unit unit, const struct gy_acquired *acquired,
			      struct gy_trace *trace)
{
	const struct gy_dynamic_index *index = dynamic->index;

	for (uint32_t i = 0; i < dynamic->n_rules; i++) {
		const struct gy_dynamic_rule *rule = &dynamic->rules[index->rules[i].source];
		const struct gy_acquired_code *code =
			gy_acquired_find(acquired, gy_rule_slot(dynamic, rule));
		enum gy_verdict verdict;

		if (code == NULL || (rule->tariff_id != 0 && rule->tariff_id != input->tariff_id))
			continue;
		verdict = why_not(input, unit, rule, code);
		if (verdict != GY_VERDICT_APPLIED)
			gy_trace_rule(trace, GY_STAGE_CONSIDERED, verdict, rule, code,
				      (struct gy_rate){ 0, 0 }, 0);
	}
}

void gy_tariff_determine(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			 enum gy_unit unit, const struct gy_acquired *acquired,
			 struct gy_determined *determined, struct gy_trace *trace)
{
	determined->n = 0;
	determined->effects = 0;
	determined->denied_code = 0;
	determined->until_us = INT64_MAX;
	determined->counter_units = determined->counter_micros = INT64_MAX;
	for (unsigned i = 0; i < acquired->n; i++) {
		struct walk w = { .dynamic = dynamic,
				  .input = input,
				  .code = &acquired->codes[i],
				  .out = determined,
				  .low = INT64_MIN,
				  .high = INT64_MAX };

		walk_code(&w, unit, acquired);
	}
	order_rules(determined);
	if (trace != NULL)
		trace_passed_over(dynamic, input, unit, acquired, trace);
}

const struct gy_dynamic_rule *gy_determined_rule(const struct gy_dynamic *dynamic,
						 const struct gy_determined *determined, unsigned n)
{
	return &dynamic->rules[dynamic->index->rules[determined->rules[n]].source];
}
