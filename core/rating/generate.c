/* The generating unit (S-3, S-7): the specific rule and the matching rules become the tariff
 * result. */
#include "core/rating/generate.h"

#include "core/rating/fraction.h"
#include "core/rating/index.h"
#include "core/rating/trace.h"

struct run {
	const struct gy_dynamic *dynamic;
	const struct gy_rating_input *input;
	const struct gy_acquired *acquired;
	const struct gy_determined *determined;
	struct gy_tariff_result *result;
	struct gy_trace *trace;
	struct gy_fraction rate;
	int64_t block; /* the rate is told per multiple of it */
};

static const struct gy_indexed_rule *nth(const struct run *r, unsigned n)
{
	return &r->dynamic->index->rules[r->determined->rules[n]];
}

/* The better rule of the n-th one's stack group, 0 if there is none. */
static int64_t outvoted(const struct run *r, unsigned n)
{
	const struct gy_indexed_rule *rule = nth(r, n), *best = rule;

	if (rule->stack_group == 0)
		return 0;
	for (unsigned i = 0; i < r->determined->n; i++) {
		const struct gy_indexed_rule *other = nth(r, i);

		if (other->stack_group == rule->stack_group && other->rank < best->rank)
			best = other;
	}
	return best == rule ? 0 : best->rule_id;
}

static void put(const struct run *r, unsigned n, enum gy_verdict verdict, int64_t other_rule_id)
{
	const struct gy_indexed_rule *rule = nth(r, n);
	const struct gy_dynamic_rule *source;
	struct gy_rate rate;

	if (r->trace == NULL)
		return;
	source = &r->dynamic->rules[rule->source];
	if (r->block == 0 || !gy_fraction_rate(r->rate, r->block, &rate))
		rate = (struct gy_rate){ 0, 0 };
	gy_trace_rule(r->trace, rule->stage, verdict, source,
		      gy_acquired_find(r->acquired, gy_rule_slot(r->dynamic, source)), rate,
		      other_rule_id);
}

/* ---- DENY and the base ---- */

/* What is denied is denied whatever else matches; the rest is only told. */
static void deny(struct run *r, unsigned first, int64_t by_rule_id)
{
	r->result->kind = GY_RULE_FORBIDDEN;
	for (unsigned i = first; i < r->determined->n; i++)
		put(r, i, GY_VERDICT_DENIED, by_rule_id);
}

static bool denied(struct run *r)
{
	struct gy_tariff_result *out = r->result;

	if (r->determined->n > 0 && nth(r, 0)->stage == GY_STAGE_DENY) {
		out->denied_rule_id = nth(r, 0)->rule_id;
		put(r, 0, GY_VERDICT_APPLIED, 0);
		deny(r, 1, out->denied_rule_id);
		return true;
	}
	if (r->determined->denied_code != 0) {
		out->denied_code_id = r->determined->denied_code;
		gy_trace_put(r->trace, (struct gy_trace_entry){ .stage = GY_STAGE_DENY,
								.verdict = GY_VERDICT_APPLIED,
								.code_id = out->denied_code_id });
		deny(r, 0, 0);
		return true;
	}
	return false;
}

/* False: the specific rule forbids the service. */
static bool begin(struct run *r)
{
	struct gy_tariff_result *out = r->result;
	struct gy_rate rate = out->kind == GY_RULE_PRICED ? out->rate : (struct gy_rate){ 0, 1 };

	if (out->kind == GY_RULE_FORBIDDEN) {
		rate.block = 0; /* not rated */
	} else {
		if (out->rate.block > 0)
			rate.block = out->rate.block;
		r->rate = gy_fraction_of(rate.price_micros, rate.block);
		r->block = rate.block;
	}
	gy_trace_put(r->trace, (struct gy_trace_entry){ .stage = GY_STAGE_BASE,
							.verdict = GY_VERDICT_APPLIED,
							.rule_id = out->rule_id,
							.amount = rate.price_micros,
							.block = rate.block,
							.rate = rate });
	if (out->kind != GY_RULE_FORBIDDEN)
		return true;
	deny(r, 0, 0);
	return false;
}

