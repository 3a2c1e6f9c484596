/* Refuses a snapshot whose rates could go negative, or couldn't stay exact, after the worst
 * stacking.
 *
 * For each specific rule and each stretch of time between two edges of its dynamic rules, all that
 * can stack is looked at: for every dynamic code any value of its attribute (or no assignment), for
 * every stack group any one of its rules. Codes are taken as independent of each other, which can
 * only refuse too much. Arithmetic is exact: integers over one common block. */
#include "core/rating/index.h"

#include "core/base/limits.h"
#include "core/rating/fraction.h"

/* Pairs of a front; more are merged into their lower bound. */
#define FRONT_MAX 64

/* A factor in 1/(the common divisor of factors) and a term in micro-units per common block of
 * terms. */
struct pair {
	__int128 factor, term;
};

/* Pairs of which none is worse (lower in both) than another: the worst case is among them. */
struct front {
	unsigned n;
	struct pair pairs[FRONT_MAX];
};

/* One specific rule at one instant. */
struct stack {
	const struct gy_dynamic *dynamic;
	const struct gy_dynamic_index *index;
	const struct gy_specific_rule *base;
	gy_time_us at;
	const uint32_t *rules; /* REPLACE, MULTIPLY and ADD rules that may apply to base, by slot */
	uint32_t n_rules;
	int64_t terms;   /* common block of ADD */
	int64_t factors; /* common divisor of MULTIPLY */
	__int128 most_factor, most_term, least_term;
	struct front worst;
};

/* Rules of one code, or of one stack group: they come together, or not at all. */
struct choice {
	uint32_t first, until; /* in stack.rules */
	int32_t stack_group;   /* 0: those without one */
	int64_t factors;       /* common divisor */
};

static const struct gy_indexed_rule *rule_at(const struct stack *s, uint32_t i)
{
	return &s->index->rules[s->rules[i]];
}

static const struct gy_dynamic_rule *source_at(const struct stack *s, uint32_t i)
{
	return &s->dynamic->rules[rule_at(s, i)->source];
}

static bool valid_at(const struct stack *s, uint32_t i)
{
	const struct gy_indexed_rule *r = rule_at(s, i);

	return r->valid_from_us <= s->at && s->at < r->valid_until_us;
}

static bool stacks(const struct stack *s, uint32_t i)
{
	enum gy_stage stage = rule_at(s, i)->stage;

	return (stage == GY_STAGE_MULTIPLY || stage == GY_STAGE_ADD) && valid_at(s, i);
}

/* a * b, at most the largest number there is. Both are >= 0. */
static __int128 product(__int128 a, __int128 b)
{
	const __int128 top = (__int128)((~(unsigned __int128)0) >> 1);

	return a != 0 && b > top / a ? top : a * b;
}

/* The least common multiple, 0 if above GY_AMOUNT_MAX; of 0: 0. */
static int64_t common_multiple(int64_t a, int64_t b)
{
	__int128 multiple;

	if (a == 0 || b == 0)
		return 0;
	multiple = (__int128)(a / (int64_t)gy_gcd((uint64_t)a, (uint64_t)b)) * b;
	return multiple > GY_AMOUNT_MAX ? 0 : (int64_t)multiple;
}

/* ---- fronts ---- */

static void front_add(struct front *front, struct pair pair)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < front->n; i++)
		if (front->pairs[i].factor <= pair.factor && front->pairs[i].term <= pair.term)
			return;
	for (unsigned i = 0; i < front->n; i++)
		if (front->pairs[i].factor < pair.factor || front->pairs[i].term < pair.term)
			front->pairs[kept++] = front->pairs[i];
	front->n = kept;
	if (front->n < FRONT_MAX) {
		front->pairs[front->n++] = pair;
		return;
	}
	if (pair.factor < front->pairs[FRONT_MAX - 1].factor)
		front->pairs[FRONT_MAX - 1].factor = pair.factor;
	if (pair.term < front->pairs[FRONT_MAX - 1].term)
		front->pairs[FRONT_MAX - 1].term = pair.term;
}

