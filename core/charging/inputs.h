/* What dynamic rules looked at, as lines of text for the record: with the catalogue of its version,
 * that is all an explanation of the price needs (gyro.record.inputs). */
#ifndef GY_CHARGING_INPUTS_H
#define GY_CHARGING_INPUTS_H

#include "core/charging/decide.h"
#include "core/rating/generate.h"

/* Stands where a line of a code has its origin: the line tells how many units a FREE rule (in the
 * code's place) had given that day. */
#define GY_INPUTS_FREE 4
/* The same: the price after the change of tariff that the grant may reach. In the code's place
 * micro-units, in the attribute's the block, at the end the specific rule. */
#define GY_INPUTS_NEXT 5

/* A line for each code and attribute: service, code, attribute, origin, type, number or text; and
 * for each rule that had given free units. What does not fit is left out. */
void gy_inputs_note(struct gy_inputs *inputs, unsigned service, const struct gy_acquired *acquired,
		    const struct gy_counters *counters);
/* A line for the price that comes next. */
void gy_inputs_next(struct gy_inputs *inputs, unsigned service,
		    const struct gy_tariff_result *next);

#endif
