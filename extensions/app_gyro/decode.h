/* CCR: from the bytes that arrived to struct gy_ccr, or to the answer that says what is wrong.
 *
 * Pure: depends on its arguments and the AVP table only, allocates in the pool it is given. Every
 * fault that RFC 6733 §7.1 and spec G-05…G-17 let us find without state is found here, none is
 * left to freeDiameter. Two steps, so that an overloaded node can refuse after the first. */
#ifndef GY_APP_DECODE_H
#define GY_APP_DECODE_H

#include <stdbool.h>

#include "core/charging/answer.h"
#include "core/charging/ccr.h"

/* What every answer echoes, whatever else is wrong with the request (G-07, G-13, G-31). */
struct gy_envelope {
	uint8_t flags;
	uint32_t command;
	uint32_t application;
	uint32_t hop_by_hop;
	uint32_t end_to_end;
	struct gy_bytes session_id;            /* data NULL: none */
	struct gy_bytes acct_multi_session_id; /* whole AVP; data NULL: none */
	bool has_type, has_number, has_sub_session;
	uint32_t type; /* as sent, also outside 1..4 */
	uint32_t number;
	uint64_t sub_session;
	unsigned n_proxies;
	const struct gy_bytes *proxies; /* Proxy-Info, whole AVPs, in order */

	bool has_destination_host; /* sent to this very node: 3004 cannot help (G-35) */
	bool overload_reports;     /* who asks understands them, loss algorithm (RFC 7683) */
	unsigned n_services;       /* MSCCs */
};

/* Who we are. */
struct gy_node_identity {
	struct gy_bytes host;
	struct gy_bytes realm;
};

/* What a request must be, and what is tolerated in it. */
struct gy_decode_terms {
	/* What Origin-Host must be (the connected peer, F10); data NULL behind an agent. */
	struct gy_bytes origin_host;
	/* What Origin-Realm must be then; data NULL: a realm that this host lies in. */
	struct gy_bytes origin_realm;
	/* Unknown AVPs of 3GPP with the M bit inside Service-Information are passed over (G-09). */
	bool lenient_unknown_mandatory;
};

/* Header, routing (G-05, G-06) and the envelope. pool: a talloc context; raw must outlive the
 * envelope. Returns GY_OK, or the fault that stands first in result.def, with *error telling it;
 * the envelope is as full as it could be in either case. raw has at least GY_HEADER_SIZE octets. */
enum gy_rc gy_envelope_read(void *pool, struct gy_bytes raw, const struct gy_node_identity *node,
			    struct gy_envelope *envelope, struct gy_answer *error) GY_MUST_CHECK;

/* The request itself; only after gy_envelope_read returned GY_OK. All of *ccr but gateway_id is
 * set. Returns GY_OK, GY_NO_MEMORY, or the fault that stands first in result.def, told by *error.
 */
enum gy_rc gy_ccr_decode(void *pool, struct gy_bytes raw, const struct gy_envelope *envelope,
			 const struct gy_decode_terms *terms, struct gy_ccr *ccr,
			 struct gy_answer *error) GY_MUST_CHECK;

#endif