static void front_combine(struct front *front, const struct front *with)
{
	struct front out = { .n = 0 };

	for (unsigned i = 0; i < front->n; i++)
		for (unsigned k = 0; k < with->n; k++)
			front_add(&out,
				  (struct pair){
					  product(front->pairs[i].factor, with->pairs[k].factor),
					  front->pairs[i].term + with->pairs[k].term });
	*front = out;
}

/* ---- one choice: what one value brings ---- */

/* What the rules that match one value bring: a factor over *divisor, a sum of terms, and the
 * outermost of what lies on the way to them. */
struct sum {
	int64_t divisor; /* 0: too large */
	__int128 factor, peak;
	__int128 term, up, down;
};

static const struct sum nothing = { .divisor = 1, .factor = 1, .peak = 1 };

static void sum_up(const struct stack *s, uint32_t i, struct sum *sum)
{
	const struct gy_indexed_rule *r = rule_at(s, i);
	struct gy_fraction f = gy_fraction_of(r->amount, r->block);

	if (r->stage == GY_STAGE_ADD) {
		__int128 term = (__int128)f.micros * (s->terms / f.block);

		sum->term += term;
		*(term > 0 ? &sum->up : &sum->down) += term;
		return;
	}
	sum->divisor = sum->divisor > GY_AMOUNT_MAX / f.block ? 0 : sum->divisor * f.block;
	sum->factor = product(sum->factor, f.micros);
	sum->peak = product(sum->peak, f.micros > f.block ? f.micros : f.block);
}

static struct sum sum_of_value(const struct stack *s, const struct choice *choice,
			       const struct gy_value *value)
{
	struct sum sum = nothing;

	for (uint32_t i = choice->first; i < choice->until; i++)
		if (stacks(s, i) && rule_at(s, i)->stack_group == 0 &&
		    gy_predicate_matches(&source_at(s, i)->predicate, value))
			sum_up(s, i, &sum);
	return sum;
}

/* Called for every sum that a choice can bring. */
typedef void (*visit)(struct stack *s, struct choice *choice, struct sum sum, struct front *front);

/* Every value at which a rule of the slot begins or ends to match, within what the attribute can
 * be. */
static void visit_values(struct stack *s, struct choice *choice, uint32_t slot,
			 const struct gy_attribute_type *attribute, visit at, struct front *front)
{
	static const uint8_t other[GY_TEXT_MAX + 1]; /* longer than any text there is */
	struct gy_value value = { .type = attribute->type };
	int64_t low, high;

	gy_attribute_domain(attribute, &low, &high);
	value.number = low;
	value.text = (struct gy_bytes){ other, sizeof(other) };
	at(s, choice, sum_of_value(s, choice, &value), front);
	for (int shape = 0; shape < GY_SHAPES; shape++) {
		const struct gy_group *g = gy_group_find(s->index, slot, shape, s->base->tariff_id,
							 s->base->rating_group, s->base->unit);

		for (uint32_t i = 0; g != NULL && i < g->n_edges; i++) {
			if (g->text)
				value.text = s->index->texts[g->edges + i];
			else
				value.number = s->index->edges[g->edges + i];
			if (!g->text && (value.number < low || value.number > high))
				continue;
			at(s, choice, sum_of_value(s, choice, &value), front);
		}
	}
	if (!gy_attribute_always(attribute)) {
		value.type = GY_VALUE_NONE;
		at(s, choice, sum_of_value(s, choice, &value), front);
	}
}

