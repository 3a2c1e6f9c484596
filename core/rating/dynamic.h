/* Dynamic tariff codes and rules: the rule configuration table (spec/tariffs.md S-4, S-6, S-9,
 * S-10, S-12), checked as a whole, compiled once, then only read.
 *
 * The arrays are the catalogue's; rules may come in any order, the result never depends on it.
 * gy_dynamic_compile checks and indexes them; a snapshot that it refuses must not come into force.
 */
#ifndef GY_RATING_DYNAMIC_H
#define GY_RATING_DYNAMIC_H

#include "core/rating/catalogue.h"
#include "core/rating/clock.h"

/* Rules of one snapshot. */
#define GY_DYNAMIC_RULES_MAX 65536
/* Dynamic codes in force for one subscriber at a time. */
#define GY_DYNAMIC_CODES_MAX 32
/* Attributes that rules without a dynamic code look at. */
#define GY_COMMON_MAX 16
/* Rules that may match one value of one code (or common attribute) in one request. */
#define GY_SLOT_RULES_MAX 32
/* MULTIPLY: at most a thousandfold. */
#define GY_PPM_MAX INT64_C(1000000000)
#define GY_PPM     INT64_C(1000000)
/* Money operand: CHECK of gyro.specific_rule.price_micros. */
#define GY_PRICE_MAX INT64_C(1000000000000000)
/* A rule for all Rating-Groups. */
#define GY_ANY_RATING_GROUP INT64_C(-1)

/* When a code's attribute is missing and no rule says what then. Stored. */
enum gy_on_missing {
	GY_MISSING_IGNORE = 1, /* the code contributes nothing */
	GY_MISSING_DENY = 2,   /* 4010 */
};

struct gy_dynamic_code {
	int32_t code_id; /* > 0 */
	const char *code;
	int32_t attribute_id; /* the target (S-4) */
	enum gy_on_missing on_missing;
};

/* Stored in gyro.dynamic_rule.match. */
enum gy_match {
	GY_MATCH_ANY = 1,     /* any value; a missing one is matched by GY_MATCH_MISSING only */
	GY_MATCH_EQUAL = 2,   /* low */
	GY_MATCH_SET = 3,     /* one of set */
	GY_MATCH_RANGE = 4,   /* [low, high); GY_VALUE_NONE: open. Hour, minute of the day, weekday,
			       * day of   the month and month may wrap: low > high, e.g. [22, 6) */
	GY_MATCH_MISSING = 5, /* no value and no default */
};

struct gy_predicate {
	enum gy_match match;
	struct gy_value low, high;
	unsigned n_set;
	const struct gy_value *set;
};

/* Stored in gyro.dynamic_rule.effect; their numbers are no order: see enum gy_stage. */
enum gy_effect_kind {
	GY_EFFECT_DENY = 1,
	GY_EFFECT_REPLACE = 2,   /* the rate becomes amount per block */
	GY_EFFECT_MULTIPLY = 3,  /* by amount parts per million */
	GY_EFFECT_ADD = 4,       /* amount (signed) per block */
	GY_EFFECT_FREE = 5,      /* the first amount units of the local day cost nothing */
	GY_EFFECT_FLOOR = 6,     /* the rate is at least amount per block */
	GY_EFFECT_CAP = 7,       /* the rate is at most amount per block */
	GY_EFFECT_QUOTA = 8,     /* grants of at most amount units */
	GY_EFFECT_VALIDITY = 9,  /* Validity-Time of at most amount seconds */
	GY_EFFECT_REDIRECT = 10, /* the final unit is redirected to address */
};

struct gy_effect {
	enum gy_effect_kind kind;
	int64_t amount;
	int64_t block; /* REPLACE, ADD, FLOOR, CAP: units, > 0; else 0 */
	enum gy_redirect_type redirect_type;
	const char *address; /* REDIRECT; else NULL */
};

struct gy_dynamic_rule {
	int64_t rule_id;      /* > 0, unique among dynamic rules */
	int32_t tariff_id;    /* specific code, 0 = any */
	int32_t code_id;      /* dynamic code, 0 = any: applies to every subscriber */
	int32_t attribute_id; /* only if code_id = 0: what the predicate looks at; 0: nothing,
				 GY_MATCH_ANY */
	int64_t rating_group; /* or GY_ANY_RATING_GROUP */
	enum gy_unit unit; /* GY_UNIT_NONE = any; REPLACE, ADD, FREE, FLOOR, CAP, QUOTA name one */
	struct gy_predicate predicate;
	struct gy_effect effect;
	int32_t precedence;  /* higher is better */
	int32_t stack_group; /* of all matching rules with the same number > 0 only the best counts
			      */
	gy_time_us valid_from_us, valid_until_us;
};

