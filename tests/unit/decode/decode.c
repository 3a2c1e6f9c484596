/* The decoder against spec/gy.md G-05…G-15 and F3, F10: what is a fault, where a request goes, what
 * is tolerated.
 *
 * Faults are compared with Result-Code and the very bytes of Failed-AVP. */
#include "tests/unit/decode/request.h"

/* --- faults ---------------------------------------------------------------------------------- */

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
	{ "P17 Origin-Realm of somebody else", "296", "296=\"other.test\"", GY_INVALID_AVP_VALUE,
	  "296=\"other.test\"", 0 },
	{ "P17 one that its host's name only ends with", "296", "296=\"ec.test\"",
	  GY_INVALID_AVP_VALUE, "296=\"ec.test\"", 0 },
	{ "P17 its host's name", "296", "296=\"pgw1.spec.test\"", GY_INVALID_AVP_VALUE,
	  "296=\"pgw1.spec.test\"", 0 },
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
	{ "two APNs", "", "873@10415={874@10415={30=\"internet\" 30=\"ims\"}}",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "30=\"ims\"", 0 },
	{ "two RATs", "", "873@10415={874@10415={21@10415=x06 21@10415=x01}}",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "21@10415=x01", 0 },
	{ "two Session-Ids", "", "263=\"x\"", GY_AVP_OCCURS_TOO_MANY_TIMES, "263=\"x\"", 0 },
	{ "two Service-Contexts", "", "461=\"x\"", GY_AVP_OCCURS_TOO_MANY_TIMES, "461=\"x\"", 0 },
	{ "a second Origin-Host that differs", "", "264=\"PGW1.spec.test\"",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "264=\"PGW1.spec.test\"", 0 },
	{ "a third Origin-Realm that differs", "", "296=\"spec.test\" 296=\"spec.tes\"",
	  GY_AVP_OCCURS_TOO_MANY_TIMES, "296=\"spec.tes\"", 0 },
	{ "an Origin-Host of somebody else, twice", "264",
	  "264=\"pgw2.spec.test\" 264=\"pgw2.spec.test\"", GY_INVALID_AVP_VALUE,
	  "264=\"pgw2.spec.test\"", 0 },
	{ "two equal Destination-Realms", "", "283=\"spec.test\"", GY_AVP_OCCURS_TOO_MANY_TIMES,
	  "283=\"spec.test\"", 0 },
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
	{ "the Origin told twice, in the same octets", "",
	  "264=\"pgw1.spec.test\" 296=\"spec.test\" 264=\"pgw1.spec.test\"" },
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
		   gy_ccr_decode(pool, raw(), &envelope, &(struct gy_decode_terms){ 0 }, &ccr,
				 &answer) == GY_OK,
	   "F10 any Origin-Host behind an agent");
}

int main(void)
{
	test_faults();
	test_routes();
	test_tolerated();
	talloc_free(pool);
	return tap_end();
}
