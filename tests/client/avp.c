/* AVPs and messages over libfdproto; see the header. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"

/* libfdproto failed where only a mistake of ours, or the lack of memory, can be the reason. */
static void must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "gyro-sim: %s: %s\n", what, strerror(rc));
	abort();
}

/* ---- making ---- */

static struct avp *new_avp(struct dict_object *model)
{
	struct avp *avp = NULL;

	must(model ? 0 : EINVAL, "an AVP that dict/avps.csv does not have");
	must(fd_msg_avp_new(model, 0, &avp), "fd_msg_avp_new");
	return avp;
}

static const struct gy_avp_def *definition(uint32_t vendor, uint32_t code)
{
	const struct gy_avp_def *def = gy_avp_find(vendor, code);

	must(def ? 0 : EINVAL, "an AVP that dict/avps.csv does not have");
	return def;
}

struct avp *gy_avp_number(uint32_t vendor, uint32_t code, int64_t value)
{
	struct avp *avp = new_avp(gy_dictionary_avp(vendor, code));
	union avp_value v = { 0 };

	switch (definition(vendor, code)->type) {
	case GY_AVP_TYPE_ENUMERATED:
	case GY_AVP_TYPE_INTEGER32:
		v.i32 = (int32_t)value;
		break;
	case GY_AVP_TYPE_UNSIGNED32:
		v.u32 = (uint32_t)value;
		break;
	case GY_AVP_TYPE_INTEGER64:
		v.i64 = value;
		break;
	case GY_AVP_TYPE_UNSIGNED64:
		v.u64 = (uint64_t)value;
		break;
	case GY_AVP_TYPE_GROUPED:
	case GY_AVP_TYPE_OCTET_STRING:
	case GY_AVP_TYPE_UTF8_STRING:
	case GY_AVP_TYPE_DIAMETER_IDENTITY:
	case GY_AVP_TYPE_DIAMETER_URI:
	case GY_AVP_TYPE_IP_FILTER_RULE:
	case GY_AVP_TYPE_ADDRESS:
	case GY_AVP_TYPE_TIME:
		must(EINVAL, "a number for an AVP that is none");
	}
	must(fd_msg_avp_setvalue(avp, &v), "fd_msg_avp_setvalue");
	return avp;
}

static void set_octets(struct avp *avp, const void *data, size_t len)
{
	union avp_value v = { 0 };

	/* libfdproto copies it, and does not write to it. */
	v.os.data = (uint8_t *)(uintptr_t)data;
	v.os.len = len;
	must(fd_msg_avp_setvalue(avp, &v), "fd_msg_avp_setvalue");
}

struct avp *gy_avp_octets(uint32_t vendor, uint32_t code, const void *data, size_t len)
{
	struct avp *avp = new_avp(gy_dictionary_avp(vendor, code));

	set_octets(avp, data, len);
	return avp;
}

struct avp *gy_avp_text(uint32_t vendor, uint32_t code, const char *text)
{
	return gy_avp_octets(vendor, code, text, strlen(text));
}

struct avp *gy_avp_group(uint32_t vendor, uint32_t code)
{
	return new_avp(gy_dictionary_avp(vendor, code));
}

struct avp *gy_avp_raw(uint32_t vendor, uint32_t code, uint8_t flags, const void *data, size_t len)
{
	struct avp *avp = new_avp(gy_dictionary_octets(vendor, code));
	struct avp_hdr *header = NULL;

	set_octets(avp, data, len);
	must(fd_msg_avp_hdr(avp, &header), "fd_msg_avp_hdr");
	header->avp_flags = flags;
	return avp;
}

struct avp *gy_avp_put(msg_or_avp *parent, struct avp *child)
{
	must(fd_msg_avp_add(parent, MSG_BRW_LAST_CHILD, child), "fd_msg_avp_add");
	return child;
}

struct msg_hdr *gy_message_header(struct msg *message)
{
	struct msg_hdr *header = NULL;

	must(fd_msg_hdr(message, &header), "fd_msg_hdr");
	return header;
}

struct msg *gy_message_new(const char *command, uint32_t hop_by_hop, uint32_t end_to_end)
{
	struct msg *message = NULL;

	must(fd_msg_new(gy_dictionary_command(command), 0, &message), "fd_msg_new");
	gy_message_header(message)->msg_hbhid = hop_by_hop;
	gy_message_header(message)->msg_eteid = end_to_end;
	return message;
}

uint8_t *gy_message_encode(struct msg *message, size_t *len)
{
	uint8_t *bytes = NULL;

	must(fd_msg_bufferize(message, &bytes, len), "fd_msg_bufferize");
	gy_message_free(message);
	return bytes;
}

/* ---- reading ---- */

