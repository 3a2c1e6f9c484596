/* The request log: what was sent, before it is sent, and what became of it. One JSON object a line;
 * README.md describes every field. An auditor of somebody else's making joins it with the
 * database, so it says what happened here and concludes nothing.
 *
 * Lines are collected by the functions and reach the disk with gy_log_sync, which the sender calls
 * before any byte of a request leaves. Every function does nothing on a NULL log. */
#ifndef GY_CLIENT_LOG_H
#define GY_CLIENT_LOG_H

#include <jansson.h>

#include "tests/client/request.h"
#include "tests/client/reply.h"

struct gy_log;

/* Begins a file, or goes on with an old one. NULL after saying why on stderr. */
struct gy_log *gy_log_open(const char *path);
void gy_log_close(struct gy_log *log);

/* What identifies a request in every line about it. */
struct gy_log_request {
	uint64_t request; /* number in this log, from 1 */
	const char *session_id;
	const struct gy_case_request *content;
	const struct gy_request_frame *frame;
	uint32_t end_to_end;
};

/* One transmission of it. */
struct gy_log_attempt {
	unsigned attempt; /* from 1 */
	bool copy;        /* sent although an answer is still expected: a duplicate on purpose */
	bool retransmitted;
	uint32_t hop_by_hop;
	const char *node;
};

void gy_log_start(struct gy_log *log, const char *command, uint64_t seed);
void gy_log_sent(struct gy_log *log, const struct gy_log_request *request,
		 const struct gy_log_attempt *attempt);
void gy_log_answer(struct gy_log *log, const struct gy_log_request *request, unsigned attempt,
		   int64_t latency_us, const struct gy_reply *reply);
/* No answer can come any more to this attempt. */
void gy_log_lost(struct gy_log *log, const struct gy_log_request *request, unsigned attempt,
		 const char *why);
/* outcome: "ok", "failed", "unknown"; reply NULL for the last. */
void gy_log_outcome(struct gy_log *log, const struct gy_log_request *request, unsigned attempts,
		    const char *outcome, const struct gy_reply *reply);
/* Takes totals over: what else is to be said at the end. */
void gy_log_end(struct gy_log *log, json_t *totals);

/* Whether there are lines that are not yet on disk. */
bool gy_log_is_behind(const struct gy_log *log);

/* Everything so far is on disk when it returns; aborts if it can't be. */
void gy_log_sync(struct gy_log *log);

/* ---- JSON of the plain structs, for --json too ---- */

json_t *gy_json_request_services(const struct gy_case_request *request);
json_t *gy_json_reply_services(const struct gy_case_seen *seen);
json_t *gy_json_units(const struct gy_case_units *units);

#endif
