/* What the files of the decoder share. Not for anybody else. */
#ifndef GY_APP_DECODE_INTERNAL_H
#define GY_APP_DECODE_INTERNAL_H

#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/decode.h"
#include "extensions/app_gyro/wire.h"

/* Groups in groups; real requests have at most five levels. */
#define GY_DEPTH_MAX 16

/* vendor and code as one switchable number. */
#define GY_AVP_ID(vendor, code) ((uint64_t)(vendor) << 32 | (code))

struct gy_decoder {
	void *pool;
	struct gy_answer *error; /* the worst fault so far; rc GY_OK: none */
	unsigned depth;
	unsigned
		carried; /* > 0 inside a group that is only carried along: just G-09 counts there */
	bool own;        /* own AVPs are used, not only carried along */
	bool met_own;    /* some were there */
	bool lenient;    /* unknown AVPs of 3GPP may have the M bit here */
};

/* What a request says of the larger thing it is part of: not charged by, kept with its record
 * (G-31). AVPs that are not there have whole.data NULL. */
struct gy_correlation {
	bool has_termination_cause;
	uint32_t termination_cause;
	struct gy_avp correlation_id; /* CC-Correlation-Id */
	struct gy_avp multi_session;  /* Acct-Multi-Session-Id */
};

/* The text for gyro.record.correlation, a line for each: "cause N", "correlation HEX", "multi TEXT"
 * (or "multi-hex HEX" if it isn't printable), values cut after GY_CORRELATION_MAX octets. Empty
 * if there is nothing. False: no memory. */
bool gy_correlation_text(void *pool, const struct gy_correlation *correlation,
			 struct gy_bytes *text);

/* Notes a fault unless a worse or equal one is noted already (G-13: only the first is told).
 * avp: what Failed-AVP holds, copied if whole.data is set, else zero-filled; NULL: nothing. */
void gy_fault(struct gy_decoder *decoder, enum gy_rc rc, const struct gy_avp *avp,
	      const char *reason);

/* A required AVP is missing (G-08). */
void gy_fault_missing(struct gy_decoder *decoder, uint32_t vendor, uint32_t code);

/* The next AVP that may be used: known, and of the right size. Faults are noted on the way, bad
 * UTF-8 among them (G-09, G-10, G-11). False at the end of the list. */
bool gy_decoder_next(struct gy_decoder *decoder, struct gy_avp_cursor *cursor, struct gy_avp *avp,
		     const struct gy_avp_def **def);

/* Looks for faults in an AVP that nobody uses: descends if it is a known group. */
void gy_decoder_skip(struct gy_decoder *decoder, const struct gy_avp *avp,
		     const struct gy_avp_def *def);

/* At most one per group: false, and a fault (G-12), if bit is already in *seen. */
bool gy_decoder_once(struct gy_decoder *decoder, uint32_t *seen, unsigned bit,
		     const struct gy_avp *avp);

/* Number of AVPs of that code in a list, cheaply. */
unsigned gy_avp_count(struct gy_bytes list, uint32_t vendor, uint32_t code);

/* One MSCC into *service. */
void gy_decode_service(struct gy_decoder *decoder, const struct gy_avp *mscc,
		       struct gy_service *service);
/* Requested-Service-Unit, wherever it stands. */
void gy_decode_requested(struct gy_decoder *decoder, const struct gy_avp *group,
			 struct gy_service *service);
/* Used-Service-Unit, wherever it stands; its Reporting-Reasons go into *reasons. */
void gy_decode_used(struct gy_decoder *decoder, const struct gy_avp *group, struct gy_used *used,
		    uint32_t *reasons);

/* Subscription-Id (RFC 8506 §8.46). False, and *value untouched: a fault, noted, or a type that we
 * don't know (G-11), not noted. */
bool gy_decode_subscription_id(struct gy_decoder *decoder, const struct gy_avp *group,
			       enum gy_identity_kind *kind, struct gy_bytes *value);

/* Gyro's own AVPs of the request whose other AVPs were found good; list: all of its AVPs. NULL
 * without memory. */
const struct gy_card_order *gy_decode_card_order(void *pool, struct gy_bytes list);

bool gy_utf8_valid(struct gy_bytes text);

#endif
