/* Request attributes from the bytes of Service-Information, and the shape of their texts. */
#ifndef GY_RATING_NETWORK_H
#define GY_RATING_NETWORK_H

#include "core/rating/attribute.h"

/* True for five or six digits: MCC and MNC. */
bool gy_network_is(struct gy_bytes text);

/* The cell of a 3GPP-User-Location-Info (TS 29.061 §16.4.7.2, TS 29.274 §8.21) as text: MCC and MNC
 * digits, then lower-case hex with leading zeros: "46001-1a2b-3c4d" (CGI: LAC, CI; SAI: LAC, SAC),
 * "46001-0012d68" (ECGI, 7 digits; NCGI: 9). Returns its length, 0 if there is none. */
size_t gy_location_cell(struct gy_bytes location, char text[GY_LOCATION_MAX]);

/* Its area: "46001-1a2b" (LAC or TAC), six digits for a 5GS TAI. Returns the length, 0 if none. */
size_t gy_location_area(struct gy_bytes location, char text[GY_LOCATION_MAX]);

/* An APN in lower case, without operator identifier. Returns the length, 0 if too long. */
size_t gy_apn_text(struct gy_bytes apn, char text[GY_TEXT_MAX]);

/* True for the four hex digits of 3GPP-Charging-Characteristics (TS 29.061 §16.4.7.2). */
bool gy_characteristics_is(struct gy_bytes text);

/* Where a request comes from, in 64 bits: 16 each, from the lowest on, of its cell, area, serving
 * network and APN, as the scopes of pushed values. 1: the request names none; else 2 to 65535, a
 * hash that may meet another's. gyro.place_part is the same in SQL. */
int64_t gy_network_place(const struct gy_network *network);

#endif