static void visit_choice(struct stack *s, struct choice *choice, visit at, struct front *front)
{
	uint32_t slot = gy_rule_slot(s->dynamic, source_at(s, choice->first));
	const struct gy_attribute_type *attribute = gy_slot_attribute(s->dynamic, slot);

	if (choice->stack_group != 0) {
		at(s, choice, nothing, front);
		for (uint32_t i = choice->first; i < choice->until; i++)
			if (stacks(s, i) && rule_at(s, i)->stack_group == choice->stack_group) {
				struct sum sum = nothing;

				sum_up(s, i, &sum);
				at(s, choice, sum, front);
			}
		return;
	}
	if (slot < s->dynamic->n_codes)
		at(s, choice, nothing, front); /* not assigned */
	if (attribute != NULL) {
		visit_values(s, choice, slot, attribute, at, front);
	} else {
		const struct gy_value anything = { .type = GY_VALUE_INTEGER };

		at(s, choice, sum_of_value(s, choice, &anything), front);
	}
}

static void find_divisor(struct stack *s, struct choice *choice, struct sum sum,
			 struct front *front)
{
	(void)s;
	(void)front;
	choice->factors = common_multiple(choice->factors, sum.divisor);
}

static void add_sum(struct stack *s, struct choice *choice, struct sum sum, struct front *front)
{
	(void)s;
	front_add(front,
		  (struct pair){ product(sum.factor, choice->factors / sum.divisor), sum.term });
}

/* The largest factor and the outermost terms of a choice, over its own divisor. */
static void widen(struct stack *s, struct choice *choice, struct sum sum, struct front *front)
{
	__int128 factor = product(sum.peak, choice->factors / sum.divisor);
	struct pair *most = &front->pairs[0], *least = &front->pairs[1];

	(void)s;
	if (factor > most->factor)
		most->factor = factor;
	if (sum.up > most->term)
		most->term = sum.up;
	if (sum.down < least->term)
		least->term = sum.down;
}

/* False: the factors have no common divisor within bounds. */
static bool stack_choice(struct stack *s, struct choice choice)
{
	struct front front = { .n = 0 };

	choice.factors = 1;
	visit_choice(s, &choice, find_divisor, NULL);
	if (choice.factors == 0 || s->factors > GY_AMOUNT_MAX / choice.factors)
		return false;
	front.pairs[0] = (struct pair){ choice.factors, 0 };
	front.pairs[1] = (struct pair){ 0, 0 };
	visit_choice(s, &choice, widen, &front);
	s->most_factor = product(s->most_factor, front.pairs[0].factor);
	s->most_term += front.pairs[0].term;
	s->least_term += front.pairs[1].term;
	s->factors *= choice.factors;
	front.n = 0;
	visit_choice(s, &choice, add_sum, &front);
	front_combine(&s->worst, &front);
	return true;
}

/* ---- all choices of one instant ---- */

static uint32_t slot_end(const struct stack *s, uint32_t first)
{
	uint32_t slot = gy_rule_slot(s->dynamic, source_at(s, first)), i = first + 1;

	while (i < s->n_rules && gy_rule_slot(s->dynamic, source_at(s, i)) == slot)
		i++;
	return i;
}

/* True if i is the first rule of its stack group that counts now. */
static bool first_of_group(const struct stack *s, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (stacks(s, k) && rule_at(s, k)->stack_group == rule_at(s, i)->stack_group)
			return false;
	return true;
}

static bool brings_nothing(const struct stack *s, uint32_t first, uint32_t until)
{
	for (uint32_t i = first; i < until; i++)
		if (stacks(s, i) && rule_at(s, i)->stack_group == 0)
			return false;
	return true;
}