struct gy_dynamic_index; /* made by gy_dynamic_compile, private */

struct gy_dynamic {
	unsigned n_attributes;
	const struct gy_attribute_type *attributes; /* by attribute_id */
	unsigned n_codes;
	const struct gy_dynamic_code *codes; /* by code_id */
	unsigned n_rules;
	const struct gy_dynamic_rule *rules; /* in any order */
	struct gy_zones zones;
	unsigned n_calendars;
	const struct gy_calendar *calendars; /* by calendar_id */
	unsigned n_home_networks;
	const struct gy_bytes *home_networks; /* MCC and MNC, digits */
	const struct gy_dynamic_index *index;
	bool counts; /* some attribute or FREE rule asks for counters: accounts keep them */
	bool places; /* a value pushed for a place reauthorizes: sessions remember theirs */
};

/* Why a snapshot is refused. */
enum gy_fault_reason {
	GY_FAULT_NONE,
	GY_FAULT_TOO_MANY,       /* a bound above is exceeded */
	GY_FAULT_ORDER,          /* not ascending: attributes, codes, zones, calendars, a set */
	GY_FAULT_ATTRIBUTE_TYPE, /* source, derivation, type and default don't fit together */
	GY_FAULT_ZONE,           /* a bad transition or holiday; no zone where one is needed */
	GY_FAULT_DUPLICATE_ID,   /* a rule id that another rule has */
	GY_FAULT_UNKNOWN_TARIFF, /* no specific rule has this specific code */
	GY_FAULT_UNKNOWN_CODE,   /* no such dynamic code */
	GY_FAULT_UNKNOWN_ATTRIBUTE,
	GY_FAULT_VALUE_TYPE,      /* a predicate's value is not of the attribute's type */
	GY_FAULT_PREDICATE,       /* a kind of match that the attribute's type doesn't have */
	GY_FAULT_EFFECT,          /* operand out of range; no unit or block; a DENY that stacks */
	GY_FAULT_NEVER_VALUE,     /* never matches: no value satisfies the predicate */
	GY_FAULT_NEVER_TIME,      /* never matches: it ends before it begins */
	GY_FAULT_NEVER_GROUP,     /* never matches: no specific rule that it could work on */
	GY_FAULT_REPLACE_OVERLAP, /* two REPLACE, equal in precedence and specificity, overlap */
	GY_FAULT_KEY_OVERLAP,     /* two rules of one key are valid at the same time */
	GY_FAULT_NEGATIVE,        /* the rate could go below zero after the worst stacking */
	GY_FAULT_NOT_EXACT,       /* the rate could need a block above GY_AMOUNT_MAX */
	GY_FAULT_COUNT
};

struct gy_dynamic_fault {
	enum gy_fault_reason reason;
	int64_t rule_id;          /* the rule at fault; 0: none (see object_id) */
	int64_t other_rule_id;    /* the other one of an overlap, or of a worst stacking; 0: none */
	int64_t specific_rule_id; /* the base that goes negative or can't stay exact; 0: none */
	int64_t object_id;        /* attribute, code, zone or calendar at fault; 0: none */
};

/* One lower-case sentence part, for people. Never NULL. */
const char *gy_fault_text(enum gy_fault_reason reason);

/* Memory that gy_dynamic_compile needs, octets. */
size_t gy_dynamic_memory(const struct gy_dynamic *dynamic);

/* Checks the snapshot as a whole against its catalogue's specific rules and, if it is sound, builds
 * its index in memory (aligned for any type, at least gy_dynamic_memory octets; it must live as
 * long as the snapshot) and sets dynamic->index.
 * Returns GY_OK, or GY_STORE_REFUSED with *fault filled and dynamic->index unchanged. */
enum gy_rc gy_dynamic_compile(const struct gy_catalogue *catalogue, struct gy_dynamic *dynamic,
			      void *memory, size_t size,
			      struct gy_dynamic_fault *fault) GY_MUST_CHECK;

const struct gy_attribute_type *gy_attribute_type_find(const struct gy_dynamic *dynamic,
						       int32_t attribute_id);
const struct gy_dynamic_code *gy_dynamic_code_find(const struct gy_dynamic *dynamic,
						   int32_t code_id);

/* A zone by id, the default zone if it is 0 or unknown; NULL only if the snapshot has no zones. */
const struct gy_zone *gy_zone_find(const struct gy_zones *zones, int32_t zone_id);
const struct gy_calendar *gy_calendar_find(const struct gy_dynamic *dynamic, int32_t calendar_id);

#endif
