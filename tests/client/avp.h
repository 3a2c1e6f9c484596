/* AVPs and messages over libfdproto: made by number, flags as the table in dict/ says, read by
 * number.
 *
 * Making aborts without memory, and on a code that the table does not have: that is a mistake of
 * the caller, never of a peer. Reading takes whatever came. */
#ifndef GY_CLIENT_AVP_H
#define GY_CLIENT_AVP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/client/dictionary.h"

/* ---- making ---- */

/* A number of whatever width and sign the table says. */
struct avp *gy_avp_number(uint32_t vendor, uint32_t code, int64_t value);
struct avp *gy_avp_text(uint32_t vendor, uint32_t code, const char *text);
struct avp *gy_avp_octets(uint32_t vendor, uint32_t code, const void *data, size_t len);
struct avp *gy_avp_group(uint32_t vendor, uint32_t code);

/* Any code, flags and value, known or not, right or wrong. */
struct avp *gy_avp_raw(uint32_t vendor, uint32_t code, uint8_t flags, const void *data, size_t len);

/* Appends to a message or a group, which takes it over. Returns child. */
struct avp *gy_avp_put(msg_or_avp *parent, struct avp *child);

/* A message of this name, with its flags, and both identifiers set. */
struct msg *gy_message_new(const char *command, uint32_t hop_by_hop, uint32_t end_to_end);

struct msg_hdr *gy_message_header(struct msg *message);

/* Its bytes, malloc'ed; frees the message. */
uint8_t *gy_message_encode(struct msg *message, size_t *len);

/* ---- reading ---- */

/* Parses a copy of the bytes; NULL if not even the list of AVPs can be made out. AVPs are read
 * against the dictionary one by one: gy_avp_is_read tells which of them could be. */
struct msg *gy_message_decode(const uint8_t *bytes, size_t len);

void gy_message_free(struct msg *message);

/* for (struct avp *a = gy_avp_first(parent); a; a = gy_avp_next(a)) */
struct avp *gy_avp_first(msg_or_avp *parent);
struct avp *gy_avp_next(struct avp *avp);

uint32_t gy_avp_code(struct avp *avp);
uint32_t gy_avp_vendor(struct avp *avp); /* 0 without the V bit */
uint8_t gy_avp_flags(struct avp *avp);
bool gy_avp_is(struct avp *avp, uint32_t vendor, uint32_t code);

/* Known, of the right form, and its value there. */
bool gy_avp_is_read(struct avp *avp);

/* -1 if it is no number. An Unsigned64 above INT64_MAX: INT64_MAX. */
int64_t gy_avp_value(struct avp *avp);

/* The value of a string, and its length; NULL if it is none. Not terminated. */
const char *gy_avp_string(struct avp *avp, size_t *len);

/* The first AVP of this code in a message or group; NULL if there is none. */
struct avp *gy_avp_find_in(msg_or_avp *parent, uint32_t vendor, uint32_t code);

/* Its number, or absent. */
int64_t gy_avp_value_in(msg_or_avp *parent, uint32_t vendor, uint32_t code, int64_t absent);

#endif
