/* Builds the index of a rule snapshot in the caller's memory: see index.h. */
#include "core/rating/index.h"

#include <string.h>

#include "core/base/assert.h"
#include "core/rating/fraction.h"
#include "core/rating/sort.h"

/* The caller's memory, given out from its beginning. */
struct arena {
	uint8_t *next, *end;
};

struct build {
	const struct gy_dynamic *dynamic;
	struct gy_dynamic_index *index;
	struct gy_indexed_rule *rules;
	struct gy_group *groups;
	uint32_t *hash;
	int64_t *edges;
	struct gy_bytes *texts;
	uint32_t *nodes, *entries, *order, *scratch;
	uint8_t *shapes;
	uint32_t n_edges, n_texts, n_nodes, n_entries;
};

/* Upper bounds of the arrays, from one look at the rules. */
struct extent {
	size_t numbers; /* ends of ranges */
	size_t texts;
	size_t ranges; /* insertions into trees */
};

static struct extent extent_of(const struct gy_dynamic *dynamic)
{
	struct extent e = { 0, 0, 0 };

	for (unsigned i = 0; i < dynamic->n_rules; i++) {
		const struct gy_predicate *p = &dynamic->rules[i].predicate;
		size_t n = p->match == GY_MATCH_SET ? p->n_set : 2;

		e.numbers += 2 * n;
		e.texts += n;
		e.ranges += n;
	}
	return e;
}

static size_t bits(size_t n)
{
	size_t b = 1;

	while (n >>= 1)
		b++;
	return b;
}

static size_t hash_size(unsigned n_rules)
{
	size_t size = 4;

	while (size < 2 * (size_t)n_rules)
		size *= 2;
	return size;
}

/* An insertion stands at most at two nodes of each level. */
static size_t entries_room(const struct extent *e, unsigned n_rules)
{
	return e->ranges * 2 * bits(2 * e->numbers + 2) + n_rules;
}

static size_t nodes_room(const struct extent *e, unsigned n_rules)
{
	return 2 * (e->numbers + n_rules) + n_rules;
}

static size_t slots(const struct gy_dynamic *dynamic)
{
	return (size_t)dynamic->n_codes + dynamic->n_attributes + 1;
}

static size_t rounded(size_t size)
{
	return (size + 15) / 16 * 16;
}

size_t gy_dynamic_memory(const struct gy_dynamic *dynamic)
{
	struct extent e = extent_of(dynamic);
	size_t n = dynamic->n_rules;

	return rounded(sizeof(struct gy_dynamic_index)) +
	       rounded(n * sizeof(struct gy_indexed_rule)) + rounded(n * sizeof(struct gy_group)) +
	       rounded(hash_size(dynamic->n_rules) * 4) + rounded(e.numbers * sizeof(int64_t)) +
	       rounded(e.texts * sizeof(struct gy_bytes)) +
	       rounded(nodes_room(&e, dynamic->n_rules) * 4) +
	       rounded(entries_room(&e, dynamic->n_rules) * 4) + 2 * rounded(n * 4) +
	       rounded(slots(dynamic)) + 16;
}

static void *take(struct arena *arena, size_t size)
{
	void *taken = arena->next;

	size = rounded(size);
	gy_assert(size <= (size_t)(arena->end - arena->next));
	arena->next += size;
	return taken;
}

static struct build begin(const struct gy_dynamic *dynamic, void *memory, size_t size)
{
	struct extent e = extent_of(dynamic);
	struct arena arena = { memory, (uint8_t *)memory + size };
	size_t n = dynamic->n_rules, skew = (16 - (uintptr_t)memory % 16) % 16;
	struct build b = { .dynamic = dynamic };

