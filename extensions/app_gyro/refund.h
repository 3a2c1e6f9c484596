/* Refund-Information (TS 32.299 §7.2), ours: which service of which direct debit. Opaque to
 * gateways, which only give it back. */
#ifndef GY_APP_REFUND_H
#define GY_APP_REFUND_H

#include "core/charging/ccr.h"

/* Octets: version 1, place, two of zero, number (32 bits), session key (128 bits). */
#define GY_REFUND_SIZE 24

/* number and place are within GY_REFUND_NUMBER_MAX and GY_REFUND_PLACE_MAX. */
void gy_refund_write(struct gy_session_key session, uint32_t number, unsigned place,
		     uint8_t out[static GY_REFUND_SIZE]);

/* Binds the request to the debit that the whole AVP names: sets refund, session and number. False:
 * it was not made by gy_refund_write; then nothing is set. */
bool gy_refund_read(struct gy_bytes avp, struct gy_ccr *ccr) GY_MUST_CHECK;

#endif
