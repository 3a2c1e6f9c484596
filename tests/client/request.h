/* A CCR from the plain struct that .case files and the other commands of gyro-sim fill in.
 *
 * It writes what it is told, also nonsense; it decides nothing about sessions or numbers. */
#ifndef GY_CLIENT_REQUEST_H
#define GY_CLIENT_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "tests/lib/case.h"

#define GY_IDENTITY_KINDS 6 /* of enum gy_case_identity_kind */

/* What a packet gateway tells about the bearer, in Service-Information. */
struct gy_bearer {
	const char *apn;                      /* Called-Station-Id */
	const char *serving_network;          /* 3GPP-SGSN-MCC-MNC */
	uint8_t rat;                          /* 3GPP-RAT-Type */
	uint32_t charging_id;                 /* 3GPP-Charging-Id */
	uint8_t pdp_address[4];               /* PDP-Address */
	const char *charging_characteristics; /* 3GPP-Charging-Characteristics */
};

/* What a struct gy_case_request leaves open. */
struct gy_request_frame {
	const char *session_id;
	const char *origin_host, *origin_realm;
	const char *destination_realm; /* unless the request names one */
	const char *destination_host;  /* likewise; NULL: none */
	uint32_t hop_by_hop, end_to_end;
	/* The subscriber's own, by kind, for identities without a value; NULL: has none. */
	const char *identity[GY_IDENTITY_KINDS];
	int64_t event_time_s;           /* Event-Timestamp, since 1970; -1 none */
	const struct gy_bearer *bearer; /* NULL: no Service-Information */
};

/* malloc'ed bytes of the request; NULL if it asks for an identity that the subscriber hasn't. */
uint8_t *gy_request_encode(const struct gy_case_request *request,
			   const struct gy_request_frame *frame, size_t *len);

/* The request in bytes becomes another copy of itself: its own Hop-by-Hop Identifier, T or not. */
void gy_request_restamp(uint8_t *bytes, uint32_t hop_by_hop, bool retransmitted);

/* A copy in this talloc context, with all that makes up its content: services, usage, identities,
 * raw AVPs. Strings are copied too. */
struct gy_case_request *gy_request_copy(void *pool, const struct gy_case_request *request);

/* A request of the simulator's own: nothing but a type, a number and a context. */
struct gy_case_request gy_request_plain(char type, uint32_t number);

#endif
