/* The messages a load sends: encoded once by libfdproto (gy_dictionary_load comes first), then
 * copied and patched.
 *
 * Only what differs from request to request is patched, and all of it has a fixed size. */
#ifndef GYRO_LOAD_TEMPLATE_H
#define GYRO_LOAD_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CC-Request-Type. */
#define LOAD_CCR_I 1
#define LOAD_CCR_U 2
#define LOAD_CCR_T 3

/* What a request says for the rest: the log says it, too. */
#define LOAD_USED_SECONDS 60

static inline uint64_t load_input_octets(uint64_t used_octets)
{
	return used_octets / 8;
}

/* Quota exhausted, final; none in a CCR-I: -1. */
static inline int load_reporting_reason(uint32_t type)
{
	return type == LOAD_CCR_I ? -1 : type == LOAD_CCR_T ? 2 : 3;
}

/* What all messages of one connection have in common. */
struct load_identity {
	const char *origin_host;
	const char *origin_realm;
	const char *destination_realm;
	const char *service_context;
	uint32_t rating_group;
	uint64_t request_octets; /* CC-Total-Octets of Requested-Service-Unit; 0: an empty one */
	uint32_t origin_state;
};

/* A CCR, or a message of the base protocol; offsets of 0 stand for what isn't there. */
struct load_template {
	uint8_t *bytes;
	size_t size;
	size_t session_id, number, timestamp, imsi, msisdn;
	size_t total, input, output; /* CC-*-Octets of Used-Service-Unit */
};

struct load_templates {
	struct load_template ccr[4]; /* by CC-Request-Type 1..3 */
	struct load_template cer, dwr, dwa, dpr, dpa;
};

/* What is patched into a CCR. */
struct load_fill {
	uint32_t hop_by_hop, end_to_end;
	uint32_t run, round, number, timestamp; /* timestamp: NTP seconds */
	uint64_t session, subscriber, used_octets;
	bool retransmitted;
};

/* Encodes all messages for a connection; what libfdproto refuses ends the program. */
void load_templates_make(struct load_templates *templates, const struct load_identity *identity);
void load_templates_free(struct load_templates *templates);

/* Writes the request, template->size octets. */
void load_template_fill(const struct load_template *template, const struct load_fill *fill,
			uint8_t *out);

#endif
