/* The three units of dynamic rating: acquire, determine, generate (spec/tariffs.md S-13).
 *
 * acquire   S-1..S-5, S-11   subscriber -> codes -> target attributes -> their values now
 * determine S-6, S-10, S-12  rules associated with both codes, then filtered by the values
 * generate  S-3, S-7         the specific rule + the matching rules -> the tariff result
 * Each is a function of its arguments: no I/O, no clock, no allocation. The structs between them
 * are what `explain` prints. */
#ifndef GY_RATING_GENERATE_H
#define GY_RATING_GENERATE_H

#include "core/rating/dynamic.h"
#include "core/rating/tariff.h"

/* Everything a price follows. Pointers may be NULL: no attributes, no request, no counters, no
 * pushed. */
struct gy_rating_input {
	int32_t tariff_id; /* the specific code */
	uint32_t rating_group;
	enum gy_unit unit; /* GY_UNIT_NONE: the first unit that has a specific rule */
	gy_time_us now;
	const struct gy_attributes *attributes;
	const struct gy_network *network;
	const struct gy_counters *counters;
	const struct gy_pushed *pushed;
};

/* Where an acquired value came from. */
enum gy_origin {
	GY_ORIGIN_MISSING,
	GY_ORIGIN_SOURCE,   /* its own source */
	GY_ORIGIN_FALLBACK, /* the type's default */
	GY_ORIGIN_NONE,     /* rules without an attribute: there is nothing to look at */
};

/* One dynamic code in force (or one common attribute) and the value it looks at. */
struct gy_acquired_code {
	const struct gy_dynamic_code *code;        /* NULL: rules without a dynamic code */
	const struct gy_attribute_type *attribute; /* NULL: GY_ORIGIN_NONE */
	struct gy_value value;
	enum gy_origin origin;
	uint32_t slot; /* of the index */
};

struct gy_acquired {
	unsigned n;
	struct gy_acquired_code codes[GY_DYNAMIC_CODES_MAX + GY_COMMON_MAX + 1];
	const struct gy_zone *zone;
	gy_time_us until_us; /* an assignment or a stored or pushed value begins or ends then */
	char cell[GY_LOCATION_MAX], area[GY_LOCATION_MAX], apn[GY_TEXT_MAX]; /* values point here */
	char characteristics[GY_CHARACTERISTICS_LEN];
};

struct gy_determined {
	unsigned n;
	/* In order of generation; numbers of the index, see gy_determined_rule. */
	uint32_t rules[(GY_DYNAMIC_CODES_MAX + GY_COMMON_MAX + 1) * GY_SLOT_RULES_MAX];
	unsigned effects; /* 1 << enum gy_effect_kind, of all rules that may match another time */
	int32_t denied_code;   /* its attribute is missing and it says deny; 0: none */
	gy_time_us until_us;   /* a rule begins or ends, or the clock leaves a rule's range, then */
	int64_t counter_units; /* units until a counter leaves a rule's range; INT64_MAX: never */
	int64_t counter_micros; /* money likewise */
};

/* Stages in their order. */
enum gy_stage {
	GY_STAGE_CONSIDERED, /* not matched: looked at and passed over */
	GY_STAGE_DENY,
	GY_STAGE_BASE, /* the specific rule */
	GY_STAGE_REPLACE,
	GY_STAGE_MULTIPLY,
	GY_STAGE_ADD,
	GY_STAGE_FLOOR,
	GY_STAGE_CAP,
	GY_STAGE_FREE,
	GY_STAGE_QUOTA,
	GY_STAGE_VALIDITY,
	GY_STAGE_REDIRECT,
	GY_STAGE_COUNT
};

