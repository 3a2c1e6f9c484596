/* See load_template.h. */
#include "tests/client/load_template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/wire.h"
#include "tests/client/dictionary.h"
#include "tests/client/load_names.h"

/* --- building messages: any failure is a fault of this file or of the dictionary ------------- */

static void check(int rc, const char *what, uint32_t code)
{
	if (rc == 0)
		return;
	fprintf(stderr, "load: %s %u: %s\n", what, code, strerror(rc));
	exit(2);
}

static struct avp *add(msg_or_avp *parent, uint32_t vendor, uint32_t code)
{
	struct dict_object *model = gy_dictionary_avp(vendor, code);
	struct avp *avp = NULL;

	check(model ? 0 : ENOENT, "no AVP", code);
	check(fd_msg_avp_new(model, 0, &avp), "AVP", code);
	check(fd_msg_avp_add(parent, MSG_BRW_LAST_CHILD, avp), "AVP", code);
	return avp;
}

static void add_u32(msg_or_avp *parent, uint32_t vendor, uint32_t code, uint32_t number)
{
	union avp_value value = { .u32 = number };

	check(fd_msg_avp_setvalue(add(parent, vendor, code), &value), "value of AVP", code);
}

static void add_u64(msg_or_avp *parent, uint32_t vendor, uint32_t code, uint64_t number)
{
	union avp_value value = { .u64 = number };

	check(fd_msg_avp_setvalue(add(parent, vendor, code), &value), "value of AVP", code);
}

static void add_bytes(msg_or_avp *parent, uint32_t vendor, uint32_t code, const char *data,
		      size_t size)
{
	union avp_value value;
	uint8_t *copy = malloc(size + 1);

	if (copy == NULL)
		exit(2);
	memcpy(copy, data, size);
	value.os.data = copy;
	value.os.len = size;
	check(fd_msg_avp_setvalue(add(parent, vendor, code), &value), "value of AVP", code);
	free(copy);
}

static void add_text(msg_or_avp *parent, uint32_t vendor, uint32_t code, const char *text)
{
	add_bytes(parent, vendor, code, text, strlen(text));
}

static struct msg *message(const char *command, uint32_t application)
{
	struct dict_object *model = NULL;
	struct msg_hdr *header = NULL;
	struct msg *msg = NULL;

	check(fd_dict_search(gy_dictionary(), DICT_COMMAND, CMD_BY_NAME, command, &model, ENOENT),
	      command, 0);
	check(fd_msg_new(model, 0, &msg), command, 0);
	check(fd_msg_hdr(msg, &header), command, 0);
	header->msg_appl = application;
	return msg;
}

/* Encodes and frees the message. */
static struct load_template encoded(struct msg *msg)
{
	struct load_template template = { .bytes = NULL };

	check(fd_msg_bufferize(msg, &template.bytes, &template.size), "encoding", 0);
	fd_msg_free(msg);
	return template;
}

/* --- where things stand in the encoded message ------------------------------------------------ */

/* The nth AVP with this code in the list; ends the program if it isn't there. */
static struct gy_bytes find(struct gy_bytes list, uint32_t vendor, uint32_t code, unsigned nth)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	struct gy_avp avp;

	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		if (avp.code == code && avp.vendor == vendor && nth-- == 0)
			return avp.data;
	fprintf(stderr, "load: AVP %u is missing in an encoded template\n", code);
	exit(2);
}

static size_t offset(const struct load_template *template, struct gy_bytes data)
{
	return (size_t)(data.data - template->bytes);
}

static void locate(struct load_template *t, bool with_usage)
{
	struct gy_bytes all = { t->bytes + GY_HEADER_SIZE, t->size - GY_HEADER_SIZE };
	struct gy_bytes imsi = find(all, 0, GY_AVP_SUBSCRIPTION_ID, 0);
	struct gy_bytes msisdn = find(all, 0, GY_AVP_SUBSCRIPTION_ID, 1), used;

	t->session_id = offset(t, find(all, 0, GY_AVP_SESSION_ID, 0));
	t->number = offset(t, find(all, 0, GY_AVP_CC_REQUEST_NUMBER, 0));
	t->timestamp = offset(t, find(all, 0, GY_AVP_EVENT_TIMESTAMP, 0));
	t->imsi = offset(t, find(imsi, 0, GY_AVP_SUBSCRIPTION_ID_DATA, 0));
	t->msisdn = offset(t, find(msisdn, 0, GY_AVP_SUBSCRIPTION_ID_DATA, 0));
	if (!with_usage)
		return;
	used = find(find(all, 0, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL, 0), 0,
		    GY_AVP_USED_SERVICE_UNIT, 0);
	t->total = offset(t, find(used, 0, GY_AVP_CC_TOTAL_OCTETS, 0));
	t->input = offset(t, find(used, 0, GY_AVP_CC_INPUT_OCTETS, 0));
	t->output = offset(t, find(used, 0, GY_AVP_CC_OUTPUT_OCTETS, 0));
}