static bool stack_all(struct stack *s)
{
	s->terms = s->factors = 1;
	s->most_factor = 1;
	s->most_term = s->least_term = 0;
	s->worst.n = 1;
	s->worst.pairs[0] = (struct pair){ 1, 0 };
	for (uint32_t i = 0; i < s->n_rules; i++)
		if (stacks(s, i) && rule_at(s, i)->stage == GY_STAGE_ADD)
			s->terms = common_multiple(
				s->terms,
				gy_fraction_of(rule_at(s, i)->amount, rule_at(s, i)->block).block);
	if (s->terms == 0)
		return false;
	for (uint32_t i = 0, until; i < s->n_rules; i = until) {
		until = slot_end(s, i);
		if (!brings_nothing(s, i, until) &&
		    !stack_choice(s, (struct choice){ .first = i, .until = until }))
			return false;
	}
	for (uint32_t i = 0; i < s->n_rules; i++) {
		int32_t group = rule_at(s, i)->stack_group;

		if (group != 0 && stacks(s, i) && first_of_group(s, i) &&
		    !stack_choice(s, (struct choice){ .first = i,
						      .until = s->n_rules,
						      .stack_group = group }))
			return false;
	}
	return true;
}

/* ---- the verdict on one base ---- */

static enum gy_fault_reason judge(const struct stack *s, int64_t micros, int64_t block)
{
	struct gy_fraction base = gy_fraction_of(micros, block);
	int64_t whole = base.block > GY_AMOUNT_MAX / s->factors ? 0 : base.block * s->factors;
	__int128 scale_factor, scale_term, factor, term;

	whole = common_multiple(common_multiple(whole, s->terms), block);
	if (whole == 0)
		return GY_FAULT_NOT_EXACT;
	scale_factor = (__int128)base.micros * (whole / (base.block * s->factors));
	scale_term = whole / s->terms;
	factor = product(s->most_factor, scale_factor);
	term = product(s->most_term, scale_term);
	if (factor > INT64_MAX || term > INT64_MAX || factor + term > INT64_MAX ||
	    product(-s->least_term, scale_term) > INT64_MAX)
		return GY_FAULT_NOT_EXACT;
	for (unsigned i = 0; i < s->worst.n; i++)
		if (s->worst.pairs[i].factor * scale_factor + s->worst.pairs[i].term * scale_term <
		    0)
			return GY_FAULT_NEGATIVE;
	return GY_FAULT_NONE;
}

/* True if a is to be named rather than b: the more negative ADD, the larger block; then the lower
 * id. */
static bool worse(enum gy_fault_reason reason, const struct gy_indexed_rule *a,
		  const struct gy_indexed_rule *b)
{
	struct gy_fraction x, y;
	int order;

	if (b == NULL)
		return true;
	x = gy_fraction_of(a->amount, a->block);
	y = gy_fraction_of(b->amount, b->block);
	order = reason == GY_FAULT_NEGATIVE ? gy_fraction_compare(y, x)
					    : (x.block > y.block) - (x.block < y.block);
	return order > 0 || (order == 0 && a->rule_id < b->rule_id);
}

static int64_t culprit(const struct stack *s, enum gy_fault_reason reason)
{
	const struct gy_indexed_rule *found = NULL;

	for (uint32_t i = 0; i < s->n_rules; i++)
		if (stacks(s, i) && worse(reason, rule_at(s, i), found))
			found = rule_at(s, i);
	return found != NULL ? found->rule_id : 0;
}

static bool refuse(const struct stack *s, enum gy_fault_reason reason, int64_t replace_rule_id,
		   struct gy_dynamic_fault *fault)
{
	*fault = (struct gy_dynamic_fault){
		.reason = reason,
		.rule_id = culprit(s, reason),
		.other_rule_id = replace_rule_id,
		.specific_rule_id = s->base->rule_id,
	};
	return false;
}

static bool check_instant(struct stack *s, struct gy_dynamic_fault *fault)
{
	enum gy_fault_reason reason = GY_FAULT_NONE;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_rules; i++)
		n += stacks(s, i);
	if (n == 0)
		return true;
	if (!stack_all(s))
		return refuse(s, GY_FAULT_NOT_EXACT, 0, fault);
	reason = s->base->kind == GY_RULE_FREE
			 ? judge(s, 0, 1)
			 : judge(s, s->base->rate.price_micros, s->base->rate.block);
	if (reason != GY_FAULT_NONE)
		return refuse(s, reason, 0, fault);
	for (uint32_t i = 0; i < s->n_rules; i++) {
		const struct gy_indexed_rule *r = rule_at(s, i);

		if (r->stage != GY_STAGE_REPLACE || !valid_at(s, i))
			continue;
		reason = judge(s, r->amount, r->block);
		if (reason != GY_FAULT_NONE)
			return refuse(s, reason, r->rule_id, fault);
	}
	return true;
}

