/* See judge.h. Each refusal is a way to crash or stop freeDiameter 1.2.1, or at least its
 * F-number's nuisance (spec/reliability.md, and F12 below). Requests of the application are never
 * refused: they are carried past all that, and answered properly. */
#include "extensions/acl_gyro/judge.h"

#include <string.h>

#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/wire.h"

#define DEPTH_MAX    16
#define MESSAGE_MAX  65535 /* libfdcore's own limit over TCP */
#define CAPABILITIES 257   /* CER */

/* An AVP shorter than its own header has a length below zero in 1.2.1, and crashes it; and it
 * descends into every group it knows the moment it parses a message. */
static bool is_group(const struct gy_avp *avp)
{
	const struct gy_avp_def *def = gy_avp_find(avp->vendor, avp->code);

	if (def != NULL)
		return def->type == GY_AVP_TYPE_GROUPED;
	/* Of the base protocol: E2E-Sequence, and whatever it has beside our table. */
	return avp->vendor == 0 && (avp->code == 300 || avp->code == 297 || avp->code == 284 ||
				    avp->code == 279 || avp->code == 260);
}

static bool well_formed(struct gy_bytes list, unsigned depth)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	enum gy_avp_step step;
	struct gy_avp avp;

	if (depth > DEPTH_MAX)
		return false;
	while ((step = gy_avp_step(&cursor, &avp)) == GY_AVP_STEP_OK) {
		/* The V bit with vendor 0 makes the stack look up vendor 0 in a way of its own. */
		if ((avp.flags & GY_AVP_FLAG_V) && avp.vendor == 0)
			return false;
		if (is_group(&avp) && !well_formed(avp.data, depth + 1))
			return false;
	}
	return step == GY_AVP_STEP_END;
}

/* F12, found here: save_remote_CE_info asserts that everything in a Vendor-Specific-Application-Id
 * has a value. What 1.2.1 doesn't know has none, nor has a group; and anybody may send a CER. */
static bool is_strange_application(const struct gy_avp *avp)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(avp->data);
	struct gy_avp inner;

	if (avp->vendor != 0 || avp->code != GY_AVP_VENDOR_SPECIFIC_APPLICATION_ID)
		return false;
	while (gy_avp_step(&cursor, &inner) == GY_AVP_STEP_OK)
		if (inner.vendor != 0 || inner.data.len != 4 ||
		    (inner.code != GY_AVP_VENDOR_ID && inner.code != GY_AVP_AUTH_APPLICATION_ID &&
		     inner.code != GY_AVP_ACCT_APPLICATION_ID))
			return true;
	return false;
}

/* Nothing a link needs (RFC 6733 §5), and the stack trips over bad ones: Session-Id, Proxy-Info. */
static bool is_request_trap(const struct gy_avp *avp)
{
	if (avp->vendor != 0)
		return false;
	if (avp->code == GY_AVP_SESSION_ID || avp->code == GY_AVP_PROXY_INFO ||
	    is_strange_application(avp))
		return true;
	/* F9: nobody is called nothing. */
	return (avp->code == GY_AVP_ORIGIN_HOST || avp->code == GY_AVP_ORIGIN_REALM) &&
	       avp->data.len == 0;
}

/* F3 in an answer: the stack looks its session up, and gives up at a NUL octet. */
static bool is_answer_trap(const struct gy_avp *avp)
{
	if (is_strange_application(avp))
		return true;
	return avp->vendor == 0 && avp->code == GY_AVP_SESSION_ID &&
	       (avp->data.len == 0 || memchr(avp->data.data, 0, avp->data.len) != NULL);
}

static bool has(struct gy_bytes list, bool (*bad)(const struct gy_avp *avp))
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	struct gy_avp avp;

	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		if (bad(&avp))
			return true;
	return false;
}

/* CER, DWR and DPR in the form the standard gives them; with another application id or the P bit
 * freeDiameter would take them for routable. */
static bool is_link_request(const uint8_t *header)
{
	uint32_t code = gy_get24(header + 5);

	return (header[4] & GY_CMD_PROXIABLE) == 0 && gy_get32(header + 8) == 0 &&
	       (code == CAPABILITIES || code == 280 || code == 282);
}

enum guard_verdict guard_judge(struct gy_bytes message)
{
	struct gy_bytes list;
	bool refused;

	if (message.len < GY_HEADER_SIZE)
		return GUARD_PASS;
	/* Over TCP the length is what was read; over SCTP it is the peer's claim. */
	if (gy_get24(message.data + 1) != message.len || message.len > MESSAGE_MAX)
		return GUARD_REFUSE;
	list.data = message.data + GY_HEADER_SIZE;
	list.len = message.len - GY_HEADER_SIZE;
	if (!(message.data[4] & GY_CMD_REQUEST))
		refused = !well_formed(list, 0) || has(list, is_answer_trap);
	else if (is_link_request(message.data))
		refused = !well_formed(list, 0) || has(list, is_request_trap);
	else
		return GUARD_CARRY;
	return refused ? GUARD_REFUSE : GUARD_PASS;
}

struct gy_bytes guard_cer_host(struct gy_bytes message)
{
	struct gy_bytes none = { NULL, 0 };
	struct gy_avp_cursor cursor;
	struct gy_avp avp;

	if (message.len < GY_HEADER_SIZE || !(message.data[4] & GY_CMD_REQUEST) ||
	    !is_link_request(message.data) || gy_get24(message.data + 5) != CAPABILITIES)
		return none;
	cursor = gy_avp_cursor(
		(struct gy_bytes){ message.data + GY_HEADER_SIZE, message.len - GY_HEADER_SIZE });
	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		if (avp.vendor == 0 && avp.code == GY_AVP_ORIGIN_HOST)
			return avp.data;
	return none;
}
