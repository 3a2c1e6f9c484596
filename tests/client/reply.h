/* An answer as the simulator sees it: from bytes to a plain struct.
 *
 * It takes whatever it gets; what is wrong with an answer is gy_reply_conforms' business. */
#ifndef GY_CLIENT_REPLY_H
#define GY_CLIENT_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/client/avp.h"
#include "tests/lib/case.h"

struct gy_reply {
	struct gy_case_seen seen; /* codes, Failed-AVP, services: what .case files look at */
	uint8_t flags;
	uint32_t command, application, hop_by_hop, end_to_end;
	const char *session_id, *origin_host, *origin_realm; /* NULL absent */
	const char *error_message;                           /* NULL absent */
	int64_t type, number, sub_session, origin_state;     /* -1 absent */
	int64_t failover, failure_handling;                  /* -1 absent */
};

/* A talloc context of its own, freed with talloc_free; NULL if the bytes are no message at all.
 * command_level: the request had its units there, and so has the answer (G-78). */
struct gy_reply *gy_reply_read(const uint8_t *bytes, size_t len, bool command_level);

/* Is it what an answer to this request has to look like, whatever it says (G-07, G-13, G-14, G-32,
 * G-42, G-46, G-48, G-50, and every AVP known, whole and rightly flagged)? The first fault is in
 * why. Both as bytes, as sent and received. */
bool gy_reply_conforms(const uint8_t *reply, size_t reply_len, const uint8_t *request,
		       size_t request_len, char *why, size_t why_size);

/* The Unit-Value of a CC-Money or Cost-Information in micro-units; digits beyond them are cut off.
 */
int64_t gy_reply_money(struct avp *avp);

/* "DIAMETER_SUCCESS"; "" for a code without a name. */
const char *gy_reply_code_name(uint32_t code);

#endif