/* Why a rule counted or not. */
enum gy_verdict {
	GY_VERDICT_APPLIED,
	GY_VERDICT_NO_EFFECT,    /* matched, but changed nothing: a floor below the rate, a larger
				    quota */
	GY_VERDICT_OUTVOTED,     /* matched, but another rule of its stack group is better
				    (other_rule_id) */
	GY_VERDICT_LOST,         /* matched, but another REPLACE, DENY or REDIRECT comes first
				    (other_rule_id) */
	GY_VERDICT_DENIED,       /* matched, but the service is denied (other_rule_id) */
	GY_VERDICT_USED_UP,      /* FREE: nothing left today */
	GY_VERDICT_VALUE,        /* not matched: the value */
	GY_VERDICT_MISSING,      /* not matched: there is no value */
	GY_VERDICT_PRESENT,      /* not matched: a rule for a missing value, and there is one */
	GY_VERDICT_RATING_GROUP, /* not matched: another Rating-Group */
	GY_VERDICT_UNIT,         /* not matched: another unit */
	GY_VERDICT_EARLY,        /* not matched: not yet valid */
	GY_VERDICT_LATE,         /* not matched: no longer valid */
	GY_VERDICT_COUNT
};

struct gy_trace_entry {
	enum gy_stage stage;
	enum gy_verdict verdict;
	int64_t rule_id; /* dynamic, or of GY_STAGE_BASE specific; 0: a code's on_missing (code_id)
			  */
	int64_t other_rule_id;
	int32_t code_id, attribute_id; /* 0: none */
	struct gy_value value; /* what the predicate looked at; text lives as long as the inputs */
	int64_t amount, block; /* the operand */
	struct gy_rate rate;   /* the running rate after this entry; block 0: not rated yet */
};

/* The caller's buffer. What doesn't fit is counted. */
struct gy_trace {
	unsigned room, n, lost;
	struct gy_trace_entry *entries;
};

const char *gy_stage_name(enum gy_stage stage);
const char *gy_verdict_text(enum gy_verdict verdict);

/* Acquires the codes in force at input->now and their attributes' values, in order of code id.
 * Returns GY_OK, or GY_RATING_FAILED: more codes are in force than GY_DYNAMIC_CODES_MAX. */
enum gy_rc gy_tariff_acquire(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			     struct gy_acquired *acquired) GY_MUST_CHECK;

/* Determines the rules that match what was acquired, for the specific rule's unit. With a trace,
 * each rule associated with the codes that doesn't match is put on it with the reason. */
void gy_tariff_determine(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			 enum gy_unit unit, const struct gy_acquired *acquired,
			 struct gy_determined *determined, struct gy_trace *trace);

/* The n-th determined rule. */
const struct gy_dynamic_rule *gy_determined_rule(const struct gy_dynamic *dynamic,
						 const struct gy_determined *determined,
						 unsigned n);

/* Generates the tariff result from the specific rule's result (in and out) and the determined
 * rules. Returns GY_OK, or GY_RATING_FAILED: a rate that is negative or can't be represented
 * exactly, which gy_dynamic_compile excludes. */
enum gy_rc gy_tariff_generate(const struct gy_dynamic *dynamic, const struct gy_rating_input *input,
			      const struct gy_acquired *acquired,
			      const struct gy_determined *determined,
			      struct gy_tariff_result *result,
			      struct gy_trace *trace) GY_MUST_CHECK;

/* The three in turn, after the specific rule (gy_tariff_resolve). A catalogue without dynamic rules
 * costs nothing more. trace may be NULL.
 * Returns GY_OK; GY_RATING_FAILED: no specific rule (5031), or as above. */
enum gy_rc gy_tariff_rate(const struct gy_catalogue *catalogue, const struct gy_rating_input *input,
			  struct gy_tariff_result *result, struct gy_trace *trace) GY_MUST_CHECK;

/* Same price and shape: a change from one to the other needs no Tariff-Time-Change. Rule ids that
 * lead to the same rate don't count. */
bool gy_tariff_same(const struct gy_tariff_result *a, const struct gy_tariff_result *b);

/* The result at input->now and, in *next, the one that follows it at result->valid_until_us if that
 * is before until_us; *has_next tells. Edges at which no price changes are passed over: either
 * valid_until_us is the first instant of a change (after 64 edges, of none) or some instant at or
 * after until_us. A next that can't be rated (no specific rule any more) has kind GY_RULE_FORBIDDEN
 * and rule_id 0. Returns as gy_tariff_rate. */
enum gy_rc gy_tariff_window(const struct gy_catalogue *catalogue,
			    const struct gy_rating_input *input, gy_time_us until_us,
			    struct gy_tariff_result *result, struct gy_tariff_result *next,
			    bool *has_next) GY_MUST_CHECK;

#endif
