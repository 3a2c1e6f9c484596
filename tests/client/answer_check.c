/* What every answer has to look like, whatever it says: the rules of form of spec/gy.md.
 *
 * It looks at bytes that were sent and bytes that came, both through libfdproto; the expectations
 * of a single test are case_match.c's. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"
#include "tests/client/reply.h"

#define IETF 0
#define TGPP GY_VENDOR_3GPP

struct look {
	struct msg *request, *reply;
	const struct msg_hdr *asked, *given;
	int64_t code;
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3))) static bool fault(struct look *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(l->why, l->why_size, format, args);
	va_end(args);
	return false;
}

static unsigned count(msg_or_avp *parent, uint32_t vendor, uint32_t code)
{
	unsigned n = 0;

	for (struct avp *a = gy_avp_first(parent); a; a = gy_avp_next(a))
		n += gy_avp_is(a, vendor, code);
	return n;
}

/* ---- the header (G-06, G-07, G-13) ---- */

static bool header_conforms(struct look *l)
{
	uint8_t flags = l->given->msg_flags;

	if (l->given->msg_code != l->asked->msg_code || l->given->msg_appl != l->asked->msg_appl)
		return fault(l, "command or application is not the request's");
	if (l->given->msg_eteid != l->asked->msg_eteid ||
	    l->given->msg_hbhid != l->asked->msg_hbhid)
		return fault(l, "End-to-End or Hop-by-Hop Identifier is not the request's");
	if (flags & CMD_FLAG_REQUEST)
		return fault(l, "the R bit is set in an answer");
	if (flags & CMD_FLAG_RETRANSMIT)
		return fault(l, "the T bit is set in an answer");
	if ((flags ^ l->asked->msg_flags) & CMD_FLAG_PROXIABLE)
		return fault(l, "the P bit is not the request's");
	if (((flags & CMD_FLAG_ERROR) != 0) != (l->code / 1000 == 3))
		return fault(l, "the E bit is %s with Result-Code %lld",
			     flags & CMD_FLAG_ERROR ? "set" : "clear", (long long)l->code);
	return true;
}

/* ---- each AVP by itself ---- */

/* Known, whole, flagged as the table says; and so what is inside. */
static bool avp_conforms(struct look *l, struct avp *avp)
{
	const struct gy_avp_def *def = gy_avp_find(gy_avp_vendor(avp), gy_avp_code(avp));
	uint8_t flags = gy_avp_flags(avp);

	if (!def)
		return fault(l, "AVP %u of vendor %u is unknown", gy_avp_code(avp),
			     gy_avp_vendor(avp));
	if (gy_avp_is(avp, IETF, GY_AVP_FAILED_AVP))
		return true; /* holds what was wrong */
	if (!gy_avp_is_read(avp))
		return fault(l, "%s is malformed", def->name);
	if ((def->m == GY_AVP_M_MUST && !(flags & GY_AVP_FLAG_M)) ||
	    (def->m == GY_AVP_M_MUST_NOT && (flags & GY_AVP_FLAG_M)))
		return fault(l, "the M bit of %s is %s", def->name,
			     flags & GY_AVP_FLAG_M ? "set" : "clear");
	if (def->type != GY_AVP_TYPE_GROUPED)
		return true;
	for (struct avp *a = gy_avp_first(avp); a; a = gy_avp_next(a))
		if (!avp_conforms(l, a))
			return false;
	return true;
}

static bool avps_conform(struct look *l)
{
	for (struct avp *a = gy_avp_first(l->reply); a; a = gy_avp_next(a))
		if (!avp_conforms(l, a))
			return false;
	return true;
}

/* ---- what the request decides ---- */

static bool same_string(struct avp *a, struct avp *b)
{
	size_t len_a, len_b;
	const char *text_a = gy_avp_string(a, &len_a), *text_b = gy_avp_string(b, &len_b);

	return text_a && text_b && len_a == len_b && memcmp(text_a, text_b, len_a) == 0;
}

