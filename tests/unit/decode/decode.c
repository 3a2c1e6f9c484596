/* The decoder against spec/gy.md G-05…G-17, G-31, G-41, G-44, G-53, G-73, G-86 and F3, F10.
 *
 * Each case is one request: the good one of BASE, without some AVPs and with some more. Faults
 * are compared with Result-Code and the very bytes of Failed-AVP. */
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
static const struct gy_bytes peer = HEX("pgw1.spec.test");

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

static struct gy_bytes raw(void)
{
	return (struct gy_bytes){ message.data, message.len };
}

/* without: codes separated by commas, "" for none. */
static bool left_out(const char *without, uint32_t code)
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

static void build(uint32_t command, uint32_t application, uint8_t flags, const char *without,
		  const char *with)
{
	message_start(&message, command, application, flags);
	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
		if (!left_out(without, base[i].code))
			message_add(&message, base[i].text);
	message_add(&message, with);
}

static enum gy_rc decode(void)
{
	enum gy_rc rc;

	talloc_free(pool);
	pool = talloc_pool(NULL, 4096);
	rc = gy_envelope_read(pool, raw(), &node, &envelope, &answer);
	return rc != GY_OK ? rc : gy_ccr_decode(pool, raw(), &envelope, peer, &ccr, &answer);
}

/* A good request, changed; true if it decodes. */
static bool good(const char *without, const char *with)
{
	enum gy_rc rc;

	build(272, 4, 0xc0, without, with);
	rc = decode();
	if (rc != GY_OK)
		printf("# %s\n", answer.message);
	return rc == GY_OK;
}

/* --- faults ---------------------------------------------------------------------------------- */

#define NOTHING "-"