/* --- the credit-control requests: what a packet gateway sends ----------------------------------
 */

static void add_subscription(struct msg *msg, uint32_t type, const char *digits)
{
	struct avp *group = add(msg, 0, GY_AVP_SUBSCRIPTION_ID);

	add_u32(group, 0, GY_AVP_SUBSCRIPTION_ID_TYPE, type);
	add_text(group, 0, GY_AVP_SUBSCRIPTION_ID_DATA, digits);
}

static void add_service_information(struct msg *msg)
{
	struct avp *ps = add(add(msg, GY_VENDOR_3GPP, GY_AVP_SERVICE_INFORMATION), GY_VENDOR_3GPP,
			     GY_AVP_PS_INFORMATION);
	const uint32_t v = GY_VENDOR_3GPP;

	add_bytes(ps, v, GY_AVP_3GPP_CHARGING_ID, "\x0a\x17\x00\x2c", 4);
	add_u32(ps, v, GY_AVP_3GPP_PDP_TYPE, 0);
	add_bytes(ps, v, GY_AVP_PDP_ADDRESS, "\0\1\x0a\x2d\0\2", 6);
	add_bytes(ps, v, GY_AVP_SGSN_ADDRESS, "\0\1\xc6\x33\x64\x07", 6);
	add_bytes(ps, v, GY_AVP_GGSN_ADDRESS, "\0\1\xc6\x33\x64\x08", 6);
	add_text(ps, v, GY_AVP_3GPP_IMSI_MCC_MNC, "99970");
	add_text(ps, v, GY_AVP_3GPP_GGSN_MCC_MNC, "99970");
	add_text(ps, v, GY_AVP_3GPP_NSAPI, "5");
	add_text(ps, 0, GY_AVP_CALLED_STATION_ID, "internet");
	add_text(ps, v, GY_AVP_3GPP_SELECTION_MODE, "0");
	add_text(ps, v, GY_AVP_3GPP_CHARGING_CHARACTERISTICS, "0800");
	add_text(ps, v, GY_AVP_3GPP_SGSN_MCC_MNC, "99970");
	add_bytes(ps, v, GY_AVP_3GPP_MS_TIMEZONE, "\x23\0", 2);
	add_bytes(ps, v, GY_AVP_3GPP_RAT_TYPE, "\6", 1);
	add_bytes(ps, v, GY_AVP_3GPP_USER_LOCATION_INFO,
		  "\x82\x99\xf9\x07\x00\x01\x99\xf9\x07\x00\x00\x01\x01", 13);
}

static void add_service(struct msg *msg, const struct load_identity *identity, uint32_t type)
{
	struct avp *mscc = add(msg, 0, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL), *unit;

	if (type != LOAD_CCR_T) {
		unit = add(mscc, 0, GY_AVP_REQUESTED_SERVICE_UNIT);
		if (identity->request_octets != 0)
			add_u64(unit, 0, GY_AVP_CC_TOTAL_OCTETS, identity->request_octets);
	}
	if (type != LOAD_CCR_I) {
		unit = add(mscc, 0, GY_AVP_USED_SERVICE_UNIT);
		add_u32(unit, 0, GY_AVP_CC_TIME, LOAD_USED_SECONDS);
		add_u64(unit, 0, GY_AVP_CC_TOTAL_OCTETS, 0);
		add_u64(unit, 0, GY_AVP_CC_INPUT_OCTETS, 0);
		add_u64(unit, 0, GY_AVP_CC_OUTPUT_OCTETS, 0);
	}
	add_u32(mscc, 0, GY_AVP_RATING_GROUP, identity->rating_group);
	if (load_reporting_reason(type) >= 0)
		add_u32(mscc, GY_VENDOR_3GPP, GY_AVP_REPORTING_REASON,
			(uint32_t)load_reporting_reason(type));
}

static struct load_template make_ccr(const struct load_identity *identity, uint32_t type)
{
	struct msg *msg = message("Credit-Control-Request", GY_APP_CREDIT_CONTROL);
	char session[LOAD_SESSION_SIZE + 1] = "", imsi[LOAD_IMSI_SIZE + 1] = "",
					 msisdn[LOAD_MSISDN_SIZE + 1] = "";
	struct load_template template;
	struct avp *equipment;