/* Echoed if the request has exactly one, in good form. */
static bool number_echoed(struct look *l, uint32_t code, const char *name)
{
	int64_t asked = gy_avp_value_in(l->request, IETF, code, -1);
	int64_t given = gy_avp_value_in(l->reply, IETF, code, -1);

	if (asked < 0 || count(l->request, IETF, code) != 1 || given == asked)
		return true;
	if (given < 0)
		return fault(l, "%s is missing", name);
	return fault(l, "%s is %lld, in the request it was %lld", name, (long long)given,
		     (long long)asked);
}

static bool same_proxy(struct avp *a, struct avp *b)
{
	static const uint32_t codes[] = { GY_AVP_PROXY_HOST, GY_AVP_PROXY_STATE };

	for (int i = 0; i < 2; i++) {
		struct avp *in_a = gy_avp_find_in(a, IETF, codes[i]);
		struct avp *in_b = gy_avp_find_in(b, IETF, codes[i]);

		if (!in_a || !in_b || !same_string(in_a, in_b))
			return false;
	}
	return true;
}

static struct avp *next_proxy(struct avp *a)
{
	while (a && !gy_avp_is(a, IETF, GY_AVP_PROXY_INFO))
		a = gy_avp_next(a);
	return a;
}

static bool proxies_echoed(struct look *l)
{
	struct avp *a = next_proxy(gy_avp_first(l->request));
	struct avp *b = next_proxy(gy_avp_first(l->reply));

	while (a && b && same_proxy(a, b)) {
		a = next_proxy(gy_avp_next(a));
		b = next_proxy(gy_avp_next(b));
	}
	return a || b ? fault(l, "the Proxy-Infos are not the request's") : true;
}

static bool echoes_conform(struct look *l)
{
	struct avp *asked = gy_avp_find_in(l->request, IETF, GY_AVP_SESSION_ID);
	struct avp *first = gy_avp_first(l->reply);

	if (asked && gy_avp_is_read(asked) &&
	    (!first || !gy_avp_is(first, IETF, GY_AVP_SESSION_ID) || !same_string(asked, first)))
		return fault(l, "Session-Id does not stand first, or is not the request's");
	if (!proxies_echoed(l))
		return false;
	if (l->given->msg_flags & CMD_FLAG_ERROR)
		return true; /* the grammar of answer-message (RFC 6733 §7.2) */
	if (gy_avp_value_in(l->reply, IETF, GY_AVP_AUTH_APPLICATION_ID, -1) != 4)
		return fault(l, "Auth-Application-Id is not 4");
	return number_echoed(l, GY_AVP_CC_REQUEST_TYPE, "CC-Request-Type") &&
	       number_echoed(l, GY_AVP_CC_REQUEST_NUMBER, "CC-Request-Number") &&
	       number_echoed(l, GY_AVP_CC_SUB_SESSION_ID, "CC-Sub-Session-Id");
}

/* ---- the command ---- */

static bool wants_failed_avp(int64_t code)
{
	return code == 5001 || code == 5004 || code == 5005 || code == 5007 || code == 5009 ||
	       code == 5014;
}

