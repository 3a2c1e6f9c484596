/* What a request says of the larger thing it is part of, as text for its record (G-31). See
 * decode_internal.h. Nothing here is looked up or charged by, so nothing in it can be wrong. */
#include <inttypes.h>
#include <talloc.h>

#include "extensions/app_gyro/decode_internal.h"

static struct gy_bytes cut(struct gy_bytes value)
{
	if (value.len > GY_CORRELATION_MAX)
		value.len = GY_CORRELATION_MAX;
	return value;
}

/* One line of text that any terminal and the database take. */
static bool is_printable(struct gy_bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] == 0x7f)
			return false;
	return gy_utf8_valid(text);
}

static char *add_hex(char *text, const char *key, struct gy_bytes value)
{
	text = talloc_asprintf_append_buffer(text, "%s ", key);
	for (size_t i = 0; text != NULL && i < value.len; i++)
		text = talloc_asprintf_append_buffer(text, "%02x", value.data[i]);
	return text == NULL ? NULL : talloc_strdup_append_buffer(text, "\n");
}

bool gy_correlation_text(void *pool, const struct gy_correlation *c, struct gy_bytes *out)
{
	struct gy_bytes id = cut(c->correlation_id.data), multi = cut(c->multi_session.data);
	char *text;

	*out = (struct gy_bytes){ NULL, 0 };
	if (!c->has_termination_cause && c->correlation_id.whole.data == NULL &&
	    c->multi_session.whole.data == NULL)
		return true;
	text = talloc_strdup(pool, "");
	if (text != NULL && c->has_termination_cause)
		text = talloc_asprintf_append_buffer(text, "cause %" PRIu32 "\n",
						     c->termination_cause);
	if (text != NULL && c->correlation_id.whole.data != NULL)
		text = add_hex(text, "correlation", id);
	if (text != NULL && c->multi_session.whole.data != NULL)
		text = is_printable(multi)
			       ? talloc_asprintf_append_buffer(text, "multi %.*s\n", (int)multi.len,
							       (const char *)multi.data)
			       : add_hex(text, "multi-hex", multi);
	if (text == NULL)
		return false;
	*out = (struct gy_bytes){ (const uint8_t *)text, talloc_get_size(text) - 1 };
	return true;
}