static const struct {
	const char *name;
	const char *without;
	const char *with;
	enum gy_rc rc;
	const char *failed; /* Failed-AVP's content; NOTHING: none; "" with code: zero-filled */
	uint32_t missing;
} faults[] = {
	/* G-08 */
	{ "no Session-Id", "263", "", GY_MISSING_AVP, "", 263 },
	{ "no Origin-Host", "264", "", GY_MISSING_AVP, "", 264 },
	{ "no Origin-Realm", "296", "", GY_MISSING_AVP, "", 296 },
	{ "no Destination-Realm", "283", "", GY_MISSING_AVP, "", 283 },
	{ "TC-11 no Service-Context-Id", "461", "", GY_MISSING_AVP, "", 461 },
	{ "no CC-Request-Type", "416", "", GY_MISSING_AVP, "", 416 },
	{ "no CC-Request-Number", "415", "", GY_MISSING_AVP, "", 415 },
	{ "no Auth-Application-Id", "258", "", GY_MISSING_AVP, "", 258 },
	{ "Vendor-Specific-Application-Id without Auth-Application-Id", "258", "260={266=u10415}",
	  GY_MISSING_AVP, "", 258 },
	{ "G-17 no identity in CCR-I", "443", "", GY_MISSING_AVP, "", 443 },
	{ "G-17 no identity in CCR-E", "443,416", "416=u4 436=u0", GY_MISSING_AVP, "", 443 },
	{ "G-17 only an identity of unknown type", "443", "443={450=u9 444=\"1\"}", GY_MISSING_AVP,
	  "", 443 },
	{ "G-17 only an empty identity", "443", "443={450=u1 444=\"\"}", GY_MISSING_AVP, "", 443 },
	{ "Subscription-Id without type", "", "443={444=\"1\"}", GY_MISSING_AVP, "", 450 },
	{ "Subscription-Id without data", "", "443={450=u1}", GY_MISSING_AVP, "", 444 },
	{ "TC-23 event without Requested-Action", "416", "416=u4", GY_MISSING_AVP, "", 436 },
	{ "two missing: the first is told", "461,415", "", GY_MISSING_AVP, "", 461 },
	/* G-09 */
	{ "TC-13 unknown M AVP", "", "3999=x61626364", GY_AVP_UNSUPPORTED, "3999=x61626364", 0 },
	{ "unknown M AVP of a vendor", "", "7@99999=x6162", GY_AVP_UNSUPPORTED, "7@99999=x6162",
	  0 },
	{ "known code of another vendor is unknown", "", "416@10415=u1", GY_AVP_UNSUPPORTED,
	  "416@10415=u1", 0 },
	{ "unknown M AVP in MSCC", "456", "456={432=u10 3999=x61}", GY_AVP_UNSUPPORTED, "3999=x61",
	  0 },
	{ "unknown M AVP in USU in MSCC", "456", "456={432=u10 446={421=U1 3999=x61}}",
	  GY_AVP_UNSUPPORTED, "3999=x61", 0 },
	{ "unknown M AVP in Service-Information", "", "873@10415={3998=x62}", GY_AVP_UNSUPPORTED,
	  "3998=x62", 0 },
	{ "unknown M AVP in PS-Information", "", "873@10415={874@10415={3998=x62}}",
	  GY_AVP_UNSUPPORTED, "3998=x62", 0 },
	{ "unknown M AVP in a known group nobody uses", "", "458={459=u0 460=x01 3999=x61}",
	  GY_AVP_UNSUPPORTED, "3999=x61", 0 },
	{ "unknown M AVP in a known group without M", "", "458~={459=u0 460=x01 3999=x61}",
	  GY_AVP_UNSUPPORTED, "3999=x61", 0 },
	/* G-10 */
	{ "CC-Request-Number of 3 octets", "415", "415=x010203", GY_INVALID_AVP_LENGTH,
	  "415=x010203", 0 },
	{ "CC-Request-Type of 8 octets", "416", "416=x0000000000000001", GY_INVALID_AVP_LENGTH,
	  "416=x0000000000000001", 0 },
	{ "Event-Timestamp of 3 octets", "", "55=x010203", GY_INVALID_AVP_LENGTH, "55=x010203", 0 },
	{ "Rating-Group of 2 octets", "456", "456={432=x000a}", GY_INVALID_AVP_LENGTH, "432=x000a",
	  0 },
	{ "CC-Total-Octets of 4 octets", "456", "456={446={421=x00000001}}", GY_INVALID_AVP_LENGTH,
	  "421=x00000001", 0 },
	{ "TC-19 AVP length beyond the message", "", "1#4000=\"a\"", GY_INVALID_AVP_LENGTH, "", 1 },
	{ "AVP length below its header", "", "1#7=\"a\"", GY_INVALID_AVP_LENGTH, "", 1 },
	{ "AVP length 0", "", "1#0=\"a\"", GY_INVALID_AVP_LENGTH, "", 1 },
	{ "vendor AVP length below its header", "", "872@10415#11=u1", GY_INVALID_AVP_LENGTH, "",
	  872 },
	{ "inner length beyond its group", "456", "456={432#400=u10}", GY_INVALID_AVP_LENGTH, "",
	  432 },
	{ "inner length below its header", "456", "456={437={} 432#4=u10}", GY_INVALID_AVP_LENGTH,
	  "", 432 },
	{ "group of three octets", "456", "456=x000001", GY_INVALID_AVP_LENGTH, "", 0 },
	{ "broken group within a group", "456", "456={446=x0000}", GY_INVALID_AVP_LENGTH, "", 0 },
	/* G-11 */
	{ "TC-17 CC-Request-Type 0", "416", "416=u0", GY_INVALID_AVP_VALUE, "416=u0", 0 },
	{ "TC-17 CC-Request-Type 5", "416", "416=u5", GY_INVALID_AVP_VALUE, "416=u5", 0 },
	{ "TC-17 CC-Request-Type 9", "416", "416=u9", GY_INVALID_AVP_VALUE, "416=u9", 0 },
	{ "TC-23 Requested-Action 7", "416", "416=u4 436=u7", GY_INVALID_AVP_VALUE, "436=u7", 0 },
	{ "Requested-Action 4 in a session too", "", "436=u4", GY_INVALID_AVP_VALUE, "436=u4", 0 },
	{ "TC-22 Auth-Application-Id 5", "258", "258=u5", GY_INVALID_AVP_VALUE, "258=u5", 0 },
	{ "Service-Context-Id not UTF-8", "461", "461=xff41", GY_INVALID_AVP_VALUE, "461=xff41",
	  0 },
	{ "UTF-8 over-long form", "461", "461=xc080", GY_INVALID_AVP_VALUE, "461=xc080", 0 },
	{ "UTF-8 surrogate", "461", "461=xeda080", GY_INVALID_AVP_VALUE, "461=xeda080", 0 },
	{ "UTF-8 cut off", "461", "461=x4142434445464748e282", GY_INVALID_AVP_VALUE,
	  "461=x4142434445464748e282", 0 },
	{ "UTF-8 beyond U+10FFFF", "461", "461=xf4908080", GY_INVALID_AVP_VALUE, "461=xf4908080",
	  0 },
	{ "Subscription-Id-Data not UTF-8", "443", "443={450=u1 444=xfe}", GY_INVALID_AVP_VALUE,
	  "444=xfe", 0 },
	{ "Tariff-Change-Usage 3", "456", "456={446={452=u3}}", GY_INVALID_AVP_VALUE, "452=u3", 0 },
	{ "F3 Session-Id with a NUL octet", "263", "263=x610062", GY_INVALID_AVP_VALUE,
	  "263=x610062", 0 },
	{ "empty Session-Id", "263", "263=\"\"", GY_INVALID_AVP_VALUE, "263=\"\"", 0 },
	{ "empty Origin-Realm", "296", "296=\"\"", GY_INVALID_AVP_VALUE, "296=\"\"", 0 },
	{ "F10 Origin-Host of somebody else", "264", "264=\"pgw2.spec.test\"", GY_INVALID_AVP_VALUE,
	  "264=\"pgw2.spec.test\"", 0 },
	{ "amount beyond what can be summed", "456", "456={446={421=U9223372036854775807}}",
	  GY_INVALID_AVP_VALUE, "421=U9223372036854775807", 0 },
	{ "amount of 2^64-1", "456", "456={437={417=U18446744073709551615}}", GY_INVALID_AVP_VALUE,
	  "417=U18446744073709551615", 0 },
	{ "input + output too large together", "456", "456={446={412=U1152921504606846976 414=U1}}",
	  GY_INVALID_AVP_VALUE, "446={412=U1152921504606846976 414=U1}", 0 },
	{ "money finer than a millionth", "456", "456={437={413={445={447=I1 429=i-7}}}}",
	  GY_INVALID_AVP_VALUE, "445={447=I1 429=i-7}", 0 },
	{ "money too large", "456", "456={437={413={445={447=I9 429=i30}}}}", GY_INVALID_AVP_VALUE,
	  "445={447=I9 429=i30}", 0 },
	{ "negative money", "456", "456={446={413={445={447=I-1}}}}", GY_INVALID_AVP_VALUE,
	  "445={447=I-1}", 0 },
	{ "money without Unit-Value", "456", "456={437={413={425=u156}}}", GY_MISSING_AVP, "",
	  445 },
	{ "Unit-Value without digits", "456", "456={437={413={445={429=i0}}}}", GY_MISSING_AVP, "",
	  447 },
	/* G-12 */
	{ "two CC-Request-Numbers", "", "415=u7", GY_AVP_OCCURS_TOO_MANY_TIMES, "415=u7", 0 },
	{ "two Session-Ids", "", "263=\"x\"", GY_AVP_OCCURS_TOO_MANY_TIMES, "263=\"x\"", 0 },
	{ "two Service-Contexts", "", "461=\"x\"", GY_AVP_OCCURS_TOO_MANY_TIMES, "461=\"x\"", 0 },
	{ "two User-Names", "", "1=\"a\" 1=\"b\"", GY_AVP_OCCURS_TOO_MANY_TIMES, "1=\"b\"", 0 },
	{ "TC-20 two Rating-Groups in one MSCC", "456", "456={432=u10 432=u11}",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "432=u11", 0 },
	{ "two Requested-Service-Units in one MSCC", "456", "456={437={} 437={420=u1}}",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "437={420=u1}", 0 },
	{ "two CC-Times in one USU", "456", "456={446={420=u1 420=u2}}",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "420=u2", 0 },
	{ "two command-level Service-Identifiers", "456", "437={} 439=u1 439=u2",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "439=u2", 0 },
	/* the worst is told (result.def's order) */
	{ "unknown M AVP before a missing one", "461", "3999=x61", GY_AVP_UNSUPPORTED, "3999=x61",
	  0 },
	{ "bad length before unknown M AVP", "", "3999=x61 55=x01", GY_INVALID_AVP_LENGTH, "55=x01",
	  0 },
	{ "missing before bad value", "461,416", "416=u9", GY_MISSING_AVP, "", 461 },
};