	load_session_id(session, 0, 0, 0);
	load_imsi(imsi, 0);
	load_msisdn(msisdn, 0);
	add_text(msg, 0, GY_AVP_SESSION_ID, session);
	add_text(msg, 0, GY_AVP_ORIGIN_HOST, identity->origin_host);
	add_text(msg, 0, GY_AVP_ORIGIN_REALM, identity->origin_realm);
	add_text(msg, 0, GY_AVP_DESTINATION_REALM, identity->destination_realm);
	add_u32(msg, 0, GY_AVP_AUTH_APPLICATION_ID, GY_APP_CREDIT_CONTROL);
	add_text(msg, 0, GY_AVP_SERVICE_CONTEXT_ID, identity->service_context);
	add_u32(msg, 0, GY_AVP_CC_REQUEST_TYPE, type);
	add_u32(msg, 0, GY_AVP_CC_REQUEST_NUMBER, 0);
	add_u32(msg, 0, GY_AVP_ORIGIN_STATE_ID, identity->origin_state);
	add_bytes(msg, 0, GY_AVP_EVENT_TIMESTAMP, "\0\0\0\0", 4);
	add_subscription(msg, 1, imsi);
	add_subscription(msg, 0, msisdn);
	if (type == LOAD_CCR_T)
		add_u32(msg, 0, GY_AVP_TERMINATION_CAUSE, 1);
	if (type == LOAD_CCR_I)
		add_u32(msg, 0, GY_AVP_MULTIPLE_SERVICES_INDICATOR, 1);
	add_service(msg, identity, type);
	equipment = add(msg, 0, GY_AVP_USER_EQUIPMENT_INFO);
	add_u32(equipment, 0, GY_AVP_USER_EQUIPMENT_INFO_TYPE, 0);
	add_text(equipment, 0, GY_AVP_USER_EQUIPMENT_INFO_VALUE, "3534900698733190");
	add_service_information(msg);
	template = encoded(msg);
	locate(&template, type != LOAD_CCR_I);
	return template;
}

/* --- the base protocol --------------------------------------------------------------------- */

static struct load_template make_base(const char *command, const struct load_identity *identity,
				      bool answer)
{
	struct msg *msg = message(command, 0);

	if (answer)
		add_u32(msg, 0, GY_AVP_RESULT_CODE, 2001);
	add_text(msg, 0, GY_AVP_ORIGIN_HOST, identity->origin_host);
	add_text(msg, 0, GY_AVP_ORIGIN_REALM, identity->origin_realm);
	if (strcmp(command, "Disconnect-Peer-Request") == 0)
		add_u32(msg, 0, GY_AVP_DISCONNECT_CAUSE, 2);
	if (strcmp(command, "Capabilities-Exchange-Request") == 0) {
		add_bytes(msg, 0, GY_AVP_HOST_IP_ADDRESS, "\0\1\x7f\0\0\1", 6);
		add_u32(msg, 0, GY_AVP_VENDOR_ID, 0);
		add_text(msg, 0, GY_AVP_PRODUCT_NAME, "gyro-sim");
		add_u32(msg, 0, GY_AVP_ORIGIN_STATE_ID, identity->origin_state);
		add_u32(msg, 0, GY_AVP_SUPPORTED_VENDOR_ID, GY_VENDOR_3GPP);
		add_u32(msg, 0, GY_AVP_AUTH_APPLICATION_ID, GY_APP_CREDIT_CONTROL);
	}
	return encoded(msg);
}

void load_templates_make(struct load_templates *templates, const struct load_identity *identity)
{
	for (uint32_t type = 1; type <= 3; type++)
		templates->ccr[type] = make_ccr(identity, type);
	templates->cer = make_base("Capabilities-Exchange-Request", identity, false);
	templates->dwr = make_base("Device-Watchdog-Request", identity, false);
	templates->dwa = make_base("Device-Watchdog-Answer", identity, true);
	templates->dpr = make_base("Disconnect-Peer-Request", identity, false);
	templates->dpa = make_base("Disconnect-Peer-Answer", identity, true);
}

void load_templates_free(struct load_templates *templates)
{
	for (unsigned type = 1; type <= 3; type++)
		free(templates->ccr[type].bytes);
	free(templates->cer.bytes);
	free(templates->dwr.bytes);
	free(templates->dwa.bytes);
	free(templates->dpr.bytes);
	free(templates->dpa.bytes);
}

/* --- a request ------------------------------------------------------------------------------- */

static void put32(uint8_t *at, uint32_t value)
{
	value = __builtin_bswap32(value);
	memcpy(at, &value, 4);
}

static void put64(uint8_t *at, uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(at, &value, 8);
}

void load_template_fill(const struct load_template *t, const struct load_fill *fill, uint8_t *out)
{
	memcpy(out, t->bytes, t->size);
	if (fill->retransmitted)
		out[4] |= GY_CMD_RETRANSMITTED;
	put32(out + 12, fill->hop_by_hop);
	put32(out + 16, fill->end_to_end);
	load_session_id((char *)out + t->session_id, fill->run, fill->session, fill->round);
	put32(out + t->number, fill->number);
	put32(out + t->timestamp, fill->timestamp);
	load_imsi((char *)out + t->imsi, fill->subscriber);
	load_msisdn((char *)out + t->msisdn, fill->subscriber);
	if (t->total == 0)
		return;
	put64(out + t->total, fill->used_octets);
	put64(out + t->input, load_input_octets(fill->used_octets));
	put64(out + t->output, fill->used_octets - load_input_octets(fill->used_octets));
}
