/* Gyro's own AVPs of a request for gyro-sim's card commands, and what an answer says in return. */
#ifndef GY_CLIENT_CARD_ORDER_H
#define GY_CLIENT_CARD_ORDER_H

#include "tests/client/client.h"

#define GY_CARD_RAW_MAX 40

/* AVPs to be appended at command level. They live as long as this struct. */
struct gy_card_avps {
	unsigned n;
	struct gy_case_raw raw[GY_CARD_RAW_MAX];
};

void gy_card_number(struct gy_card_avps *avps, uint32_t code, uint32_t value);
void gy_card_text(struct gy_card_avps *avps, uint32_t code, const char *text);
/* Beneficiary of "KIND:VALUE", such as "imsi:460001000000001"; false if it is none. */
bool gy_card_beneficiary(struct gy_card_avps *avps, const char *who);
/* A Directed-Traffic-Info with one AVP in it: Directed-App-Id, -URL or -Flow. */
void gy_card_directed(struct gy_card_avps *avps, uint32_t code, const char *text);
void gy_card_avps_free(struct gy_card_avps *avps);

/* An answer as lines for people, indented, or as JSON members of object. reply: its bytes; cost:
 * what its Cost-Information is. */
void gy_card_print(const uint8_t *reply, size_t len, const char *cost);
void gy_card_json(const uint8_t *reply, size_t len, json_t *object);
/* CHECK_BALANCE was answered with "no credit". */
bool gy_card_no_credit(const uint8_t *reply, size_t len);

#endif