/* ---- instants and specific rules ---- */

/* True if a rule before i (or the base) has an edge at this very instant. */
static bool seen(const struct stack *s, uint32_t i, gy_time_us at)
{
	if (at <= s->base->valid_from_us || at >= s->base->valid_until_us)
		return true;
	for (uint32_t k = 0; k < i; k++)
		if (rule_at(s, k)->valid_from_us == at || rule_at(s, k)->valid_until_us == at)
			return true;
	return false;
}

static bool check_instants(struct stack *s, struct gy_dynamic_fault *fault)
{
	s->at = s->base->valid_from_us;
	if (!check_instant(s, fault))
		return false;
	for (uint32_t i = 0; i < s->n_rules; i++) {
		const gy_time_us edges[] = { rule_at(s, i)->valid_from_us,
					     rule_at(s, i)->valid_until_us };

		for (int k = 0; k < 2; k++) {
			s->at = edges[k];
			if (!seen(s, i, s->at) && !check_instant(s, fault))
				return false;
		}
	}
	return true;
}

static bool matters(const struct stack *s, const struct gy_indexed_rule *r)
{
	return (r->stage == GY_STAGE_REPLACE || r->stage == GY_STAGE_MULTIPLY ||
		r->stage == GY_STAGE_ADD) &&
	       r->valid_from_us < s->base->valid_until_us &&
	       s->base->valid_from_us < r->valid_until_us;
}

/* Collects the rules that may apply to the base. False: too many at one value of a slot. */
static bool collect(struct stack *s, uint32_t *rules, struct gy_dynamic_fault *fault)
{
	uint32_t n_slots = s->dynamic->n_codes + s->dynamic->n_attributes + 1;

	s->rules = rules;
	s->n_rules = 0;
	for (uint32_t slot = 0; slot < n_slots; slot++) {
		uint32_t most = 0;

		for (int shape = 0; shape < GY_SHAPES; shape++) {
			const struct gy_group *g = NULL;

			if ((s->index->shapes[slot] >> shape & 1) != 0)
				g = gy_group_find(s->index, slot, shape, s->base->tariff_id,
						  s->base->rating_group, s->base->unit);
			if (g == NULL)
				continue;
			most += g->most;
			if (most > GY_SLOT_RULES_MAX) {
				*fault = (struct gy_dynamic_fault){
					.reason = GY_FAULT_TOO_MANY,
					.rule_id = s->index->rules[s->index->members[g->members]]
							   .rule_id,
					.specific_rule_id = s->base->rule_id,
				};
				return false;
			}
			for (uint32_t i = 0; i < g->n_members; i++) {
				uint32_t r = s->index->members[g->members + i];

				if (matters(s, &s->index->rules[r]))
					rules[s->n_rules++] = r;
			}
		}
	}
	return true;
}

bool gy_check_stacking(const struct gy_catalogue *catalogue, const struct gy_dynamic *dynamic,
		       const struct gy_dynamic_index *index, uint32_t *scratch,
		       struct gy_dynamic_fault *fault)
{
	for (unsigned i = 0; i < catalogue->n_rules; i++) {
		struct stack s = { .dynamic = dynamic,
				   .index = index,
				   .base = &catalogue->rules[i] };

		if (!collect(&s, scratch, fault))
			return false;
		if (s.base->kind != GY_RULE_FORBIDDEN && !check_instants(&s, fault))
			return false;
	}
	return true;
}