/* ---- one rule ---- */

static enum gy_verdict replace(struct run *r, const struct gy_indexed_rule *rule, int64_t *other)
{
	if (r->result->replace_rule_id != 0) {
		*other = r->result->replace_rule_id;
		return GY_VERDICT_LOST;
	}
	r->result->replace_rule_id = rule->rule_id;
	r->rate = gy_fraction_of(rule->amount, rule->block);
	r->block = rule->block;
	return GY_VERDICT_APPLIED;
}

/* direction 1: at least, -1: at most. */
static enum gy_verdict bound(struct run *r, const struct gy_indexed_rule *rule, int direction,
			     int64_t *rule_id)
{
	struct gy_fraction limit = gy_fraction_of(rule->amount, rule->block);

	if (gy_fraction_compare(limit, r->rate) * direction <= 0)
		return GY_VERDICT_NO_EFFECT;
	*rule_id = rule->rule_id;
	r->rate = limit;
	r->block = rule->block;
	return GY_VERDICT_APPLIED;
}

static int64_t free_used(const struct run *r, int64_t rule_id)
{
	const struct gy_counters *counters = r->input->counters;
	const struct gy_free_used *used = NULL;

	if (counters == NULL)
		return 0;
	for (unsigned i = 0; i < counters->n_free; i++)
		if (counters->free[i].rule_id == rule_id ||
		    (counters->free[i].rule_id == 0 && used == NULL))
			used = &counters->free[i];
	if (used == NULL)
		return 0;
	if (r->input->now > counters->at_us &&
	    gy_civil_at(r->acquired->zone, r->input->now).day >
		    gy_civil_at(r->acquired->zone, counters->at_us).day)
		return used->later;
	return used->units;
}

static enum gy_verdict give_free(struct run *r, const struct gy_indexed_rule *rule, int64_t *other)
{
	struct gy_tariff_result *out = r->result;
	int64_t used = free_used(r, rule->rule_id);

	if (r->rate.micros == 0)
		return GY_VERDICT_NO_EFFECT;
	if (used > 0) {
		gy_time_us day = gy_clock_next_day(r->acquired->zone, r->input->now);

		if (day < out->valid_until_us)
			out->valid_until_us = day;
	}
	if (used >= rule->amount)
		return GY_VERDICT_USED_UP;
	if (out->free_rule_id != 0) {
		out->free_more = true;
		*other = out->free_rule_id;
		return GY_VERDICT_LOST;
	}
	out->free_rule_id = rule->rule_id;
	out->free_units = rule->amount - used;
	return GY_VERDICT_APPLIED;
}

static enum gy_verdict limit_quota(struct gy_tariff_result *out, const struct gy_indexed_rule *rule)
{
	if (out->quota_rule_id != 0 && rule->amount >= out->quota_units)
		return GY_VERDICT_NO_EFFECT;
	out->quota_rule_id = rule->rule_id;
	out->quota_units = rule->amount;
	return GY_VERDICT_APPLIED;
}

static enum gy_verdict limit_validity(struct gy_tariff_result *out,
				      const struct gy_indexed_rule *rule)
{
	if (out->validity_rule_id != 0 && rule->amount >= (int64_t)out->validity_s)
		return GY_VERDICT_NO_EFFECT;
	out->validity_rule_id = rule->rule_id;
	out->validity_s = (uint32_t)rule->amount;
	return GY_VERDICT_APPLIED;
}