static bool command_conforms(struct look *l)
{
	static const struct {
		uint32_t code;
		const char *name;
	} once[] = {
		{ GY_AVP_RESULT_CODE, "Result-Code" },
		{ GY_AVP_ORIGIN_HOST, "Origin-Host" },
		{ GY_AVP_ORIGIN_REALM, "Origin-Realm" },
	};
	struct avp *last = NULL;

	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (count(l->reply, IETF, once[i].code) != 1)
			return fault(l, "not exactly one %s", once[i].name);
	if (gy_avp_find_in(l->reply, IETF, GY_AVP_DESTINATION_REALM) ||
	    gy_avp_find_in(l->reply, IETF, GY_AVP_DESTINATION_HOST))
		return fault(l, "an answer with a destination");
	if (l->code >= 3000 && !gy_avp_find_in(l->reply, IETF, GY_AVP_ERROR_MESSAGE))
		return fault(l, "a failure without Error-Message");
	if (wants_failed_avp(l->code) && !gy_avp_find_in(l->reply, IETF, GY_AVP_FAILED_AVP))
		return fault(l, "Result-Code %lld without Failed-AVP", (long long)l->code);
	for (struct avp *a = gy_avp_first(l->reply); a; a = gy_avp_next(a))
		last = a;
	if (gy_avp_is(last, IETF, GY_AVP_ORIGIN_HOST))
		return fault(l, "Origin-Host stands last: some gateways cannot read that");
	return true;
}

/* ---- services ---- */

static bool same_numbers(struct avp *a, struct avp *b, uint32_t code)
{
	struct avp *x = gy_avp_first(a), *y = gy_avp_first(b);

	for (;;) {
		while (x && !gy_avp_is(x, IETF, code))
			x = gy_avp_next(x);
		while (y && !gy_avp_is(y, IETF, code))
			y = gy_avp_next(y);
		if (!x || !y)
			return !x && !y;
		if (gy_avp_value(x) != gy_avp_value(y))
			return false;
		x = gy_avp_next(x);
		y = gy_avp_next(y);
	}
}

/* The least of the amounts of octets in a grant; -1: there is none. */
static int64_t least_octets(struct avp *grant)
{
	static const uint32_t codes[] = { GY_AVP_CC_TOTAL_OCTETS, GY_AVP_CC_INPUT_OCTETS,
					  GY_AVP_CC_OUTPUT_OCTETS };
	int64_t least = -1;

	for (size_t i = 0; grant && i < sizeof(codes) / sizeof(codes[0]); i++) {
		int64_t octets = gy_avp_value_in(grant, IETF, codes[i], -1);

		if (octets >= 0 && (least < 0 || octets < least))
			least = octets;
	}
	return least;
}

/* G-39, G-46: one kind of units, of those that were asked for; octets in one or both directions. */
static bool kinds_conform(struct look *l, struct avp *asked, struct avp *grant, long long group)
{
	struct avp *request = gy_avp_find_in(asked, IETF, GY_AVP_REQUESTED_SERVICE_UNIT);
	unsigned kinds = 0, directions = 0;

	for (struct avp *a = gy_avp_first(grant); a; a = gy_avp_next(a)) {
		if (gy_avp_is(a, IETF, GY_AVP_TARIFF_TIME_CHANGE))
			continue;
		kinds++;
		directions += gy_avp_is(a, IETF, GY_AVP_CC_INPUT_OCTETS) ||
			      gy_avp_is(a, IETF, GY_AVP_CC_OUTPUT_OCTETS);
		if (!(l->asked->msg_flags & CMD_FLAG_RETRANSMIT) && request &&
		    gy_avp_first(request) && !gy_avp_find_in(request, IETF, gy_avp_code(a)))
			return fault(l,
				     "Rating-Group %lld: AVP %u granted, which was not asked for",
				     group, gy_avp_code(a));
	}
	if (kinds != 1 && !(kinds == 2 && directions == 2))
		return fault(l, "Rating-Group %lld: %u kinds of unit granted", group, kinds);
	return true;
}

