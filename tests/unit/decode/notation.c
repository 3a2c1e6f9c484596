/* See notation.h. */
#include "tests/unit/decode/notation.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct out {
	uint8_t *data;
	size_t len, size;
};

static void fail(const char *at)
{
	fprintf(stderr, "notation: don't understand: %.40s\n", at);
	abort();
}

static void put(struct out *out, uint64_t value, unsigned octets)
{
	if (out->len + octets > out->size)
		fail("too long");
	while (octets-- > 0)
		out->data[out->len++] = (uint8_t)(value >> (8 * octets));
}

static unsigned hex(const char *p)
{
	char two[3] = { p[0], p[0] ? p[1] : '\0', '\0' };

	if (!isxdigit((unsigned char)two[0]) || !isxdigit((unsigned char)two[1]))
		fail(p);
	return (unsigned)strtoul(two, NULL, 16);
}

static const char *write_list(struct out *out, const char *p);

static const char *write_value(struct out *out, const char *p)
{
	char *end = NULL;

	switch (*p++) {
	case 'u':
		put(out, strtoul(p, &end, 10), 4);
		return end;
	case 'U':
		put(out, strtoull(p, &end, 10), 8);
		return end;
	case 'i':
		put(out, (uint64_t)strtoll(p, &end, 10), 4);
		return end;
	case 'I':
		put(out, (uint64_t)strtoll(p, &end, 10), 8);
		return end;
	case 'x':
		for (; isxdigit((unsigned char)*p); p += 2)
			put(out, hex(p), 1);
		return p;
	case '"':
		for (; *p != '"'; p++) {
			if (*p == '\0')
				fail("text without end");
			put(out, (uint8_t)*p, 1);
		}
		return p + 1;
	case '{':
		p = write_list(out, p);
		if (*p != '}')
			fail(p);
		return p + 1;
	default:
		fail(p - 1);
		return p;
	}
}

static const char *write_avp(struct out *out, const char *p)
{
	size_t start = out->len, length;
	unsigned long code, vendor = 0, lie = 0;
	uint8_t flags = 0x40;
	char *end;

	code = strtoul(p, &end, 10);
	if (end == p)
		fail(p);
	for (p = end; *p != '='; p = end) {
		end = (char *)p + 1;
		if (*p == '@')
			vendor = strtoul(p + 1, &end, 10);
		else if (*p == '#')
			lie = strtoul(p + 1, &end, 10) + 1;
		else if (*p == '~')
			flags = (uint8_t)(flags & ~0x40);
		else if (*p == 'p')
			flags |= 0x20;
		else
			fail(p);
	}
	put(out, code, 4);
	put(out, vendor ? flags | 0x80u : flags, 1);
	put(out, 0, 3);
	if (vendor)
		put(out, vendor, 4);
	p = write_value(out, p + 1);
	length = out->len - start;
	while (out->len % 4 != 0)
		put(out, 0, 1);
	if (lie)
		length = lie - 1;
	for (unsigned i = 0; i < 3; i++)
		out->data[start + 5 + i] = (uint8_t)(length >> (16 - 8 * i));
	return p;
}

static const char *write_list(struct out *out, const char *p)
{
	for (;;) {
		while (isspace((unsigned char)*p))
			p++;
		if (*p == '\0' || *p == '}')
			return p;
		p = write_avp(out, p);
	}
}

size_t notation_write(const char *text, uint8_t *data, size_t size)
{
	struct out out = { data, 0, size };
	const char *end = write_list(&out, text);

	if (*end != '\0')
		fail(end);
	return out.len;
}

void message_start(struct message *message, uint32_t command, uint32_t application, uint8_t flags)
{
	struct out out = { message->data, 0, MESSAGE_MAX };

	put(&out, 1u << 24 | 20, 4);
	put(&out, (uint32_t)flags << 24 | command, 4);
	put(&out, application, 4);
	put(&out, 0x11111111, 4);
	put(&out, 0x22222222, 4);
	message->len = out.len;
}

void message_add(struct message *message, const char *text)
{
	message->len +=
		notation_write(text, message->data + message->len, MESSAGE_MAX - message->len);
	for (unsigned i = 0; i < 3; i++)
		message->data[1 + i] = (uint8_t)(message->len >> (16 - 8 * i));
}
