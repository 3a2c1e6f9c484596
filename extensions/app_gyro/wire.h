/* Diameter on the wire: header fields and a cursor over AVPs (RFC 6733 §3, §4.1).
 *
 * Reads only what lies inside the bytes it is given, whatever the lengths in them claim. Knows no
 * dictionary and judges nothing but lengths. */
#ifndef GY_APP_WIRE_H
#define GY_APP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/units.h"

#define GY_HEADER_SIZE 20u

/* Command flags (RFC 6733 §3). */
#define GY_CMD_REQUEST       0x80u
#define GY_CMD_PROXIABLE     0x40u
#define GY_CMD_ERROR         0x20u
#define GY_CMD_RETRANSMITTED 0x10u

/* OC-Feature-Vector: the loss algorithm (RFC 7683 §7.2). */
#define GY_OLR_DEFAULT_ALGO 1u

#define GY_CREDIT_CONTROL     272u
#define GY_APP_CREDIT_CONTROL 4u

struct gy_avp {
	uint32_t code;
	uint32_t vendor; /* 0 without the V bit */
	uint8_t flags;
	struct gy_bytes data;
	struct gy_bytes whole; /* header and data, without padding */
};

struct gy_avp_cursor {
	const uint8_t *at;
	const uint8_t *end;
};

enum gy_avp_step {
	GY_AVP_STEP_END,
	GY_AVP_STEP_OK,
	/* The length is shorter than the header or longer than what is left; code and vendor are
	 * set as far as they could be read, else 0. Nothing can be read after it. */
	GY_AVP_STEP_BROKEN,
};

static inline uint32_t gy_get24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t gy_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | gy_get24(p + 1);
}

static inline uint64_t gy_get64(const uint8_t *p)
{
	return (uint64_t)gy_get32(p) << 32 | gy_get32(p + 4);
}

static inline struct gy_avp_cursor gy_avp_cursor(struct gy_bytes list)
{
	return (struct gy_avp_cursor){ list.data, list.data + list.len };
}

static inline enum gy_avp_step gy_avp_step(struct gy_avp_cursor *cursor, struct gy_avp *avp)
{
	size_t left = (size_t)(cursor->end - cursor->at), header = 8, length, padded;
	const uint8_t *p = cursor->at;

	if (left == 0)
		return GY_AVP_STEP_END;
	avp->code = left >= 4 ? gy_get32(p) : 0;
	avp->vendor = 0;
	avp->flags = left >= 5 ? p[4] : 0;
	cursor->at = cursor->end;
	if (left < 8)
		return GY_AVP_STEP_BROKEN;
	if (avp->flags & 0x80u) {
		header = 12;
		if (left < header)
			return GY_AVP_STEP_BROKEN;
		avp->vendor = gy_get32(p + 8);
	}
	length = gy_get24(p + 5);
	if (length < header || length > left)
		return GY_AVP_STEP_BROKEN;
	avp->data = (struct gy_bytes){ p + header, length - header };
	avp->whole = (struct gy_bytes){ p, length };
	padded = (length + 3) & ~(size_t)3;
	if (padded < left) /* else: the last one; some senders leave its padding out */
		cursor->at = p + padded;
	return GY_AVP_STEP_OK;
}

#endif
