/* The traffic of one service behind a gateway: what flows, what is granted, when to report.
 *
 * Pure: a gateway's rules of TS 32.299 and RFC 8506 §5, no sockets and no clock. What flowed beyond
 * the last report is never forgotten: it is in the next one. */
#ifndef GY_CLIENT_FLOW_H
#define GY_CLIENT_FLOW_H

#include "tests/lib/case.h"

enum gy_flow_state {
	GY_FLOW_ASKING,  /* wants units */
	GY_FLOW_FLOWING, /* has units */
	GY_FLOW_FREE,    /* 4011: needs none */
	GY_FLOW_BLOCKED, /* refused, redirected, restricted, or at the end of its final units */
	GY_FLOW_DONE,    /* has used all it wanted */
};

struct gy_flow {
	bool has_rating_group;
	uint32_t rating_group;
	unsigned n_service_ids;
	const uint32_t *service_ids;
	enum gy_case_quantity quantity; /* of what is used */
	int64_t request_size;           /* asked for; 0: any */

	enum gy_flow_state state;
	int64_t wanted;    /* still to be used */
	int64_t granted;   /* of the last grant */
	int64_t used;      /* of it, and not yet reported */
	int64_t threshold; /* remaining units at which to report; -1 none */
	int64_t validity_s;
	int64_t final_unit; /* Final-Unit-Action; -1: not final */
	int64_t total, reported;
	uint32_t code; /* of the last answer */
};

/* Lets traffic flow until a report is due, at most step units at once (0: no limit). Returns the
 * Reporting-Reason of the report that is due now, -1 if none is: it is blocked or done. */
int gy_flow_run(struct gy_flow *flow, int64_t step);

/* Fills the service of a request: what was used, and RSU if more is wanted. used: room for one.
 * reason -1: none. */
void gy_flow_report(struct gy_flow *flow, int reason, bool request, struct gy_case_service *service,
		    struct gy_case_used *used);

/* The answer to it. */
void gy_flow_answered(struct gy_flow *flow, const struct gy_case_seen_service *seen);

/* The node wants to decide anew (RAR): what was refused is asked for again. Is there anything to
 * report or to ask? */
bool gy_flow_reauthorise(struct gy_flow *flow);

/* Has it units, or usage, that a termination must tell of? */
bool gy_flow_open(const struct gy_flow *flow);

#endif
