/* The trace: see trace.h; the words for its stages and verdicts. */
#include "core/rating/trace.h"

const struct gy_acquired_code *gy_acquired_find(const struct gy_acquired *acquired, uint32_t slot)
{
	for (unsigned i = 0; i < acquired->n; i++)
		if (acquired->codes[i].slot == slot)
			return &acquired->codes[i];
	return NULL;
}

void gy_trace_put(struct gy_trace *trace, struct gy_trace_entry entry)
{
	if (trace == NULL)
		return;
	if (trace->n < trace->room)
		trace->entries[trace->n++] = entry;
	else
		trace->lost++;
}

void gy_trace_rule(struct gy_trace *trace, enum gy_stage stage, enum gy_verdict verdict,
		   const struct gy_dynamic_rule *rule, const struct gy_acquired_code *code,
		   struct gy_rate rate, int64_t other_rule_id)
{
	if (trace == NULL)
		return;
	gy_trace_put(
		trace,
		(struct gy_trace_entry){
			.stage = stage,
			.verdict = verdict,
			.rule_id = rule->rule_id,
			.other_rule_id = other_rule_id,
			.code_id = rule->code_id,
			.attribute_id = code->attribute != NULL ? code->attribute->attribute_id : 0,
			.value = code->value,
			.amount = rule->effect.amount,
			.block = rule->effect.kind == GY_EFFECT_MULTIPLY ? GY_PPM
									 : rule->effect.block,
			.rate = rate,
		});
}

const char *gy_stage_name(enum gy_stage stage)
{
	static const char *const names[GY_STAGE_COUNT] = {
		[GY_STAGE_CONSIDERED] = "considered",
		[GY_STAGE_DENY] = "deny",
		[GY_STAGE_BASE] = "base",
		[GY_STAGE_REPLACE] = "replace",
		[GY_STAGE_MULTIPLY] = "multiply",
		[GY_STAGE_ADD] = "add",
		[GY_STAGE_FLOOR] = "floor",
		[GY_STAGE_CAP] = "cap",
		[GY_STAGE_FREE] = "free",
		[GY_STAGE_QUOTA] = "quota",
		[GY_STAGE_VALIDITY] = "validity",
		[GY_STAGE_REDIRECT] = "redirect",
	};

	return (unsigned)stage < GY_STAGE_COUNT ? names[stage] : "unknown";
}

const char *gy_verdict_text(enum gy_verdict verdict)
{
	static const char *const texts[GY_VERDICT_COUNT] = {
		[GY_VERDICT_APPLIED] = "applied",
		[GY_VERDICT_NO_EFFECT] = "changes nothing",
		[GY_VERDICT_OUTVOTED] = "a better rule of its stack group counts",
		[GY_VERDICT_LOST] = "another rule comes first",
		[GY_VERDICT_DENIED] = "the service is denied",
		[GY_VERDICT_USED_UP] = "used up today",
		[GY_VERDICT_VALUE] = "the value doesn't match",
		[GY_VERDICT_MISSING] = "the attribute has no value",
		[GY_VERDICT_PRESENT] = "the attribute has a value",
		[GY_VERDICT_RATING_GROUP] = "for another Rating-Group",
		[GY_VERDICT_UNIT] = "for another unit",
		[GY_VERDICT_EARLY] = "not valid yet",
		[GY_VERDICT_LATE] = "no longer valid",
	};

	return (unsigned)verdict < GY_VERDICT_COUNT ? texts[verdict] : "unknown";
}