/* G-46, G-48, G-50: what is granted, in itself. */
static bool grant_conforms(struct look *l, struct avp *asked, struct avp *mscc, long long group)
{
	struct avp *grant = gy_avp_find_in(mscc, IETF, GY_AVP_GRANTED_SERVICE_UNIT);
	bool final = gy_avp_find_in(mscc, IETF, GY_AVP_FINAL_UNIT_INDICATION) != NULL;
	int64_t threshold = gy_avp_value_in(mscc, TGPP, GY_AVP_VOLUME_QUOTA_THRESHOLD, -1);
	int64_t octets = least_octets(grant);

	if (gy_avp_value_in(mscc, IETF, GY_AVP_VALIDITY_TIME, 1) == 0)
		return fault(l, "Rating-Group %lld: Validity-Time 0", group);
	if (threshold >= 0 && (final || threshold >= octets))
		return fault(l, "Rating-Group %lld: Volume-Quota-Threshold %lld with %lld octets%s",
			     group, (long long)threshold, (long long)octets,
			     final ? " and Final-Unit-Indication" : "");
	if (!grant)
		return true;
	for (struct avp *a = gy_avp_first(grant); a; a = gy_avp_next(a))
		if (!final && gy_avp_value(a) == 0)
			return fault(l, "Rating-Group %lld: nothing granted, and not final", group);
	return kinds_conform(l, asked, grant, group);
}

static struct avp *next_service(struct avp *a)
{
	while (a && !gy_avp_is(a, IETF, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL))
		a = gy_avp_next(a);
	return a;
}

static bool service_conforms(struct look *l, struct avp *asked, struct avp *given)
{
	long long group = gy_avp_value_in(given, IETF, GY_AVP_RATING_GROUP, -1);
	int64_t code = gy_avp_value_in(given, IETF, GY_AVP_RESULT_CODE, 0);

	if (!same_numbers(asked, given, GY_AVP_RATING_GROUP) ||
	    !same_numbers(asked, given, GY_AVP_SERVICE_IDENTIFIER))
		return fault(l, "services are not answered in the order of the request");
	if (count(given, IETF, GY_AVP_RESULT_CODE) != 1)
		return fault(l, "Rating-Group %lld: not exactly one Result-Code", group);
	if (code != 2001 && gy_avp_find_in(given, IETF, GY_AVP_GRANTED_SERVICE_UNIT))
		return fault(l, "Rating-Group %lld: units granted with Result-Code %lld", group,
			     (long long)code);
	return grant_conforms(l, asked, given, group);
}

/* Events that only ask are answered as a whole (G-76, G-77). */
static bool is_question(struct look *l)
{
	return count(l->reply, IETF, GY_AVP_CHECK_BALANCE_RESULT) > 0 ||
	       (count(l->reply, IETF, GY_AVP_COST_INFORMATION) > 0 &&
		!next_service(gy_avp_first(l->reply)));
}

static bool services_conform(struct look *l)
{
	struct avp *given = next_service(gy_avp_first(l->reply));
	struct avp *asked = next_service(gy_avp_first(l->request));

	if (l->code != 2001)
		return given ? fault(l, "services in an answer that says %lld (G-32)",
				     (long long)l->code)
			     : true;
	if (is_question(l))
		return true;
	while (asked && given) {
		if (!service_conforms(l, asked, given))
			return false;
		asked = next_service(gy_avp_next(asked));
		given = next_service(gy_avp_next(given));
	}
	return asked || given ? fault(l, "not as many services as in the request (G-42)") : true;
}

bool gy_reply_conforms(const uint8_t *reply, size_t reply_len, const uint8_t *request,
		       size_t request_len, char *why, size_t why_size)
{
	struct look l = { .why = why, .why_size = why_size };
	bool good;

	l.reply = gy_message_decode(reply, reply_len);
	l.request = gy_message_decode(request, request_len);
	if (!l.reply || !l.request) {
		good = fault(&l, "not a list of AVPs");
	} else {
		l.given = gy_message_header(l.reply);
		l.asked = gy_message_header(l.request);
		l.code = gy_avp_value_in(l.reply, IETF, GY_AVP_RESULT_CODE, 0);
		good = header_conforms(&l) && avps_conform(&l) && command_conforms(&l) &&
		       echoes_conform(&l) && services_conform(&l);
	}
	gy_message_free(l.reply);
	gy_message_free(l.request);
	return good;
}
