/* One request for the decoder, built and decoded: the good one of base, without some AVPs and with
 * some more. */
#ifndef GY_TESTS_DECODE_REQUEST_H
#define GY_TESTS_DECODE_REQUEST_H

#include <inttypes.h>
#include <string.h>
#include <talloc.h>

#include "core/charging/card_order.h"
#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/decode.h"
#include "extensions/app_gyro/session_key.h"
#include "extensions/app_gyro/wire.h"
#include "tests/unit/decode/notation.h"
#include "tests/unit/decode/tap.h"

#define HEX(text)                                         \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

static const struct gy_node_identity node = { HEX("ocs1.spec.test"), HEX("spec.test") };
static struct gy_decode_terms terms = { .origin_host = HEX("pgw1.spec.test") };

/* A good CCR-I; each line can be left out by its code. */
static const struct {
	uint32_t code;
	const char *text;
} base[] = {
	{ 263, "263=\"pgw1.spec.test;1;2\"" },
	{ 264, "264=\"pgw1.spec.test\"" },
	{ 296, "296=\"spec.test\"" },
	{ 283, "283=\"spec.test\"" },
	{ 258, "258=u4" },
	{ 461, "461=\"32251@3gpp.org\"" },
	{ 416, "416=u1" },
	{ 415, "415=u0" },
	{ 443, "443={450=u1 444=\"460001000000001\"}" },
	{ 456, "456={437={} 432=u10}" },
};

static struct message message;
static struct gy_envelope envelope;
static struct gy_ccr ccr;
static struct gy_answer answer;
static void *pool;

static inline struct gy_bytes raw(void)
{
	return (struct gy_bytes){ message.data, message.len };
}

/* without: codes separated by commas, "" for none. */
static inline bool left_out(const char *without, uint32_t code)
{
	char number[16];
	int n = snprintf(number, sizeof(number), "%" PRIu32, code);
	const char *p = without;

	while ((p = strstr(p, number)) != NULL) {
		if ((p == without || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
			return true;
		p += n;
	}
	return false;
}

static inline void build(uint32_t command, uint32_t application, uint8_t flags, const char *without,
			 const char *with)
{
	message_start(&message, command, application, flags);
	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
		if (!left_out(without, base[i].code))
			message_add(&message, base[i].text);
	message_add(&message, with);
}

static inline enum gy_rc decode(void)
{
	enum gy_rc rc;

	talloc_free(pool);
	pool = talloc_pool(NULL, 4096);
	rc = gy_envelope_read(pool, raw(), &node, &envelope, &answer);
	return rc != GY_OK ? rc : gy_ccr_decode(pool, raw(), &envelope, &terms, &ccr, &answer);
}

/* A good request, changed; true if it decodes. */
static inline bool good(const char *without, const char *with)
{
	enum gy_rc rc;

	build(272, 4, 0xc0, without, with);
	rc = decode();
	if (rc != GY_OK)
		printf("# %s\n", answer.message);
	return rc == GY_OK;
}

#define NOTHING "-"

static inline bool failed_is(const char *content, uint32_t missing)
{
	uint8_t bytes[1024];
	struct gy_avp_cursor cursor;
	struct gy_avp avp;

	if (strcmp(content, NOTHING) == 0)
		return answer.n_failed == 0;
	if (answer.n_failed != 1)
		return false;
	if (content[0] == '\0')
		return answer.failed[0].code == missing && answer.failed[0].avp.data == NULL;
	cursor = gy_avp_cursor(
		(struct gy_bytes){ bytes, notation_write(content, bytes, sizeof(bytes)) });
	return gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK && avp.code == answer.failed[0].code &&
	       avp.vendor == answer.failed[0].vendor && avp.whole.len == answer.failed[0].avp.len &&
	       memcmp(avp.whole.data, answer.failed[0].avp.data, avp.whole.len) == 0;
}

#endif
