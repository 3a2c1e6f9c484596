/* The compiled form of a rule snapshot: what determine walks. Private to core/rating.
 *
 * Rules are renumbered by (stage, rank): a matching set in ascending order is in the order of
 * generation. Rules with the same (slot, specific code, Rating-Group, unit) form a group, found by
 * hashing. A slot is a dynamic code, or an attribute that rules without a code look at, or nothing.
 *
 * A group cuts the values of its attribute at the ends of its rules' ranges into segments; a
 * segment tree over them holds each rule at O(log n) nodes, and the rules that match a value stand
 * exactly at the nodes from its leaf to the root. So the rules that don't match cost a logarithm at
 * most. */
#ifndef GY_RATING_INDEX_H
#define GY_RATING_INDEX_H

#include "core/rating/dynamic.h"
#include "core/rating/generate.h"

#define GY_GROUP_NONE UINT32_MAX

/* A rule as generate needs it. */
struct gy_indexed_rule {
	gy_time_us valid_from_us, valid_until_us;
	int64_t amount, block; /* MULTIPLY: the factor, reduced */
	int64_t rule_id;
	uint32_t source; /* into gy_dynamic.rules */
	uint32_t rank;   /* among all rules: precedence, specificity, valid_from, id; 0 = best */
	int32_t stack_group;
	enum gy_stage stage;
};

struct gy_group {
	uint32_t slot;
	int32_t tariff_id;
	int64_t rating_group;
	enum gy_unit unit;
	bool text;      /* edges are in texts, else in edges */
	uint32_t edges; /* first of n_edges, ascending, distinct */
	uint32_t n_edges;
	uint32_t n_segments; /* numbers: n_edges + 1; texts: n_edges + 1, the last for any other
				text */
	uint32_t nodes;      /* first of 2 * n_segments + 1 offsets into entries; [1] is the root */
	uint32_t missing;    /* first of n_missing entries: rules for a missing value */
	uint32_t n_missing;
	uint32_t members; /* first of n_members, ascending: all its rules */
	uint32_t n_members;
	uint32_t most;    /* most rules that one value matches */
	unsigned effects; /* set of 1 << enum gy_effect_kind */
};

/* Which kinds of groups a slot has: a set of 1 << shape. */
enum gy_shape { GY_SHAPE_UNIT = 1, GY_SHAPE_RATING_GROUP = 2, GY_SHAPE_TARIFF = 4 };
#define GY_SHAPES 8

struct gy_dynamic_index {
	const struct gy_indexed_rule *rules;
	uint32_t n_groups;
	const struct gy_group *groups;
	uint32_t hash_mask;
	const uint32_t *hash; /* GY_GROUP_NONE: empty */
	const int64_t *edges;
	const struct gy_bytes *texts;
	const uint32_t *nodes;
	const uint32_t *entries; /* into rules, ascending within a node */
	const uint32_t *members; /* into rules */
	const uint8_t *shapes;   /* by slot */
	unsigned n_common;
	uint32_t common[GY_COMMON_MAX + 1]; /* slots of rules without a dynamic code */
};

/* What a slot's rules look at; NULL: nothing. */
const struct gy_attribute_type *gy_slot_attribute(const struct gy_dynamic *dynamic, uint32_t slot);

/* The slot of a rule. Its code or attribute must exist. */
uint32_t gy_rule_slot(const struct gy_dynamic *dynamic, const struct gy_dynamic_rule *rule);

/* The attribute that a rule looks at; NULL: none. */
const struct gy_attribute_type *gy_rule_attribute(const struct gy_dynamic *dynamic,
						  const struct gy_dynamic_rule *rule);

/* The group of a shape for a request; NULL if there is none. */
const struct gy_group *gy_group_find(const struct gy_dynamic_index *index, uint32_t slot, int shape,
				     int32_t tariff_id, int64_t rating_group, enum gy_unit unit);

/* The segment that a value lies in. */
uint32_t gy_group_segment(const struct gy_dynamic_index *index, const struct gy_group *group,
			  const struct gy_value *value);

/* The predicate alone, without the index. value->type GY_VALUE_NONE: missing. */
bool gy_predicate_matches(const struct gy_predicate *predicate, const struct gy_value *value);

/* More specific is higher: both codes, dynamic only, specific only, any. */
int gy_rule_specificity(const struct gy_dynamic_rule *rule);

enum gy_stage gy_effect_stage(enum gy_effect_kind kind);

/* How many ranges of numbers a predicate covers, and the n-th of them as [low, high);
 * INT64_MIN and INT64_MAX: unbounded. Not for texts. */
unsigned gy_predicate_ranges(const struct gy_predicate *predicate);
void gy_predicate_range(const struct gy_predicate *predicate, unsigned n, int64_t *low,
			int64_t *high);

/* The numbers that an attribute can have, [low, high]; INT64_MIN and INT64_MAX: unbounded. */
void gy_attribute_domain(const struct gy_attribute_type *type, int64_t *low, int64_t *high);

/* True for attributes that have a value in every request: a default, or the time. */
bool gy_attribute_always(const struct gy_attribute_type *type);

/* The checks that gy_dynamic_compile runs, each filling *fault and returning false if it refuses.
 * objects: each attribute, code, zone, calendar and rule by itself and against the catalogue. */
bool gy_check_objects(const struct gy_catalogue *catalogue, const struct gy_dynamic *dynamic,
		      struct gy_dynamic_fault *fault);
/* overlaps: rule against rule. scratch: n_rules elements. */
bool gy_check_overlaps(const struct gy_dynamic *dynamic, uint32_t *scratch,
		       struct gy_dynamic_fault *fault);
/* stacking: specific rules with all that may stack on them. scratch: n_rules elements. */
bool gy_check_stacking(const struct gy_catalogue *catalogue, const struct gy_dynamic *dynamic,
		       const struct gy_dynamic_index *index, uint32_t *scratch,
		       struct gy_dynamic_fault *fault);

#endif
