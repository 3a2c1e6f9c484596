/* The decoder against spec/gy.md G-16, G-17, G-31, G-41, G-44, G-53, G-73, G-86: what a request
 * says. */
#include "tests/unit/decode/request.h"

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
	ok(good("443", "873@10415={443={450=u1 444=\"9\"}} 443={450=u0 444=\"5\"} "
		       "443={450=u1 444=\"9\"}") &&
		   ccr.n_identities == 2 && identity_is(0, GY_IDENTITY_IMSI, "9") &&
		   identity_is(1, GY_IDENTITY_E164, "5"),
	   "G-15, G-16 in its better place, whichever comes first");
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
	ok(good("456", "456={437={412=U4 414=U2}}") &&
		   ccr.services[0].requested_count[GY_UNIT_OCTETS] == 6 &&
		   ccr.services[0].requested_directions ==
			   (GY_DIRECTION_INPUT | GY_DIRECTION_OUTPUT) &&
		   ccr.services[0].requested_input == 4,
	   "G-39 octets by direction");
	ok(good("456", "456={437={421=U6 412=U4 414=U2}}") &&
		   ccr.services[0].requested_count[GY_UNIT_OCTETS] == 6 &&
		   ccr.services[0].requested_directions == 0,
	   "and in total");
	ok(good("456", "456={437={413={445={447=I1} 425=u840}}}") &&
		   ccr.services[0].requested_currency.code == 840 &&
		   ccr.services[0].requested_currency.avp.len == 12 &&
		   gy_get32(ccr.services[0].requested_currency.avp.data) == 425,
	   "G-74 the currency asked for, and its AVP");
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

static void test_correlation(void)
{
	ok(good("", "") && ccr.correlation.len == 0, "G-31 nothing said, nothing kept");
	ok(good("416", "416=u3 295=u4") && is(ccr.correlation, "cause 4\n"),
	   "G-31 Termination-Cause");
	ok(good("", "50=\"multi;1\" 411~=x00ff0a") &&
		   is(ccr.correlation, "correlation 00ff0a\nmulti multi;1\n"),
	   "G-31 CC-Correlation-Id in hex, Acct-Multi-Session-Id as it is");
	ok(good("", "50=xc3a920") && is(ccr.correlation, "multi \xc3\xa9 \n"), "G-31 UTF-8");
	ok(good("", "50~=x610a62") && is(ccr.correlation, "multi-hex 610a62\n"),
	   "G-31 what would end the line is kept in hex");
	ok(good("", "50~=x00") && is(ccr.correlation, "multi-hex 00\n"), "G-31 so is a NUL");
	ok(good("", "50~=xff") && is(ccr.correlation, "multi-hex ff\n"), "G-31 and bad UTF-8");
	ok(good("", "411~=x 50~=\"\"") && is(ccr.correlation, "correlation \nmulti \n"),
	   "G-31 empty values");

	char text[2 * GY_CORRELATION_MAX] = "50=\"";
	memset(text + 4, 'x', GY_CORRELATION_MAX + 1);
	memcpy(text + 5 + GY_CORRELATION_MAX, "\"", 2);
	ok(good("", text) && ccr.correlation.len == strlen("multi \n") + GY_CORRELATION_MAX,
	   "G-31 a very long one is cut");
}

#define REFUND "2022@10415=x01020000000000070102030405060708000000000000000a"