static bool failed_is(const char *content, uint32_t missing)
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

static void test_faults(void)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		enum gy_rc rc;

		build(272, 4, 0xc0, faults[i].without, faults[i].with);
		rc = decode();
		if (!ok(rc == faults[i].rc && answer.rc == rc && answer.message != NULL &&
				failed_is(faults[i].failed, faults[i].missing),
			faults[i].name))
			printf("# got %s, failed %u: %" PRIu32 ", '%s'\n", gy_rc_name(rc),
			       answer.n_failed, answer.failed[0].code,
			       answer.message ? answer.message : "");
	}
}

/* --- header and routing (G-05, G-06) --------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t command, application;
	uint8_t flags;
	const char *without, *with;
	enum gy_rc rc;
} routes[] = {
	{ "TC-07 application 99", 272, 99, 0xc0, "", "", GY_APPLICATION_UNSUPPORTED },
	{ "application 0", 272, 0, 0xc0, "", "", GY_APPLICATION_UNSUPPORTED },
	{ "TC-07 command 999", 999, 4, 0xc0, "", "", GY_COMMAND_UNSUPPORTED },
	{ "TC-07 R and E", 272, 4, 0xe0, "", "", GY_INVALID_HDR_BITS },
	{ "TC-07 Route-Record names us", 272, 4, 0xc0, "", "282=\"OCS1.spec.test\"",
	  GY_LOOP_DETECTED },
	{ "Route-Record of others", 272, 4, 0xc0, "", "282=\"dra.spec.test\"", GY_OK },
	{ "TC-06 other realm", 272, 4, 0xc0, "283", "283=\"other.test\"", GY_REALM_NOT_SERVED },
	{ "our realm in other case", 272, 4, 0xc0, "283", "283=\"SPEC.test\"", GY_OK },
	{ "other host, our realm", 272, 4, 0xc0, "", "293=\"ocs2.spec.test\"",
	  GY_UNABLE_TO_DELIVER },
	{ "other host, other realm", 272, 4, 0xc0, "283", "283=\"o.test\" 293=\"x.o.test\"",
	  GY_REALM_NOT_SERVED },
	{ "our host", 272, 4, 0xc0, "", "293=\"ocs1.spec.test\"", GY_OK },
	{ "our host, other realm", 272, 4, 0xc0, "283", "283=\"o.test\" 293=\"ocs1.spec.test\"",
	  GY_OK },
	{ "reserved header bits", 272, 4, 0xcf, "", "", GY_OK },
	{ "P clear", 272, 4, 0x80, "", "", GY_OK },
	{ "protocol errors before all others", 272, 99, 0xc0, "", "3999=x61 1#3=\"a\"",
	  GY_APPLICATION_UNSUPPORTED },
};

static void test_routes(void)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		enum gy_rc rc;

		build(routes[i].command, routes[i].application, routes[i].flags, routes[i].without,
		      routes[i].with);
		rc = decode();
		if (!ok(rc == routes[i].rc, routes[i].name))
			printf("# got %s\n", gy_rc_name(rc));
	}
}

/* --- what is tolerated ---------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	const char *without, *with;
} tolerated[] = {
	{ "TC-14 unknown AVP without M", "", "3999~=x61626364" },
	{ "unknown M AVP inside an unknown group without M", "", "3999~={3998=x61}" },
	{ "unknown AVP without M in MSCC", "456", "456={432=u10 3999~=x61}" },
	{ "known AVP of wrong length without M that nobody uses", "", "2050@10415~=x01" },
	{ "broken group without M that nobody uses", "", "458~=x0001" },
	{ "3GPP-Charging-Id of 8 octets", "", "873@10415={874@10415={2@10415=x0102030405060708}}" },
	{ "Auth-Application-Id inside Vendor-Specific-Application-Id only", "258",
	  "260={266=u10415 258=u4}" },
	{ "G-15 Session-Id last", "263", "263=\"a\"" },
	{ "G-12 Granted-Service-Unit in a CCR", "456", "456={431={421=U5} 432=u10}" },
	{ "Requested-Action outside an event", "", "436=u0" },
	{ "no identity in CCR-U", "443,416", "416=u2" },
	{ "no identity in CCR-T", "443,416", "416=u3 295=u1" },
	{ "unknown Subscription-Id-Type beside a known one", "", "443={450=u9 444=\"1\"}" },
	{ "Termination-Cause beyond the table", "416", "416=u3 295=u77" },
	{ "Proxy-Info with anything inside", "", "284={280=\"a\" 33=x00}" },
	{ "AVPs with the P bit", "416", "416p=u1" },
	{ "Event-Timestamp of 4 octets", "", "55=u3900000000" },
	{ "UTF-8 of 2, 3 and 4 octets", "461", "461=xc3a9e282acf09f9880" },
};

static void test_tolerated(void)
{
	for (size_t i = 0; i < sizeof(tolerated) / sizeof(tolerated[0]); i++)
		ok(good(tolerated[i].without, tolerated[i].with), tolerated[i].name);

	build(272, 4, 0xc0, "", "1~=\"a\"");
	message.len -= 3; /* the last AVP without its padding */
	ok(decode() == GY_OK, "last AVP without padding");
	build(272, 4, 0xc0, "", "");
	talloc_free(pool);
	pool = talloc_pool(NULL, 4096);
	ok(gy_envelope_read(pool, raw(), &node, &envelope, &answer) == GY_OK &&
		   gy_ccr_decode(pool, raw(), &envelope, (struct gy_bytes){ NULL, 0 }, &ccr,
				 &answer) == GY_OK,
	   "F10 any Origin-Host behind an agent");
}

