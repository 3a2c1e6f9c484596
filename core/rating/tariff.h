/* From a subscriber's specific tariff code to the price of a Rating-Group (spec/tariffs.md S-3).
 * Pure: the snapshot and the time come in as arguments. */
#ifndef GY_RATING_TARIFF_H
#define GY_RATING_TARIFF_H

#include "core/rating/catalogue.h"

/* What a reservation is priced with; kept with it, so a later change never acts backwards (G-98). */
struct gy_tariff_result {
	int64_t rule_id;
	enum gy_rule_kind kind;
	enum gy_unit unit;
	struct gy_rate rate;
	gy_time_us valid_until_us; /* the price holds until then */
};

/* Finds the rule in force at now for (tariff_id, rating_group) that counts in unit; GY_UNIT_NONE
 * takes the first unit that has one. Returns GY_OK or GY_RATING_FAILED (no rule, 5031). */
enum gy_rc gy_tariff_resolve(const struct gy_catalogue *catalogue, int32_t tariff_id,
			     uint32_t rating_group, enum gy_unit unit, gy_time_us now,
			     struct gy_tariff_result *result) GY_MUST_CHECK;

/* Order of gy_catalogue.rules: by tariff_id, rating_group, unit, valid_from_us. For qsort. */
int gy_specific_rule_compare(const void *a, const void *b);

#endif