static void test_refund(void)
{
	static const char *const wrong[] = {
		"2022@10415=x02020000000000070102030405060708000000000000000a",
		"2022@10415=x01020100000000070102030405060708000000000000000a",
		"2022@10415=x01020000008000000102030405060708000000000000000a",
		"2022@10415=x0102000000000007010203040506070800000000000000",
		"2022@10415=x01020000000000070102030405060708000000000000000a00",
		"2022@10415=\"\"",
	};
	struct gy_session_key plain;
	char text[256];

	(void)good("", "");
	plain = ccr.session;
	ok(good("416,456", "416=u4 436=u1 456={432=u90 " REFUND "}") && ccr.refund.bound &&
		   ccr.refund.number == 7 && ccr.refund.place == 2 &&
		   ccr.session.hi == UINT64_C(0x0102030405060708) && ccr.session.lo == 10 &&
		   ccr.number == (1u << 31 | 2u << 23 | 7),
	   "G-75 a refund that names a debit");
	ok(good("416,456", "416=u4 436=u0 456={432=u90 " REFUND "}") && !ccr.refund.bound &&
		   ccr.session.hi == plain.hi && ccr.number == 0,
	   "G-75 a debit that does: means nothing");
	ok(good("456", "456={432=u10 " REFUND "}") && !ccr.refund.bound &&
		   ccr.session.hi == plain.hi,
	   "G-75 nor in a session");
	ok(good("416,456", "416=u4 436=u1 456={432=u90}") && !ccr.refund.bound,
	   "G-75 a refund that names none");
	ok(!good("416,456", "416=u4 436=u1 456={432=u90 " REFUND "} 456={432=u91}") &&
		   answer.rc == GY_INVALID_AVP_VALUE && answer.failed[0].code == 2022 &&
		   answer.failed[0].vendor == 10415,
	   "G-75 beside another service");
	ok(!good("416,456", "416=u4 436=u1 456={432=u90 " REFUND " " REFUND "}") &&
		   answer.rc == GY_AVP_OCCURS_TOO_MANY_TIMES,
	   "G-75 two in one service");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "416=u4 436=u1 456={432=u90 %s}", wrong[i]);
		ok(!good("416,456", text) && answer.rc == GY_INVALID_AVP_VALUE &&
			   answer.failed[0].code == 2022,
		   "G-75 one that we didn't make");
	}
}

/* lenient_unknown_mandatory: for AVPs of 3GPP inside Service-Information, nowhere else. */
static void test_lenient(void)
{
	static const char *const inside[] = {
		"873@10415={9998@10415=x61}",
		"873@10415={874@10415={9998@10415=x61 9999@10415={1=x}}}",
	};
	static const char *const outside[] = {
		"9998@10415=x61",
		"873@10415={3998=x62}",
		"873@10415={9998@99999=x61}",
		"873@10415={874@10415={9998@99999=x61}}",
		"873@10415={} 9998@10415=x61",
	};

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		ok(!good("", inside[i]) && answer.rc == GY_AVP_UNSUPPORTED,
		   "G-09 unknown and mandatory in Service-Information: refused");
		terms.lenient_unknown_mandatory = true;
		ok(good("", inside[i]), "G-09 the same, with the lenient setting: passed over");
		terms.lenient_unknown_mandatory = false;
	}
	terms.lenient_unknown_mandatory = true;
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		ok(!good("", outside[i]) && answer.rc == GY_AVP_UNSUPPORTED,
		   "G-09 not 3GPP's, or not inside: refused all the same");
	ok(!good("456", "873@10415={} 456={432=u10 9998@10415=x61}") &&
		   answer.rc == GY_AVP_UNSUPPORTED,
	   "G-09 nor in a service");
	terms.lenient_unknown_mandatory = false;
}

static void test_realm(void)
{
	ok(good("296", "296=\"TEST\"") && is(ccr.origin_realm, "TEST"),
	   "P17 a realm that the host lies in, in other letters");
	terms.origin_realm = (struct gy_bytes)HEX("epc.test");
	ok(good("296", "296=\"EPC.test\"") && is(ccr.origin_realm, "EPC.test"),
	   "P17 the realm that the configuration says");
	ok(!good("296", "296=\"spec.test\"") && answer.rc == GY_INVALID_AVP_VALUE,
	   "P17 and no other");
	terms.origin_realm = (struct gy_bytes){ NULL, 0 };
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
					      "293=\"ocs1.spec.test\" 55=u5 278=u9 301~=u3 "
					      "621~={622~=U1} 650~={}"),
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
	test_command_level();
	test_identities();
	test_services();
	test_money();
	test_units_at_command_level();
	test_conditions();
	test_correlation();
	test_refund();
	test_lenient();
	test_realm();
	test_hashes();
	test_limits();
	test_card_order();
	test_overload();
	talloc_free(pool);
	return tap_end();
}
