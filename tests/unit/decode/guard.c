/* acl_gyro's verdicts: what may reach freeDiameter's parser (F1, F3, F9, F11, F12), what is
 * carried. */
#include <string.h>

#include "extensions/acl_gyro/judge.h"
#include "extensions/app_gyro/wire.h"
#include "tests/unit/decode/notation.h"
#include "tests/unit/decode/tap.h"

#define REQUEST 0x80
#define ORIGIN  "264=\"pgw1.spec.test\" 296=\"spec.test\" "
#define CER     ORIGIN "257=x00017f000001 266=u0 269~=\"sim\" 258=u4 "

static const struct {
	const char *name;
	uint32_t command, application;
	uint8_t flags;
	const char *avps;
	enum guard_verdict verdict;
} cases[] = {
	{ "a CER", 257, 0, REQUEST, CER "260={266=u10415 258=u4}", GUARD_PASS },
	{ "a DWR", 280, 0, REQUEST, ORIGIN "278=u1", GUARD_PASS },
	{ "a DPR", 282, 0, REQUEST, ORIGIN "273=u0", GUARD_PASS },
	{ "a DWA", 280, 0, 0, "268=u2001 " ORIGIN, GUARD_PASS },
	{ "an RAA", 258, 4, 0x40, "263=\"s\" 268=u2001 " ORIGIN, GUARD_PASS },
	{ "a CCR", 272, 4, 0xc0, "263=\"s\"", GUARD_CARRY },
	{ "a CCR with broken AVPs", 272, 4, 0xc0, "263#3=\"s\" 284=x00", GUARD_CARRY },
	{ "a request of no application of ours", 316, 16777251, 0xc0, "", GUARD_CARRY },
	{ "CER for another application id is no CER", 257, 4, REQUEST, CER, GUARD_CARRY },
	{ "DWR with the P bit is routable", 280, 0, 0xc0, ORIGIN, GUARD_CARRY },
	{ "an unknown base command", 283, 0, REQUEST, ORIGIN, GUARD_CARRY },
	{ "AVP length 0 in a CER", 257, 0, REQUEST, CER "299#0=u0", GUARD_REFUSE },
	{ "AVP length 7 in a DWR", 280, 0, REQUEST, ORIGIN "3999~#7=x00", GUARD_REFUSE },
	{ "vendor AVP length 11 in a DWR", 280, 0, REQUEST, ORIGIN "1@10415~#11=x00",
	  GUARD_REFUSE },
	{ "AVP length beyond the message", 280, 0, REQUEST, ORIGIN "278#99=u1", GUARD_REFUSE },
	{ "bad length in a group", 257, 0, REQUEST, CER "279={278#4=u1}", GUARD_REFUSE },
	{ "bad length in an answer", 280, 0, 0, ORIGIN "268#9=u2001 278#3=u1", GUARD_REFUSE },
	{ "V bit without a vendor", 280, 0, REQUEST, ORIGIN "279=x000000018000000c00000000",
	  GUARD_REFUSE },
	{ "F9 empty Origin-Realm", 257, 0, REQUEST, "264=\"a\" 296=\"\"", GUARD_REFUSE },
	{ "F9 empty Origin-Host", 257, 0, REQUEST, "264=\"\" 296=\"a\"", GUARD_REFUSE },
	{ "F11 Proxy-Info in a DWR", 280, 0, REQUEST, ORIGIN "284={280=\"a\" 33=x00}",
	  GUARD_REFUSE },
	{ "F3 Session-Id in a DWR", 280, 0, REQUEST, ORIGIN "263=\"s\"", GUARD_REFUSE },
	{ "F3 NUL in an answer's Session-Id", 258, 4, 0x40, "263=x610062 268=u2001", GUARD_REFUSE },
	{ "empty Session-Id in an answer", 258, 4, 0x40, "263=\"\" 268=u2001", GUARD_REFUSE },
	{ "F12 unknown AVP in VSAI", 257, 0, REQUEST, CER "260={266=u1 258=u4 3999~=x00}",
	  GUARD_REFUSE },
	{ "F12 group in VSAI", 257, 0, REQUEST, CER "260={266=u1 258=u4 279={}}", GUARD_REFUSE },
	{ "F12 3 octets in VSAI", 257, 0, REQUEST, CER "260={266=x000001 258=u4}", GUARD_REFUSE },
	{ "F12 in a CEA", 257, 0, 0, "268=u2001 " CER "260={3999~=x00}", GUARD_REFUSE },
	{ "unknown AVP without M in a CER", 257, 0, REQUEST, CER "3999~=x00", GUARD_PASS },
};

/* Who says so in a CER; nobody: "". */
static bool says(uint32_t command, uint32_t application, uint8_t flags, const char *avps,
		 const char *host)
{
	static struct message message;
	struct gy_bytes found;

	message_start(&message, command, application, flags);
	message_add(&message, avps);
	found = guard_cer_host((struct gy_bytes){ message.data, message.len });
	return found.len == strlen(host) &&
	       (found.len == 0 || memcmp(found.data, host, found.len) == 0);
}

int main(void)
{
	static struct message message;
	char deep[30 * 5 + 31] = "", *p = deep;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum guard_verdict verdict;

		message_start(&message, cases[i].command, cases[i].application, cases[i].flags);
		message_add(&message, cases[i].avps);
		verdict = guard_judge((struct gy_bytes){ message.data, message.len });
		if (!ok(verdict == cases[i].verdict, cases[i].name))
			printf("# got %d\n", verdict);
	}
	for (unsigned i = 0; i < 30; i++)
		p += snprintf(p, 6, "279={");
	memset(p, '}', 30);
	message_start(&message, 280, 0, REQUEST);
	message_add(&message, deep);
	ok(guard_judge((struct gy_bytes){ message.data, message.len }) == GUARD_REFUSE,
	   "30 groups in each other");
	ok(guard_judge((struct gy_bytes){ message.data, 19 }) == GUARD_PASS,
	   "less than a header is left to freeDiameter");
	message_start(&message, 272, 4, 0xc0);
	message_add(&message, "263=\"s\" 268=u1");
	ok(guard_judge((struct gy_bytes){ message.data, message.len - 4 }) == GUARD_REFUSE,
	   "SCTP: shorter than its header says");
	message.data[3] = (uint8_t)(message.data[3] - 12);
	ok(guard_judge((struct gy_bytes){ message.data, message.len }) == GUARD_REFUSE,
	   "SCTP: longer than its header says");
	ok(says(257, 0, REQUEST, CER, "pgw1.spec.test"), "the Origin-Host of a CER");
	ok(says(257, 0, REQUEST, "269~=\"sim\" 264=\"a\" 264=\"b\"", "a"),
	   "the first one, wherever");
	ok(says(257, 0, REQUEST, "264@10415~=\"a\"", ""), "a CER without Origin-Host");
	ok(says(257, 0, 0, CER, ""), "a CEA is none");
	ok(says(257, 4, REQUEST, CER, ""), "nor is a CER of an application");
	ok(says(280, 0, REQUEST, ORIGIN, ""), "nor a DWR");
	ok(guard_cer_host((struct gy_bytes){ message.data, 19 }).len == 0,
	   "nor less than a header");
	return tap_end();
}
