/* Writing the trace: what `explain` prints. Private to core/rating. */
#ifndef GY_RATING_TRACE_H
#define GY_RATING_TRACE_H

#include "core/rating/generate.h"

/* The acquired code of a slot of the index, NULL if it wasn't acquired. */
const struct gy_acquired_code *gy_acquired_find(const struct gy_acquired *acquired, uint32_t slot);

/* Appends an entry, or counts it as lost. trace may be NULL. */
void gy_trace_put(struct gy_trace *trace, struct gy_trace_entry entry);

/* The entry of a dynamic rule. */
void gy_trace_rule(struct gy_trace *trace, enum gy_stage stage, enum gy_verdict verdict,
		   const struct gy_dynamic_rule *rule, const struct gy_acquired_code *code,
		   struct gy_rate rate, int64_t other_rule_id);

#endif