	arena.next += skew;
	b.index = take(&arena, sizeof(*b.index));
	b.rules = take(&arena, n * sizeof(*b.rules));
	b.groups = take(&arena, n * sizeof(*b.groups));
	b.hash = take(&arena, hash_size(dynamic->n_rules) * sizeof(*b.hash));
	b.edges = take(&arena, e.numbers * sizeof(*b.edges));
	b.texts = take(&arena, e.texts * sizeof(*b.texts));
	b.nodes = take(&arena, nodes_room(&e, dynamic->n_rules) * sizeof(*b.nodes));
	b.entries = take(&arena, entries_room(&e, dynamic->n_rules) * sizeof(*b.entries));
	b.order = take(&arena, n * sizeof(*b.order));
	b.scratch = take(&arena, n * sizeof(*b.scratch));
	b.shapes = take(&arena, slots(dynamic));
	return b;
}

/* ---- the order of rules ---- */

static int compare_rank(const struct gy_dynamic_rule *x, const struct gy_dynamic_rule *y)
{
	int a = gy_rule_specificity(x), b = gy_rule_specificity(y);

	if (x->precedence != y->precedence)
		return x->precedence > y->precedence ? -1 : 1;
	if (a != b)
		return b - a;
	if (x->valid_from_us != y->valid_from_us)
		return x->valid_from_us > y->valid_from_us ? -1 : 1;
	return (x->rule_id > y->rule_id) - (x->rule_id < y->rule_id);
}

static int by_rank(const void *a, const void *b, const void *context)
{
	const struct gy_dynamic_rule *rules = context;

	return compare_rank(&rules[*(const uint32_t *)a], &rules[*(const uint32_t *)b]);
}

struct ranked {
	uint32_t source, rank;
	enum gy_stage stage;
};

static int by_stage(const void *a, const void *b, const void *context)
{
	const struct ranked *x = a, *y = b;

	(void)context;
	if (x->stage != y->stage)
		return x->stage < y->stage ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

static struct gy_indexed_rule indexed(const struct gy_dynamic_rule *rule, struct ranked place)
{
	struct gy_indexed_rule r = {
		.valid_from_us = rule->valid_from_us,
		.valid_until_us = rule->valid_until_us,
		.amount = rule->effect.amount,
		.block = rule->effect.block,
		.rule_id = rule->rule_id,
		.source = place.source,
		.rank = place.rank,
		.stack_group = rule->stack_group,
		.stage = place.stage,
	};

	if (rule->effect.kind == GY_EFFECT_MULTIPLY) {
		struct gy_fraction factor = gy_fraction_of(rule->effect.amount, GY_PPM);

		r.amount = factor.micros;
		r.block = factor.block;
	}
	return r;
}

/* The nodes' memory, not used yet, holds the ranks while they are sorted: 12 octets a rule fit. */
static void number_rules(struct build *b)
{
	const struct gy_dynamic_rule *rules = b->dynamic->rules;
	uint32_t n = b->dynamic->n_rules;
	struct ranked *places = (struct ranked *)b->nodes;

	for (uint32_t i = 0; i < n; i++)
		b->order[i] = i;
	gy_sort(b->order, n, sizeof(*b->order), by_rank, rules);
	for (uint32_t rank = 0; rank < n; rank++) {
		uint32_t source = b->order[rank];

		places[rank] =
			(struct ranked){ source, rank, gy_effect_stage(rules[source].effect.kind) };
	}
	gy_sort(places, n, sizeof(*places), by_stage, NULL);
	for (uint32_t i = 0; i < n; i++)
		b->rules[i] = indexed(&rules[places[i].source], places[i]);
}

/* ---- groups ---- */

static const struct gy_dynamic_rule *source_of(const struct build *b, uint32_t position)
{
	return &b->dynamic->rules[b->rules[position].source];
}

/* Same group: 0. */
static int compare_group(const struct build *b, uint32_t i, uint32_t j)
{
	const struct gy_dynamic_rule *x = source_of(b, i), *y = source_of(b, j);
	uint32_t p = gy_rule_slot(b->dynamic, x), q = gy_rule_slot(b->dynamic, y);

	if (p != q)
		return p < q ? -1 : 1;
	if (x->tariff_id != y->tariff_id)
		return x->tariff_id < y->tariff_id ? -1 : 1;
	if (x->rating_group != y->rating_group)
		return x->rating_group < y->rating_group ? -1 : 1;
	return (x->unit > y->unit) - (x->unit < y->unit);
}

static int by_group(const void *a, const void *b, const void *context)
{
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int order = compare_group(context, i, j);

	return order != 0 ? order : (i > j) - (i < j);
}

static int by_number(const void *a, const void *b, const void *context)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	(void)context;
	return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b, const void *context)
{
	struct gy_value x = { .type = GY_VALUE_TEXT, .text = *(const struct gy_bytes *)a };
	struct gy_value y = { .type = GY_VALUE_TEXT, .text = *(const struct gy_bytes *)b };

	(void)context;
	return gy_value_compare(&x, &y);
}