static enum gy_verdict redirect(const struct run *r, const struct gy_indexed_rule *rule,
				int64_t *other)
{
	const struct gy_effect *effect = &r->dynamic->rules[rule->source].effect;
	struct gy_tariff_result *out = r->result;

	if (out->redirect_rule_id != 0) {
		*other = out->redirect_rule_id;
		return GY_VERDICT_LOST;
	}
	out->redirect_rule_id = rule->rule_id;
	out->redirect_type = effect->redirect_type;
	out->redirect_address = effect->address;
	return GY_VERDICT_APPLIED;
}

/* False: the rate can't be represented. */
static bool apply(struct run *r, const struct gy_indexed_rule *rule, enum gy_verdict *verdict,
		  int64_t *other)
{
	const struct gy_fraction operand = { rule->amount, rule->block };

	*verdict = GY_VERDICT_APPLIED;
	switch (rule->stage) {
	case GY_STAGE_REPLACE:
		*verdict = replace(r, rule, other);
		return true;
	case GY_STAGE_MULTIPLY:
		r->result->n_multiplied++;
		return gy_fraction_multiply(&r->rate, operand);
	case GY_STAGE_ADD:
		r->result->n_added++;
		return gy_fraction_add(&r->rate, gy_fraction_of(rule->amount, rule->block));
	case GY_STAGE_FLOOR:
		*verdict = bound(r, rule, 1, &r->result->floor_rule_id);
		return true;
	case GY_STAGE_CAP:
		*verdict = bound(r, rule, -1, &r->result->cap_rule_id);
		return true;
	case GY_STAGE_FREE:
		*verdict = give_free(r, rule, other);
		return true;
	case GY_STAGE_QUOTA:
		*verdict = limit_quota(r->result, rule);
		return true;
	case GY_STAGE_VALIDITY:
		*verdict = limit_validity(r->result, rule);
		return true;
	default:
		*verdict = redirect(r, rule, other);
		return true;
	}
}

/* ---- all of them ---- */

static void begin_result(struct run *r)
{
	const unsigned can_price = 1u << GY_EFFECT_DENY | 1u << GY_EFFECT_REPLACE |
				   1u << GY_EFFECT_ADD | 1u << GY_EFFECT_FLOOR;
	const struct gy_determined *d = r->determined;
	struct gy_tariff_result *out = r->result;

	*out = (struct gy_tariff_result){
		.rule_id = out->rule_id,
		.kind = out->kind,
		.unit = out->unit,
		.rate = out->rate,
		.valid_until_us = out->valid_until_us,
		.counter_units = d->counter_units,
		.counter_micros = d->counter_micros,
	};
	if (r->acquired->until_us < out->valid_until_us)
		out->valid_until_us = r->acquired->until_us;
	if (d->until_us < out->valid_until_us)
		out->valid_until_us = d->until_us;
	out->dynamic = (d->effects & (out->kind == GY_RULE_FREE ? can_price : ~0u)) != 0;
	for (unsigned i = 0; i < r->acquired->n; i++)
		if (r->acquired->codes[i].code != NULL &&
		    r->acquired->codes[i].code->on_missing == GY_MISSING_DENY)
			out->dynamic = true;
}

enum gy_rc gy_tariff_generate(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			      const struct gy_acquired *acquired,
			      const struct gy_determined *determined,
			      struct gy_tariff_result *result, struct gy_trace *trace)
{
	struct run r = { .dynamic = dynamic,
			 .input = input,
			 .acquired = acquired,
			 .determined = determined,
			 .result = result,
			 .trace = trace };

	begin_result(&r);
	if (denied(&r) || !begin(&r))
		return GY_OK;
	for (unsigned i = 0; i < determined->n; i++) {
		int64_t other = outvoted(&r, i);
		enum gy_verdict verdict = GY_VERDICT_OUTVOTED;

		if (other == 0 && !apply(&r, nth(&r, i), &verdict, &other))
			return GY_RATING_FAILED;
		put(&r, i, verdict, other);
		/* Terms may take the rate below zero on their way, but not in the end. */
		if (r.rate.micros < 0 &&
		    (i + 1 == determined->n || nth(&r, i + 1)->stage > GY_STAGE_ADD))
			return GY_RATING_FAILED;
	}
	if (result->kind == GY_RULE_FREE && r.rate.micros == 0)
		return GY_OK;
	result->kind = GY_RULE_PRICED;
	return gy_fraction_rate(r.rate, r.block, &result->rate) ? GY_OK : GY_RATING_FAILED;
}