/* --- values --------------------------------------------------------------------------------------
 */

static bool is(struct gy_bytes bytes, const char *text)
{
	return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static bool identity_is(unsigned i, enum gy_identity_kind kind, const char *value)
{
	return i < ccr.n_identities && ccr.identities[i].kind == kind &&
	       is(ccr.identities[i].value, value);
}

static void test_command_level(void)
{
	ok(good("", "") && is(ccr.session_id, "pgw1.spec.test;1;2") &&
		   is(ccr.origin_host, "pgw1.spec.test") && is(ccr.origin_realm, "spec.test") &&
		   is(ccr.service_context, "32251@3gpp.org") && ccr.type == GY_INITIAL &&
		   ccr.number == 0 && ccr.end_to_end == 0x22222222 && !ccr.retransmitted &&
		   ccr.action == GY_ACTION_NONE && !ccr.has_origin_state && !ccr.has_sub_session &&
		   ccr.termination_cause == 0 && !ccr.multiple_services,
	   "a plain CCR-I");
	ok(good("416,415", "416=u3 415=u4294967295 278=u7 295=u4 455=u1 419=U9 436=u1") &&
		   ccr.type == GY_TERMINATION && ccr.number == UINT32_MAX && ccr.has_origin_state &&
		   ccr.origin_state == 7 && ccr.termination_cause == 4 && ccr.multiple_services &&
		   ccr.has_sub_session && ccr.sub_session == 9 && ccr.action == GY_REFUND_ACCOUNT,
	   "all single values");
	ok(good("", "455=u0") && !ccr.multiple_services, "Multiple-Services-Indicator 0");
	build(272, 4, 0xd0, "", "");
	ok(decode() == GY_OK && ccr.retransmitted, "T bit");
	ok(good("", "419=U9 50=\"multi\" 284={280=\"a\" 33=x01} 284={280=\"b\" 33=x02}") &&
		   envelope.n_proxies == 2 && envelope.proxies[0].len == 32 &&
		   envelope.acct_multi_session_id.len == 13 && envelope.has_sub_session &&
		   envelope.sub_session == 9 && envelope.has_type && envelope.type == 1 &&
		   envelope.has_number,
	   "the envelope: Proxy-Info in order, sub-session, multi-session");
}

static void test_identities(void)
{
	ok(good("", "") && ccr.n_identities == 1 &&
		   identity_is(0, GY_IDENTITY_IMSI, "460001000000001"),
	   "TC-24 IMSI");
	ok(good("443", "443={450=u0 444=\"+8613800000001\"}") &&
		   identity_is(0, GY_IDENTITY_E164, "8613800000001"),
	   "TC-24 E164 with '+'");
	ok(good("443", "443={444=\"8613800000001\" 450=u0}") &&
		   identity_is(0, GY_IDENTITY_E164, "8613800000001"),
	   "TC-24 E164, data before type");
	ok(good("443", "1=\"someone\"") && identity_is(0, GY_IDENTITY_USER_NAME, "someone"),
	   "TC-24 User-Name");
	ok(good("443", "1=\"u\" 443={450=u2 444=\"sip:a\"} 443={450=u4 444=\"p\"} "
		       "443={450=u3 444=\"n\"} 443={450=u0 444=\"1\"} 443={450=u1 444=\"2\"}") &&
		   ccr.n_identities == 6 && identity_is(0, GY_IDENTITY_IMSI, "2") &&
		   identity_is(1, GY_IDENTITY_E164, "1") && identity_is(2, GY_IDENTITY_NAI, "n") &&
		   identity_is(3, GY_IDENTITY_PRIVATE, "p") &&
		   identity_is(4, GY_IDENTITY_SIP_URI, "sip:a") &&
		   identity_is(5, GY_IDENTITY_USER_NAME, "u"),
	   "G-16 order of kinds");
	ok(good("443", "873@10415={443={450=u1 444=\"9\"}} 1=\"u\" 659~={660~=\"5\" 661~=\"4\"}") &&
		   ccr.n_identities == 4 && identity_is(0, GY_IDENTITY_IMSI, "4") &&
		   identity_is(1, GY_IDENTITY_E164, "5") &&
		   identity_is(2, GY_IDENTITY_USER_NAME, "u") &&
		   identity_is(3, GY_IDENTITY_IMSI, "9"),
	   "G-16 order of places: extension, User-Name, Service-Information");
	ok(good("", "873@10415={443={450=u1 444=\"460001000000001\"}}") && ccr.n_identities == 1,
	   "the same identity twice counts once");
	ok(good("443", "443={450=u1 444=\"1\"}") && ccr.identities[0].avp.len > 8 &&
		   gy_get32(ccr.identities[0].avp.data) == 443,
	   "an identity remembers its whole AVP");
	build(272, 4, 0xc0, "443", "");
	for (unsigned i = 0; i <= GY_IDENTITIES_MAX; i++) {
		char text[64];

		snprintf(text, sizeof(text), "443={450=u1 444=\"46000%u\"}", i);
		message_add(&message, text);
	}
	ok(decode() == GY_AVP_OCCURS_TOO_MANY_TIMES, "more identities than the limit");
}

static void test_services(void)
{
	const struct gy_service *s;

	ok(good("456", "456={437={421=U5242880} 432=u10 439=u7 439=u3 "
		       "446={421=U1048576 872@10415=u0 452=u1} 446={420=u60} 872@10415=u4} "
		       "456={439=u9}") &&
		   ccr.n_services == 2 && !ccr.services_at_command_level,
	   "two MSCCs");
	s = ccr.services;
	ok(s->has_rating_group && s->rating_group == 10 && s->n_service_ids == 2 &&
		   s->service_ids[0] == 7 && s->service_ids[1] == 3 &&
		   s->service_key == gy_service_key(s->service_ids, 2) && s->service_key < 0,
	   "G-44 Rating-Group and Service-Identifiers, in order");
	ok(s->requested && s->requested_present[GY_UNIT_OCTETS] &&
		   s->requested_count[GY_UNIT_OCTETS] == 5242880 &&
		   !s->requested_present[GY_UNIT_SECONDS],
	   "Requested-Service-Unit");
	ok(s->n_used == 2 && s->used[0].count[GY_UNIT_OCTETS] == 1048576 &&
		   s->used[0].tariff_change == GY_TCU_AFTER &&
		   s->used[1].count[GY_UNIT_SECONDS] == 60 &&
		   s->used[1].tariff_change == GY_TCU_ABSENT && !s->used[1].present[GY_UNIT_OCTETS],
	   "Used-Service-Units");
	ok(s->reasons == (1u << GY_REASON_THRESHOLD | 1u << GY_REASON_VALIDITY_TIME),
	   "G-53 reasons at both places");
	ok(!s[1].has_rating_group && s[1].n_service_ids == 1 && s[1].service_key == 10 &&
		   !s[1].requested && s[1].reasons == 0,
	   "a service without Rating-Group");
	ok(good("456", "456={432=u1 872@10415=u55}") &&
		   ccr.services[0].reasons == 1u << GY_REASON_OTHER,
	   "G-11 an unknown Reporting-Reason is \"other\"");
	ok(good("456", "456={446={421=U3 412=U1 414=U2}}") &&
		   ccr.services[0].used[0].count[GY_UNIT_OCTETS] == 3,
	   "TC-52 the total wins over its parts");
	ok(good("456", "456={446={412=U1 414=U2}}") &&
		   ccr.services[0].used[0].count[GY_UNIT_OCTETS] == 3 &&
		   ccr.services[0].used[0].present[GY_UNIT_OCTETS],
	   "TC-51 the parts alone are summed");
	ok(good("456", "456={446={412=U7}}") && ccr.services[0].used[0].count[GY_UNIT_OCTETS] == 7,
	   "one part alone");
	ok(good("456", "456={437={417=U3 420=u9}}") &&
		   ccr.services[0].requested_count[GY_UNIT_SERVICE] == 3 &&
		   ccr.services[0].requested_count[GY_UNIT_SECONDS] == 9,
	   "service units and seconds");
	ok(good("456", "456={}") && ccr.n_services == 1 && !ccr.services[0].requested,
	   "an empty MSCC");
	ok(good("456", "456={437={} 432=u1} 446={421=U1} 439=u5") && ccr.n_services == 1 &&
		   ccr.services[0].n_used == 0,
	   "beside MSCCs command-level units mean nothing");
}

static void test_money(void)
{
	static const struct {
		const char *value;
		int64_t micros;
	} values[] = {
		{ "447=I250 429=i-2", 2500000 },
		{ "447=I1", 1000000 },
		{ "447=I1 429=i-6", 1 },
		{ "447=I10 429=i-7", 1 },
		{ "447=I5 429=i3", INT64_C(5000000000) },
		{ "447=I0 429=i-99", 0 },
		{ "447=I0 429=i2000000000", 0 },
		{ "447=I1152921504606846976 429=i-6", GY_AMOUNT_MAX },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char text[128], name[160];

		snprintf(text, sizeof(text), "456={437={413={445={%s} 425=u156}}}",
			 values[i].value);
		snprintf(name, sizeof(name), "money {%s}", values[i].value);
		ok(good("456", text) &&
			   ccr.services[0].requested_count[GY_UNIT_MONEY] == values[i].micros,
		   name);
	}
}

static void test_units_at_command_level(void)
{
	ok(good("456", "437={417=U1} 439=u7 446={417=U2 872@10415=u2}") &&
		   ccr.services_at_command_level && ccr.n_services == 1 &&
		   ccr.services[0].requested_count[GY_UNIT_SERVICE] == 1 &&
		   ccr.services[0].n_service_ids == 1 && ccr.services[0].service_ids[0] == 7 &&
		   ccr.services[0].service_key == 8 && ccr.services[0].n_used == 1 &&
		   ccr.services[0].used[0].count[GY_UNIT_SERVICE] == 2,
	   "G-78 units at command level are one service");
	ok(good("456", "") && ccr.n_services == 0 && ccr.services_at_command_level,
	   "G-45 no units at all");
}

static void test_conditions(void)
{
	ok(good("", "873@10415={874@10415={30=\"internet\" 18@10415=\"46000\" 21@10415=x06 "
		    "22@10415=x8264f0 23@10415=x0000 13@10415=\"0800\" 1004@10415=\"gold\"}}") &&
		   is(ccr.conditions.apn, "internet") &&
		   is(ccr.conditions.serving_mcc_mnc, "46000") &&
		   is(ccr.conditions.rat_type, "\6") && ccr.conditions.location.len == 3 &&
		   ccr.conditions.time_zone.len == 2 &&
		   is(ccr.conditions.charging_characteristics, "0800") &&
		   is(ccr.conditions.rule_base, "gold"),
	   "rating inputs of PS-Information");
	ok(good("", "") && ccr.conditions.apn.data == NULL, "no Service-Information");
}

static uint64_t hash_of(const char *without, const char *with)
{
	return good(without, with) ? ccr.content_hash : 0;
}

static void test_hashes(void)
{
	uint64_t plain = hash_of("", "");
	struct gy_session_key a, b;

	ok(plain != 0 && plain == hash_of("", "284={280=\"a\" 33=x01} 282=\"dra.spec.test\" "
					      "293=\"ocs1.spec.test\" 55=u5 278=u9"),
	   "G-86 hops and time don't change the content");
	ok(plain != hash_of("456", "456={437={} 432=u11}"), "G-86 another Rating-Group does");
	ok(plain != hash_of("", "1=\"a\""), "G-86 one AVP more does");
	ok(hash_of("456", "282=\"x\" 456={432=u1}") == hash_of("456", "456={432=u1} 282=\"x\""),
	   "G-86 wherever the hop stands");
	(void)good("", "");
	a = ccr.session;
	(void)good("", "419=U0");
	b = ccr.session;
	ok((a.hi != b.hi || a.lo != b.lo), "a sub-session is another session");
	a = gy_session_key((struct gy_bytes)HEX("pgw1.spec.test;1;2"), true, 0);
	ok(a.hi == b.hi && a.lo == b.lo, "the key is that of session_key.h");
	/* Stored in every database: a change of the function must not go unseen. */
	a = gy_session_key((struct gy_bytes)HEX("session"), true, 0x0102030405060708);
	b = gy_session_key((struct gy_bytes)HEX("session\1\2\3\4\5\6\7\10"), false, 0);
	ok(a.hi == b.hi && a.lo == b.lo, "sub-session: eight octets, most significant first");
}

static void test_limits(void)
{
	build(272, 4, 0xc0, "456", "");
	for (unsigned i = 0; i < GY_SERVICES_MAX; i++)
		message_add(&message, "456={432=u1}");
	ok(decode() == GY_OK && ccr.n_services == GY_SERVICES_MAX, "256 MSCCs");
	message_add(&message, "456={432=u2}");
	ok(decode() == GY_AVP_OCCURS_TOO_MANY_TIMES && answer.failed[0].code == 456, "257 MSCCs");
	build(272, 4, 0xc0, "263", "");
	char text[GY_SESSION_ID_MAX + 8] = "263=\"";
	memset(text + 5, 'x', GY_SESSION_ID_MAX + 1);
	memcpy(text + 5 + GY_SESSION_ID_MAX, "\"", 2);
	message_add(&message, text);
	ok(decode() == GY_OK, "a Session-Id of 512 octets");
	memcpy(text + 5 + GY_SESSION_ID_MAX, "x\"", 3);
	build(272, 4, 0xc0, "263", text);
	ok(decode() == GY_INVALID_AVP_VALUE, "a Session-Id of 513");
	char deep[40 * 8] = "", *p = deep;
	for (unsigned i = 0; i < 30; i++)
		p += snprintf(p, (size_t)(deep + sizeof(deep) - p), "279={");
	memset(p, '}', 30);
	build(272, 4, 0xc0, "", deep);
	ok(decode() == GY_INVALID_AVP_VALUE, "30 groups in each other");
	message_start(&message, 272, 4, 0xc0);
	ok(decode() == GY_MISSING_AVP, "a header alone");
}

/* Own AVPs: what they ask, and what is wrong with them, which never fails the request itself. */
static void test_card_order(void)
{
	static const struct {
		const char *with;
		enum gy_rc rc;
		const char *failed; /* "": zero-filled */
	} rows[] = {
		{ "1@32473~=u5", GY_OK, NOTHING },
		{ "1@32473~=u6", GY_INVALID_AVP_VALUE, "1@32473~=u6" },
		{ "1@32473~=u0 1@32473~=u1", GY_AVP_OCCURS_TOO_MANY_TIMES, "1@32473~=u1" },
		{ "1@32473~=x00", GY_INVALID_AVP_LENGTH, "1@32473~=x00" },
		{ "2@32473~=\"p\"", GY_MISSING_AVP, "" },
		{ "1@32473~=u0 2@32473~=\"\"", GY_INVALID_AVP_VALUE, "2@32473~=\"\"" },
		{ "1@32473~=u0 3@32473~=xff", GY_INVALID_AVP_VALUE, "3@32473~=xff" },
		{ "1@32473~=u0 4@32473~=x6100", GY_INVALID_AVP_VALUE, "4@32473~=x6100" },
		{ "1@32473~=u0 5@32473~=u2", GY_INVALID_AVP_VALUE, "5@32473~=u2" },
		{ "1@32473~=u0 6@32473~={9@32473~=xe4}", GY_INVALID_AVP_VALUE, "9@32473~=xe4" },
		{ "1@32473~=u0 6@32473~={7@32473~=\"a\" 7@32473~=\"b\"}",
		  GY_AVP_OCCURS_TOO_MANY_TIMES, "7@32473~=\"b\"" },
		{ "1@32473~=u0 11@32473~=U1", GY_INVALID_AVP_LENGTH, "11@32473~=U1" },
		{ "1@32473~=u0 13@32473~={}", GY_MISSING_AVP, "" },
		{ "1@32473~=u0 13@32473~={443={450=u9 444=\"1\"}}", GY_INVALID_AVP_VALUE,
		  "13@32473~={443={450=u9 444=\"1\"}}" },
		{ "1@32473~=u0 13@32473~={443={450=u0 444=\"+\"}}", GY_INVALID_AVP_VALUE,
		  "13@32473~={443={450=u0 444=\"+\"}}" },
		{ "1@32473~=u0 10@32473~=u1 12@32473~=x00", GY_OK, NOTHING }, /* of answers */
	};
	const struct gy_card_order *order;
	uint8_t bytes[256];

	build(272, 4, 0xc0, "", "");
	ok(decode() == GY_OK && ccr.card_order == NULL, "no own AVP, no order");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = rows[i].failed[0] != '-'
				   ? notation_write(rows[i].failed, bytes, sizeof(bytes))
				   : 0;

		build(272, 4, 0xc0, "", rows[i].with);
		bool good = decode() == GY_OK && ccr.card_order != NULL;
		order = ccr.card_order;
		struct gy_bytes avp = { NULL, 0 };
		if (good && order->fault.n_failed == 1)
			avp = order->fault.failed[0].avp;
		if (good && rows[i].rc == GY_OK)
			good = order->fault.rc == GY_OK;
		else if (good)
			good = order->fault.rc == rows[i].rc && order->fault.n_failed == 1 &&
			       ((avp.len + 3) & ~(size_t)3) == n &&
			       memcmp(avp.len > 0 ? avp.data : bytes, bytes, avp.len) == 0;
		ok(good, rows[i].with);
	}
	build(272, 4, 0xc0, "",
	      "1@32473~=u1 4@32473~=\"c7\" 11@32473~=u9 13@32473~={443={450=u0 444=\"+861\"}} "
	      "6@32473~={7@32473~=\"a\"} 6@32473~={8@32473~=\"u\" 9@32473~=\"f\"} 3999~=x00");
	ok(decode() == GY_OK, "a whole order");
	order = ccr.card_order;
	ok(order->operation == GY_CARD_BIND && is(order->card, "c7") && order->priority == 9 &&
		   order->product.data == NULL && order->purchase.data == NULL,
	   "its operation, card and priority");
	ok(order->beneficiary.kind == GY_IDENTITY_E164 && is(order->beneficiary.value, "861"),
	   "its beneficiary, without the +");
	ok(order->n_directed == 2 && is(order->directed[0].app, "a") &&
		   order->directed[0].url.data == NULL && is(order->directed[1].url, "u") &&
		   is(order->directed[1].flow, "f"),
	   "its directed info");
}