struct msg *gy_message_decode(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len);
	struct msg *message = NULL;

	must(copy ? 0 : ENOMEM, "a message");
	memcpy(copy, bytes, len);
	if (fd_msg_parse_buffer(&copy, len, &message) != 0) {
		free(copy);
		return NULL;
	}
	/* One by one: a fault in one of them, as in a Failed-AVP, must not hide the others. */
	for (struct avp *a = gy_avp_first(message); a; a = gy_avp_next(a)) {
		struct fd_pei error;

		(void)fd_msg_parse_dict(a, gy_dictionary(), &error);
	}
	return message;
}

void gy_message_free(struct msg *message)
{
	if (message)
		must(fd_msg_free(message), "fd_msg_free");
}

struct avp *gy_avp_first(msg_or_avp *parent)
{
	struct avp *avp = NULL;

	return fd_msg_browse(parent, MSG_BRW_FIRST_CHILD, &avp, NULL) == 0 ? avp : NULL;
}

struct avp *gy_avp_next(struct avp *avp)
{
	struct avp *next = NULL;

	return fd_msg_browse(avp, MSG_BRW_NEXT, &next, NULL) == 0 ? next : NULL;
}

static struct avp_hdr *header_of(struct avp *avp)
{
	struct avp_hdr *header = NULL;

	must(fd_msg_avp_hdr(avp, &header), "fd_msg_avp_hdr");
	return header;
}

uint32_t gy_avp_code(struct avp *avp)
{
	return header_of(avp)->avp_code;
}

uint8_t gy_avp_flags(struct avp *avp)
{
	return header_of(avp)->avp_flags;
}

uint32_t gy_avp_vendor(struct avp *avp)
{
	return header_of(avp)->avp_flags & AVP_FLAG_VENDOR ? header_of(avp)->avp_vendor : 0;
}

bool gy_avp_is(struct avp *avp, uint32_t vendor, uint32_t code)
{
	return gy_avp_code(avp) == code && gy_avp_vendor(avp) == vendor;
}

static const struct gy_avp_def *definition_of(struct avp *avp)
{
	return gy_avp_find(gy_avp_vendor(avp), gy_avp_code(avp));
}

bool gy_avp_is_read(struct avp *avp)
{
	const struct gy_avp_def *def = definition_of(avp);
	struct dict_object *model = NULL;

	if (!def || fd_msg_model(avp, &model) != 0 || !model)
		return false;
	return def->type == GY_AVP_TYPE_GROUPED || header_of(avp)->avp_value;
}

int64_t gy_avp_value(struct avp *avp)
{
	const union avp_value *v = header_of(avp)->avp_value;

	if (!gy_avp_is_read(avp) || !v)
		return -1;
	switch (definition_of(avp)->type) {
	case GY_AVP_TYPE_ENUMERATED:
	case GY_AVP_TYPE_INTEGER32:
		return v->i32;
	case GY_AVP_TYPE_UNSIGNED32:
		return v->u32;
	case GY_AVP_TYPE_INTEGER64:
		return v->i64;
	case GY_AVP_TYPE_UNSIGNED64:
		return v->u64 > INT64_MAX ? INT64_MAX : (int64_t)v->u64;
	case GY_AVP_TYPE_GROUPED:
	case GY_AVP_TYPE_OCTET_STRING:
	case GY_AVP_TYPE_UTF8_STRING:
	case GY_AVP_TYPE_DIAMETER_IDENTITY:
	case GY_AVP_TYPE_DIAMETER_URI:
	case GY_AVP_TYPE_IP_FILTER_RULE:
	case GY_AVP_TYPE_ADDRESS:
	case GY_AVP_TYPE_TIME:
		break;
	}
	return -1;
}

const char *gy_avp_string(struct avp *avp, size_t *len)
{
	const struct gy_avp_def *def = definition_of(avp);

	*len = 0;
	if (!gy_avp_is_read(avp) || def->type == GY_AVP_TYPE_GROUPED ||
	    (def->size && def->type != GY_AVP_TYPE_TIME))
		return NULL;
	*len = header_of(avp)->avp_value->os.len;
	return (const char *)header_of(avp)->avp_value->os.data;
}

struct avp *gy_avp_find_in(msg_or_avp *parent, uint32_t vendor, uint32_t code)
{
	struct avp *a = gy_avp_first(parent);

	while (a && !gy_avp_is(a, vendor, code))
		a = gy_avp_next(a);
	return a;
}

int64_t gy_avp_value_in(msg_or_avp *parent, uint32_t vendor, uint32_t code, int64_t absent)
{
	struct avp *avp = gy_avp_find_in(parent, vendor, code);

	return avp && gy_avp_is_read(avp) ? gy_avp_value(avp) : absent;
}