static unsigned n_texts(const struct gy_predicate *p)
{
	return p->match == GY_MATCH_SET ? p->n_set : p->match == GY_MATCH_EQUAL ? 1 : 0;
}

static const struct gy_value *nth_text(const struct gy_predicate *p, unsigned n)
{
	return p->match == GY_MATCH_SET ? &p->set[n] : &p->low;
}

static void collect_numbers(struct build *b, struct gy_group *group, const uint32_t *members,
			    uint32_t n)
{
	int64_t *edges = b->edges + b->n_edges;
	uint32_t count = 0, distinct = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct gy_predicate *p = &source_of(b, members[i])->predicate;

		for (unsigned k = 0; k < gy_predicate_ranges(p); k++) {
			int64_t low, high;

			gy_predicate_range(p, k, &low, &high);
			if (low != INT64_MIN)
				edges[count++] = low;
			if (high != INT64_MAX)
				edges[count++] = high;
		}
	}
	gy_sort(edges, count, sizeof(*edges), by_number, NULL);
	for (uint32_t i = 0; i < count; i++)
		if (distinct == 0 || edges[distinct - 1] != edges[i])
			edges[distinct++] = edges[i];
	group->edges = b->n_edges;
	group->n_edges = distinct;
	b->n_edges += distinct;
}

static void collect_texts(struct build *b, struct gy_group *group, const uint32_t *members,
			  uint32_t n)
{
	struct gy_bytes *texts = b->texts + b->n_texts;
	uint32_t count = 0, distinct = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct gy_predicate *p = &source_of(b, members[i])->predicate;

		for (unsigned k = 0; k < n_texts(p); k++)
			texts[count++] = nth_text(p, k)->text;
	}
	gy_sort(texts, count, sizeof(*texts), by_text, NULL);
	for (uint32_t i = 0; i < count; i++)
		if (distinct == 0 || by_text(&texts[distinct - 1], &texts[i], NULL) != 0)
			texts[distinct++] = texts[i];
	group->edges = b->n_texts;
	group->n_edges = distinct;
	b->n_texts += distinct;
}

/* Calls for each node of the tree whose segments make up [from, until). */
static void cover(uint32_t n_segments, uint32_t from, uint32_t until,
		  void (*at)(struct build *b, uint32_t node, uint32_t rule), struct build *b,
		  uint32_t nodes, uint32_t rule)
{
	uint32_t low = from + n_segments, high = until + n_segments;

	while (low < high) {
		if (low & 1)
			at(b, nodes + low++, rule);
		if (high & 1)
			at(b, nodes + --high, rule);
		low /= 2;
		high /= 2;
	}
}

/* How many segments begin at or before an end of a range. */
static uint32_t segment_at(const struct build *b, const struct gy_group *group, int64_t number)
{
	struct gy_value value = { .type = GY_VALUE_INTEGER, .number = number };

	return gy_group_segment(b->index, group, &value);
}