enum gy_rc gy_tariff_rate(const struct gy_catalogue *catalogue, const struct gy_rating_input *input,
			  struct gy_tariff_result *result, struct gy_trace *trace)
{
	const struct gy_dynamic *dynamic = catalogue->dynamic;
	struct gy_acquired acquired;
	struct gy_determined determined;
	enum gy_rc rc;

	rc = gy_tariff_resolve(catalogue, input->tariff_id, input->rating_group, input->unit,
			       input->now, result);
	if (rc != GY_OK)
		return rc;
	if (dynamic == NULL || dynamic->n_rules + dynamic->n_codes == 0) {
		gy_trace_put(trace, (struct gy_trace_entry){ .stage = GY_STAGE_BASE,
							     .verdict = GY_VERDICT_APPLIED,
							     .rule_id = result->rule_id,
							     .amount = result->rate.price_micros,
							     .block = result->rate.block,
							     .rate = result->rate });
		return GY_OK;
	}
	rc = gy_tariff_acquire(dynamic, input, &acquired);
	if (rc != GY_OK)
		return rc;
	gy_tariff_determine(dynamic, input, result->unit, &acquired, &determined, trace);
	return gy_tariff_generate(dynamic, input, &acquired, &determined, result, trace);
}

bool gy_tariff_same(const struct gy_tariff_result *a, const struct gy_tariff_result *b)
{
	bool priced = a->kind == GY_RULE_PRICED;

	if (a->kind != b->kind || a->unit != b->unit)
		return false;
	if (priced && (__int128)a->rate.price_micros * b->rate.block !=
			      (__int128)b->rate.price_micros * a->rate.block)
		return false;
	return a->free_rule_id == b->free_rule_id && a->free_units == b->free_units &&
	       a->free_more == b->free_more;
}

/* Edges without a change that are passed over before one is taken as a change. */
#define EDGES_MAX 64

/* Moves result->valid_until_us over edges at which its price stays. True: at the one it now stands
 * at, before until_us, the price becomes *next. */
static bool pass_edges(const struct gy_catalogue *catalogue, struct gy_rating_input input,
		       gy_time_us until_us, struct gy_tariff_result *result,
		       struct gy_tariff_result *next)
{
	input.unit = result->unit;
	for (int edge = 0; result->valid_until_us < until_us; edge++) {
		input.now = result->valid_until_us;
		if (gy_tariff_rate(catalogue, &input, next, NULL) != GY_OK)
			*next = (struct gy_tariff_result){ .kind = GY_RULE_FORBIDDEN,
							   .unit = result->unit,
							   .valid_until_us = input.now };
		if (edge == EDGES_MAX || next->rule_id == 0 || !gy_tariff_same(result, next))
			return true;
		result->valid_until_us = next->valid_until_us;
	}
	return false;
}

enum gy_rc gy_tariff_window(const struct gy_catalogue *catalogue,
			    const struct gy_rating_input *input, gy_time_us until_us,
			    struct gy_tariff_result *result, struct gy_tariff_result *next,
			    bool *has_next)
{
	struct gy_tariff_result after;
	enum gy_rc rc = gy_tariff_rate(catalogue, input, result, NULL);

	*has_next = false;
	if (rc != GY_OK)
		return rc;
	*has_next = pass_edges(catalogue, *input, until_us, result, next);
	if (*has_next && next->rule_id != 0)
		pass_edges(catalogue, *input, until_us, next, &after);
	return GY_OK;
}
