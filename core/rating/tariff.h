/* From a subscriber's specific tariff code to the price of a Rating-Group (spec/tariffs.md S-3).
 * Pure: the snapshot and the time come in as arguments. */
#ifndef GY_RATING_TARIFF_H
#define GY_RATING_TARIFF_H

#include "core/rating/catalogue.h"

/* What a reservation is priced with; kept with it, so a later change never acts backwards (G-98).
 * gy_tariff_resolve fills the first five and leaves the rest zero; the rest comes from dynamic
 * rules (core/rating/generate.h). Rule ids below rule_id are dynamic rules', 0 = none. */
struct gy_tariff_result {
	int64_t rule_id; /* the specific rule */
	enum gy_rule_kind kind;
	enum gy_unit unit;
	struct gy_rate rate;
	gy_time_us valid_until_us; /* the price holds until then */

	bool dynamic;            /* dynamic rules were looked at: the result may differ next time */
	int64_t denied_rule_id;  /* kind FORBIDDEN by this rule, */
	int32_t denied_code_id;  /* or by this code, whose attribute is missing */
	int64_t replace_rule_id; /* the base is this rule's rate */
	unsigned n_multiplied, n_added;
	int64_t floor_rule_id, cap_rule_id; /* they moved the rate */

	/* The first free_units cost nothing and are counted as given by free_rule_id. If free_more,
	 * another rule has free units too: grant no more than free_units, the next request gets
	 * those. */
	int64_t free_rule_id;
	int64_t free_units;
	bool free_more;

	/* After so many more units, or micro-units of money, a counter changes the result: no grant
	 * should go beyond. INT64_MAX or, without dynamic rules, 0: never. */
	int64_t counter_units, counter_micros;

	int64_t quota_rule_id;
	int64_t quota_units; /* grants are at most this large */
	int64_t validity_rule_id;
	uint32_t validity_s; /* Validity-Time is at most this long */
	int64_t redirect_rule_id;
	enum gy_redirect_type redirect_type;
	const char *redirect_address; /* the snapshot's: Final-Unit-Action REDIRECT to it */
};

/* Finds the rule in force at now for (tariff_id, rating_group) that counts in unit; GY_UNIT_NONE
 * takes the first unit that has one. Returns GY_OK or GY_RATING_FAILED (no rule, 5031). */
enum gy_rc gy_tariff_resolve(const struct gy_catalogue *catalogue, int32_t tariff_id,
			     uint32_t rating_group, enum gy_unit unit, gy_time_us now,
			     struct gy_tariff_result *result) GY_MUST_CHECK;

/* Order of gy_catalogue.rules: by tariff_id, rating_group, unit, valid_from_us. For qsort. */
int gy_specific_rule_compare(const void *a, const void *b);

#endif
