/* The table behind base/result.h, expanded from result.def. */
#include "core/base/result.h"

#include <stddef.h>

static const struct {
	const char *name;
	const char *text;
	uint16_t result_code;
	bool retryable;
	enum gy_log_level log_level;
} table[GY_RC_COUNT] = {
#define GY_RESULT(name, code, level, retryable, log, text) \
	[GY_##name] = { #name, text, code, retryable, GY_LOG_##log },
#include "core/base/result.def"
#undef GY_RESULT
};

const char *gy_rc_name(enum gy_rc rc)
{
	return (unsigned)rc < GY_RC_COUNT ? table[rc].name : "UNKNOWN";
}

const char *gy_rc_text(enum gy_rc rc)
{
	return (unsigned)rc < GY_RC_COUNT ? table[rc].text : "unknown result";
}

uint32_t gy_rc_result_code(enum gy_rc rc)
{
	return (unsigned)rc < GY_RC_COUNT ? table[rc].result_code : 0;
}

enum gy_rc gy_rc_from_result_code(uint32_t result_code)
{
	enum gy_rc rc;

	for (rc = 0; rc < GY_RC_COUNT; rc++)
		if (result_code != 0 && table[rc].result_code == result_code)
			break;
	return rc;
}

bool gy_rc_is_protocol_error(enum gy_rc rc)
{
	return gy_rc_result_code(rc) / 1000 == 3;
}

bool gy_rc_is_retryable(enum gy_rc rc)
{
	return (unsigned)rc < GY_RC_COUNT && table[rc].retryable;
}

enum gy_log_level gy_rc_log_level(enum gy_rc rc)
{
	return (unsigned)rc < GY_RC_COUNT ? table[rc].log_level : GY_LOG_ERROR;
}