static void insert(struct build *b, const struct gy_group *group, uint32_t rule,
		   void (*at)(struct build *b, uint32_t node, uint32_t rule))
{
	const struct gy_predicate *p = &source_of(b, rule)->predicate;

	if (p->match == GY_MATCH_ANY) {
		cover(group->n_segments, 0, group->n_segments, at, b, group->nodes, rule);
		return;
	}
	for (unsigned k = 0; group->text && k < n_texts(p); k++) {
		uint32_t s = gy_group_segment(b->index, group, nth_text(p, k));

		cover(group->n_segments, s, s + 1, at, b, group->nodes, rule);
	}
	for (unsigned k = 0; !group->text && k < gy_predicate_ranges(p); k++) {
		int64_t low, high;

		gy_predicate_range(p, k, &low, &high);
		cover(group->n_segments, low == INT64_MIN ? 0 : segment_at(b, group, low),
		      high == INT64_MAX ? group->n_segments : segment_at(b, group, high), at, b,
		      group->nodes, rule);
	}
}

static void count_entry(struct build *b, uint32_t node, uint32_t rule)
{
	(void)rule;
	b->nodes[node + 1]++;
}

/* Offsets were moved one node up: filling moves them back down. */
static void put_entry(struct build *b, uint32_t node, uint32_t rule)
{
	b->entries[b->nodes[node]++] = rule;
}

static void plant_tree(struct build *b, struct gy_group *group, const uint32_t *members, uint32_t n)
{
	uint32_t n_nodes = 2 * group->n_segments, *offsets = b->nodes + b->n_nodes;

	group->nodes = b->n_nodes;
	b->n_nodes += n_nodes + 1;
	memset(offsets, 0, (n_nodes + 1) * sizeof(*offsets));
	for (uint32_t i = 0; i < n; i++)
		insert(b, group, members[i], count_entry);
	offsets[0] = b->n_entries;
	for (uint32_t i = 1; i <= n_nodes; i++)
		offsets[i] += offsets[i - 1];
	b->n_entries = offsets[n_nodes];
	for (uint32_t i = 0; i < n; i++)
		insert(b, group, members[i], put_entry);
	for (uint32_t i = n_nodes; i > 0; i--)
		offsets[i] = offsets[i - 1];
}

static uint32_t most_matches(const struct build *b, const struct gy_group *group)
{
	const uint32_t *offsets = b->nodes + group->nodes;
	uint32_t most = group->n_missing;

	for (uint32_t segment = 0; segment < group->n_segments; segment++) {
		uint32_t sum = 0;

		for (uint32_t node = segment + group->n_segments; node > 0; node /= 2)
			sum += offsets[node + 1] - offsets[node];
		if (sum > most)
			most = sum;
	}
	return most;
}

/* members: in b->order, which becomes index->members. */
static void make_group(struct build *b, const uint32_t *members, uint32_t n)
{
	const struct gy_dynamic_rule *first = source_of(b, members[0]);
	const struct gy_attribute_type *attribute = gy_rule_attribute(b->dynamic, first);
	struct gy_group *group = &b->groups[b->index->n_groups++];

	*group = (struct gy_group){
		.slot = gy_rule_slot(b->dynamic, first),
		.tariff_id = first->tariff_id,
		.rating_group = first->rating_group,
		.unit = first->unit,
		.text = attribute != NULL && attribute->type == GY_VALUE_TEXT,
		.members = (uint32_t)(members - b->order),
		.n_members = n,
	};
	if (group->text)
		collect_texts(b, group, members, n);
	else
		collect_numbers(b, group, members, n);
	group->n_segments = group->n_edges + 1;
	plant_tree(b, group, members, n);
	group->missing = b->n_entries;
	for (uint32_t i = 0; i < n; i++) {
		const struct gy_dynamic_rule *rule = source_of(b, members[i]);

		group->effects |= 1u << rule->effect.kind;
		if (rule->predicate.match == GY_MATCH_MISSING)
			b->entries[b->n_entries++] = members[i];
	}
	group->n_missing = b->n_entries - group->missing;
	group->most = most_matches(b, group);
}

static uint64_t hash_key(uint32_t slot, int32_t tariff_id, int64_t rating_group, enum gy_unit unit)
{
	uint64_t h = ((uint64_t)slot << 32 | (uint32_t)tariff_id) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 29;
	h = (h ^ (uint64_t)rating_group << 3 ^ (uint64_t)unit) * UINT64_C(0xbf58476d1ce4e5b9);
	return h ^ h >> 32;
}

