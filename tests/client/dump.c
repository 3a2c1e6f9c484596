/* A message as text; see the header. */
#include <ctype.h>
#include <inttypes.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"
#include "tests/client/dump.h"

static void dump_string(FILE *out, struct avp *avp, const struct gy_avp_def *def)
{
	bool text = def->type != GY_AVP_TYPE_OCTET_STRING && def->type != GY_AVP_TYPE_ADDRESS &&
		    def->type != GY_AVP_TYPE_TIME;
	size_t len = 0;
	const char *s = gy_avp_string(avp, &len);

	for (size_t i = 0; s && i < len; i++)
		if (!isprint((unsigned char)s[i]))
			text = false;
	if (text) {
		fprintf(out, "\"%.*s\"", (int)len, s ? s : "");
		return;
	}
	for (size_t i = 0; s && i < len; i++)
		fprintf(out, "%02x", (unsigned char)s[i]);
}

static void dump_value(FILE *out, struct avp *avp, const struct gy_avp_def *def)
{
	const char *text;

	switch (def->type) {
	case GY_AVP_TYPE_ENUMERATED:
		text = gy_avp_enum_text(def, (int32_t)gy_avp_value(avp));
		fprintf(out, "%" PRId64 "%s%s", gy_avp_value(avp), text ? " " : "",
			text ? text : "");
		break;
	case GY_AVP_TYPE_INTEGER32:
	case GY_AVP_TYPE_UNSIGNED32:
	case GY_AVP_TYPE_INTEGER64:
	case GY_AVP_TYPE_UNSIGNED64:
		fprintf(out, "%" PRId64, gy_avp_value(avp));
		break;
	case GY_AVP_TYPE_GROUPED:
		break;
	case GY_AVP_TYPE_OCTET_STRING:
	case GY_AVP_TYPE_UTF8_STRING:
	case GY_AVP_TYPE_DIAMETER_IDENTITY:
	case GY_AVP_TYPE_DIAMETER_URI:
	case GY_AVP_TYPE_IP_FILTER_RULE:
	case GY_AVP_TYPE_ADDRESS:
	case GY_AVP_TYPE_TIME:
		dump_string(out, avp, def);
		break;
	}
}

static void dump_avp(FILE *out, struct avp *avp, int depth)
{
	const struct gy_avp_def *def = gy_avp_find(gy_avp_vendor(avp), gy_avp_code(avp));
	uint8_t flags = gy_avp_flags(avp);

	fprintf(out, "%*s%s (%" PRIu32, 2 * depth, "", def ? def->name : "unknown AVP",
		gy_avp_code(avp));
	if (gy_avp_vendor(avp))
		fprintf(out, ", vendor %" PRIu32, gy_avp_vendor(avp));
	fprintf(out, ") %c%c ", flags & AVP_FLAG_VENDOR ? 'V' : '-',
		flags & AVP_FLAG_MANDATORY ? 'M' : '-');
	if (def && gy_avp_is_read(avp))
		dump_value(out, avp, def);
	else if (def)
		fputs("(malformed)", out);
	fputc('\n', out);
	for (struct avp *a = gy_avp_first(avp); a; a = gy_avp_next(a))
		dump_avp(out, a, depth + 1);
}

void gy_dump(FILE *out, const uint8_t *bytes, size_t len)
{
	struct msg *message = gy_message_decode(bytes, len);
	const struct msg_hdr *h;

	if (!message) {
		fprintf(out, "%zu octets that are no Diameter message\n", len);
		return;
	}
	h = gy_message_header(message);
	fprintf(out,
		"%s: command %u, application %u, %c%c%c%c, hop-by-hop %08x, end-to-end %08x, %u "
		"octets\n",
		h->msg_flags & CMD_FLAG_REQUEST ? "request" : "answer", h->msg_code, h->msg_appl,
		h->msg_flags & CMD_FLAG_REQUEST ? 'R' : '-',
		h->msg_flags & CMD_FLAG_PROXIABLE ? 'P' : '-',
		h->msg_flags & CMD_FLAG_ERROR ? 'E' : '-',
		h->msg_flags & CMD_FLAG_RETRANSMIT ? 'T' : '-', h->msg_hbhid, h->msg_eteid,
		h->msg_length);
	for (struct avp *a = gy_avp_first(message); a; a = gy_avp_next(a))
		dump_avp(out, a, 1);
	gy_message_free(message);
}