static void test_overload(void)
{
	static const struct {
		const char *with;
		bool told;
	} rows[] = {
		{ "", false },
		{ "621~={622~=U1}", true },
		{ "621={622=U1}", true },
		{ "621~={}", true }, /* no vector: the loss algorithm (RFC 7683 §7.2) */
		{ "621~={622~=U3}", true },
		{ "621~={622~=U2}", false }, /* another algorithm only */
		{ "621~={622~=U0}", false },
		{ "621~={649~=\"dra1\" 622~=U1}", true },
		{ "621~={622~#9=U1}", false },
		{ "621~={622~=u1}", false },
		{ "621@10415~={622~=U1}", false },
		{ "279={621~={622~=U1}}", false }, /* not of the command */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[80];

		build(272, 4, 0xc0, "", rows[i].with);
		(void)!decode();
		snprintf(name, sizeof(name), "G-95 %s by %s", rows[i].told ? "told" : "not told",
			 rows[i].with[0] ? rows[i].with : "nothing");
		ok(envelope.overload_reports == rows[i].told, name);
	}
}

int main(void)
{
	test_faults();
	test_routes();
	test_tolerated();
	test_command_level();
	test_identities();
	test_services();
	test_money();
	test_units_at_command_level();
	test_conditions();
	test_hashes();
	test_limits();
	test_card_order();
	test_overload();
	talloc_free(pool);
	return tap_end();
}