static int shape_of(const struct gy_group *group)
{
	return (group->unit != GY_UNIT_NONE ? GY_SHAPE_UNIT : 0) |
	       (group->rating_group != GY_ANY_RATING_GROUP ? GY_SHAPE_RATING_GROUP : 0) |
	       (group->tariff_id != 0 ? GY_SHAPE_TARIFF : 0);
}

static void hash_groups(struct build *b)
{
	uint32_t mask = (uint32_t)hash_size(b->dynamic->n_rules) - 1;

	memset(b->hash, 0xff, ((size_t)mask + 1) * sizeof(*b->hash));
	memset(b->shapes, 0, slots(b->dynamic));
	b->index->hash_mask = mask;
	for (uint32_t i = 0; i < b->index->n_groups; i++) {
		const struct gy_group *g = &b->groups[i];
		uint64_t at = hash_key(g->slot, g->tariff_id, g->rating_group, g->unit);

		while (b->hash[at & mask] != GY_GROUP_NONE)
			at++;
		b->hash[at & mask] = i;
		b->shapes[g->slot] |= (uint8_t)(1u << shape_of(g));
		if (g->slot < b->dynamic->n_codes)
			continue;
		if (b->index->n_common == 0 ||
		    b->index->common[b->index->n_common - 1] != g->slot) {
			gy_assert(b->index->n_common <= GY_COMMON_MAX);
			b->index->common[b->index->n_common++] = g->slot;
		}
	}
}

static void make_groups(struct build *b)
{
	uint32_t n = b->dynamic->n_rules, first = 0;

	for (uint32_t i = 0; i < n; i++)
		b->order[i] = i;
	gy_sort(b->order, n, sizeof(*b->order), by_group, b);
	for (uint32_t i = 1; i <= n; i++) {
		if (i < n && compare_group(b, b->order[first], b->order[i]) == 0)
			continue;
		make_group(b, b->order + first, i - first);
		first = i;
	}
	hash_groups(b);
}

const struct gy_group *gy_group_find(const struct gy_dynamic_index *index, uint32_t slot, int shape,
				     int32_t tariff_id, int64_t rating_group, enum gy_unit unit)
{
	uint64_t at;

	if ((shape & GY_SHAPE_UNIT) == 0)
		unit = GY_UNIT_NONE;
	if ((shape & GY_SHAPE_RATING_GROUP) == 0)
		rating_group = GY_ANY_RATING_GROUP;
	if ((shape & GY_SHAPE_TARIFF) == 0)
		tariff_id = 0;
	at = hash_key(slot, tariff_id, rating_group, unit);
	for (;; at++) {
		uint32_t i = index->hash[at & index->hash_mask];
		const struct gy_group *g;

		if (i == GY_GROUP_NONE)
			return NULL;
		g = &index->groups[i];
		if (g->slot == slot && g->tariff_id == tariff_id &&
		    g->rating_group == rating_group && g->unit == unit)
			return g;
	}
}

enum gy_rc gy_dynamic_compile(const struct gy_catalogue *catalogue, struct gy_dynamic *dynamic,
			      void *memory, size_t size, struct gy_dynamic_fault *fault)
{
	struct build b;

	*fault = (struct gy_dynamic_fault){ .reason = GY_FAULT_NONE };
	if (!gy_check_objects(catalogue, dynamic, fault))
		return GY_STORE_REFUSED;
	b = begin(dynamic, memory, size);
	*b.index = (struct gy_dynamic_index){
		.rules = b.rules,
		.groups = b.groups,
		.hash = b.hash,
		.edges = b.edges,
		.texts = b.texts,
		.nodes = b.nodes,
		.entries = b.entries,
		.members = b.order,
		.shapes = b.shapes,
	};
	if (!gy_check_overlaps(dynamic, b.scratch, fault))
		return GY_STORE_REFUSED;
	number_rules(&b);
	make_groups(&b);
	if (!gy_check_stacking(catalogue, dynamic, b.index, b.scratch, fault))
		return GY_STORE_REFUSED;
	dynamic->index = b.index;
	return GY_OK;
}
