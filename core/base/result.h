/* Results: what a function can say besides its outputs.
 *
 * Three kinds that never mix: peer errors (a Result-Code reaches the gateway), environment errors
 * (retryable, decided by SQLSTATE in core/store/sqlstate.c) and bugs (gy_assert, base/assert.h).
 * The table is result.def; its order is the precedence. */
#ifndef GY_BASE_RESULT_H
#define GY_BASE_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#define GY_MUST_CHECK __attribute__((warn_unused_result))

enum gy_rc {
#define GY_RESULT(name, code, level, retryable, log, text) GY_##name,
#include "core/base/result.def"
#undef GY_RESULT
	GY_RC_COUNT
};

enum gy_log_level { GY_LOG_DEBUG, GY_LOG_INFO, GY_LOG_NOTICE, GY_LOG_WARNING, GY_LOG_ERROR };

/* Short stable name, e.g. "CREDIT_LIMIT_REACHED". Never NULL. */
const char *gy_rc_name(enum gy_rc rc);
/* One lower-case sentence part for logs and Error-Message. Never NULL. */
const char *gy_rc_text(enum gy_rc rc);
/* The Diameter Result-Code (RFC 6733 §7.1, RFC 8506 §9), 0 if the result never goes on the wire. */
uint32_t gy_rc_result_code(enum gy_rc rc);
/* The result of a Result-Code read back from the store; GY_RC_COUNT if no row has that code. */
enum gy_rc gy_rc_from_result_code(uint32_t result_code);
/* True for 3xxx: the answer carries the E bit (RFC 6733 §7.2). */
bool gy_rc_is_protocol_error(enum gy_rc rc);
/* True if the same request may succeed later: never stored as the answer (G-35). */
bool gy_rc_is_retryable(enum gy_rc rc);
enum gy_log_level gy_rc_log_level(enum gy_rc rc);

#endif
