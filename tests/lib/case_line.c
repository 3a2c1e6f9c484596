/* One request line of a .case file, from words to structs.
 *
 * It refuses what it does not understand, unknown words above all: an ignored word is a test that
 * does not test. */
#include <ctype.h>
#include <stdlib.h>

#include "tests/lib/case_parse.h"

static int64_t number(struct parser *p, const char *text, int64_t max)
{
	int64_t value;
	const char *end;

	if (!gy_parse_digits(text, &end, &value) || *end != '\0' || value > max)
		gy_parse_fail(p, "'%s' is not a number from 0 to %lld", text, (long long)max);
	return value;
}

static uint32_t number32(struct parser *p, const char *text)
{
	return (uint32_t)number(p, text, UINT32_MAX);
}

/* ---- words ---- */

/* The value of a "name=value" word, NULL if it is another word. */
const char *gy_parse_value(const char *word, const char *name)
{
	size_t len = strlen(name);

	return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line, NULL at its end. A group, from '{' to '}', is one word. */
char *gy_parse_word(struct parser *p, const char **cursor)
{
	const char *start, *end;

	while (is_space(**cursor))
		(*cursor)++;
	start = end = *cursor;
	if (*start == '\0')
		return NULL;
	if (*start == '{') {
		end = strchr(start, '}');
		if (!end)
			gy_parse_fail(p, "'{' without '}'");
		end++;
	} else {
		while (*end != '\0' && !is_space(*end) && *end != '{' && *end != '}')
			end++;
		if (end == start)
			gy_parse_fail(p, "'}' without '{'");
	}
	*cursor = end;
	return gy_parse_copy(p, start, (size_t)(end - start));
}

/* The next part of a comma-separated list, NULL at its end. */
static char *next_part(struct parser *p, const char **cursor)
{
	const char *start = *cursor, *end;

	if (!start)
		return NULL;
	end = strchr(start, ',');
	*cursor = end ? end + 1 : NULL;
	return gy_parse_copy(p, start, end ? (size_t)(end - start) : strlen(start));
}

int gy_parse_subscriber(struct parser *p, const char *word)
{
	int64_t n;
	const char *end;

	if (word[0] != 'S' || !gy_parse_digits(word + 1, &end, &n) || *end != '\0' || n < 1 ||
	    n > 1000000)
		gy_parse_fail(p, "'%s' is not a subscriber such as S1", word);
	return (int)n;
}

static bool looks_like(const char *word, const char *first, size_t *rest)
{
	if (word[0] == '\0' || !strchr(first, word[0]) || !isdigit((unsigned char)word[1]))
		return false;
	*rest = 1 + strspn(word + 1, "0123456789");
	return word[*rest] == '\0';
}

static struct gy_case_raw raw_avp(struct parser *p, const char *text)
{
	struct gy_case_raw raw = { 0 };
	char *parts = gy_parse_copy(p, text, strlen(text)), *hex = parts;
	char *field[4];
	uint8_t *data;

	for (int i = 0; i < 4; i++) {
		field[i] = hex;
		hex = strchr(hex, ':');
		if (i < 3 && !hex)
			gy_parse_fail(p, "'%s' is not code:vendor:flags:hex", text);
		if (i < 3)
			*hex++ = '\0';
	}
	raw.code = number32(p, field[0]);
	raw.vendor = number32(p, field[1]);
	raw.len = strlen(field[3]) / 2;
	if (strlen(field[2]) != 2 || strspn(field[2], "0123456789abcdefABCDEF") != 2 ||
	    strlen(field[3]) % 2 != 0 ||
	    strspn(field[3], "0123456789abcdefABCDEF") != strlen(field[3]))
		gy_parse_fail(p, "'%s': flags are two hex digits, the value is pairs of them",
			      text);
	raw.flags = (uint8_t)strtoul(field[2], NULL, 16);
	data = gy_parse_take(p, raw.len + 1);
	for (size_t i = 0; i < raw.len; i++) {
		char pair[3] = { field[3][2 * i], field[3][2 * i + 1], '\0' };

		data[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	raw.data = data;
	return raw;
}

/* ---- groups ---- */

/* One amount of a list: [total:|in:|out:|money:]SIZE. */
static enum gy_case_quantity amount(struct parser *p, const char *text, int64_t *count)
{
	static const struct {
		const char *prefix;
		enum gy_case_quantity quantity;
	} prefixes[] = {
		{ "total:", GY_CASE_TOTAL },
		{ "in:", GY_CASE_INPUT },
		{ "out:", GY_CASE_OUTPUT },
	};
	enum gy_case_quantity quantity;

	if (strncmp(text, "money:", 6) == 0) {
		*count = gy_parse_money(p, text + 6);
		return GY_CASE_MONEY;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t len = strlen(prefixes[i].prefix);

		if (strncmp(text, prefixes[i].prefix, len) != 0)
			continue;
		if (!gy_case_size(text + len, &quantity, count) || quantity != GY_CASE_TOTAL)
			gy_parse_fail(p, "'%s' is not a number of octets", text + len);
		return prefixes[i].quantity;
	}
	if (!gy_case_size(text, &quantity, count))
		gy_parse_fail(p, "'%s' is not a size such as 8MiB, 60s or 3u", text);
	return quantity;
}

static struct gy_case_units units(struct parser *p, const char *text)
{
	struct gy_case_units u = { 0 };
	const char *cursor = text;
	char *part;

	while ((part = next_part(p, &cursor))) {
		int64_t count;
		enum gy_case_quantity q = amount(p, part, &count);

		if (u.present[q])
			gy_parse_fail(p, "'%s' names one kind of unit twice", text);
		u.present[q] = true;
		u.count[q] = count;
	}
	return u;
}

static int reason(struct parser *p, const char *text)
{
	static const char *const names[] = {
		"THRESHOLD",
		"QHT",
		"FINAL",
		"QUOTA_EXHAUSTED",
		"VALIDITY_TIME",
		"OTHER_QUOTA_TYPE",
		"RATING_CONDITION_CHANGE",
		"FORCED_REAUTHORISATION",
		"POOL_EXHAUSTED",
		"UNUSED_QUOTA_TIMER",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	if (isdigit((unsigned char)*text))
		return (int)number(p, text, INT32_MAX); /* a value that no table knows (G-11) */
	gy_parse_fail(p, "'%s' is not a Reporting-Reason", text);
}

struct group_head {
	bool at_command_level, has_rating_group;
	uint32_t rating_group;
	unsigned n_service_ids;
	const uint32_t *service_ids;
};

/* Takes "{RG/SI,SI:" off a group; returns the items without the braces. */
static const char *group_head(struct parser *p, const char *word, struct group_head *head)
{
	char *text = gy_parse_copy(p, word + 1, strlen(word) - 2);
	char *colon = strchr(text, ':'), *slash;

	if (!colon)
		gy_parse_fail(p, "'%s': a group is {RG: items} or {RG/SI: items}", word);
	*colon = '\0';
	slash = strchr(text, '/');
	if (slash) {
		const char *cursor = slash + 1;
		char *part;

		*slash = '\0';
		while ((part = next_part(p, &cursor)))
			APPEND(p, head->service_ids, head->n_service_ids, number32(p, part));
	}
	if (strcmp(text, "cmd") == 0) {
		head->at_command_level = true;
	} else if (strcmp(text, "-") != 0) {
		head->has_rating_group = true;
		head->rating_group = number32(p, text);
	}
	return colon + 1;
}

static void request_item(struct parser *p, const char *item, struct gy_case_service *s,
			 struct gy_case_used **used)
{
	const char *value;

	if (strcmp(item, "RSU") == 0 || gy_parse_value(item, "RSU")) {
		if (s->requested)
			gy_parse_fail(p, "two RSU in one group");
		s->requested = true;
		if (item[3] == '=')
			s->requested_units = units(p, item + 4);
	} else if (strcmp(item, "USU") == 0 || gy_parse_value(item, "USU")) {
		struct gy_case_used u = { .tariff_change = -1 };

		if (item[3] == '=')
			u.units = units(p, item + 4);
		APPEND(p, *used, s->n_used, u);
	} else if ((value = gy_parse_value(item, "TCU"))) {
		if (s->n_used == 0)
			gy_parse_fail(p, "TCU belongs after a USU");
		(*used)[s->n_used - 1].tariff_change = (int)number(p, value, INT32_MAX);
	} else if ((value = gy_parse_value(item, "reason"))) {
		s->reason = reason(p, value);
	} else if ((value = gy_parse_value(item, "usu-reason"))) {
		s->used_reason = reason(p, value);
	} else if ((value = gy_parse_value(item, "raw"))) {
		struct gy_case_raw raw = raw_avp(p, value);

		APPEND(p, s->raw, s->n_raw, raw);
	} else {
		gy_parse_fail(p, "unknown item '%s' in a request's group", item);
	}
}

static struct gy_case_service request_group(struct parser *p, const char *word)
{
	struct gy_case_service s = { .reason = -1, .used_reason = -1 };
	struct group_head head = { 0 };
	const char *cursor = group_head(p, word, &head);
	struct gy_case_used *used = NULL;
	char *item;

	s.at_command_level = head.at_command_level;
	s.has_rating_group = head.has_rating_group;
	s.rating_group = head.rating_group;
	s.n_service_ids = head.n_service_ids;
	s.service_ids = head.service_ids;
	while ((item = gy_parse_word(p, &cursor)))
		request_item(p, item, &s, &used);
	s.used = used;
	return s;
}

/* ---- requests ---- */

static void identities(struct parser *p, struct gy_case_request *r, const char *text)
{
	static const char *const kinds[] = { "imsi",    "e164",    "nai",
					     "sip-uri", "private", "user-name" };
	const char *cursor = text;
	char *part;

	r->n_identities = 0;
	r->identities = NULL;
	if (strcmp(text, "none") == 0)
		return;
	while ((part = next_part(p, &cursor))) {
		struct gy_case_identity identity = { .plus = *part == '+' };
		char *kind = part + identity.plus, *colon = strchr(kind, ':');
		size_t i;

		if (colon) {
			*colon = '\0';
			identity.value = colon + 1;
		}
		for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (strcmp(kind, kinds[i]) == 0)
				break;
		if (i == sizeof(kinds) / sizeof(kinds[0]) || (identity.plus && i != GY_CASE_E164))
			gy_parse_fail(p,
				      "id=%s: none, or a list of imsi, e164, +e164, nai, sip-uri, "
				      "private, "
				      "user-name, each with :VALUE or without",
				      text);
		identity.kind = (enum gy_case_identity_kind)i;
		APPEND(p, r->identities, r->n_identities, identity);
	}
}

static void proxy(struct parser *p, struct gy_case_request *r, const char *text)
{
	const char *colon = strchr(text, ':');
	struct gy_case_proxy made;

	if (!colon)
		gy_parse_fail(p, "proxy=%s: host:state", text);
	made.host = gy_parse_copy(p, text, (size_t)(colon - text));
	made.state = colon + 1;
	APPEND(p, r->proxies, r->n_proxies, made);
}

/* A flag with a value; false if it is none. */
static bool valued_flag(struct parser *p, const char *word, struct gy_case_request *r,
			struct gy_case_service *last_group)
{
	const char *v;

	if ((v = gy_parse_value(word, "id"))) {
		identities(p, r, v);
	} else if ((v = gy_parse_value(word, "e2e"))) {
		r->e2e_same = strcmp(v, "same") == 0;
		if (!r->e2e_same && strcmp(v, "new") != 0)
			gy_parse_fail(p, "e2e=%s: same or new", v);
	} else if ((v = gy_parse_value(word, "ctx"))) {
		r->no_context = strcmp(v, "none") == 0;
		r->context = r->no_context ? NULL : v;
	} else if ((v = gy_parse_value(word, "msi"))) {
		r->multiple_services = (int)number(p, v, INT32_MAX);
	} else if ((v = gy_parse_value(word, "realm"))) {
		r->realm = v;
	} else if ((v = gy_parse_value(word, "host"))) {
		r->host = v;
	} else if ((v = gy_parse_value(word, "action"))) {
		r->action = number32(p, v);
	} else if ((v = gy_parse_value(word, "aaid"))) {
		r->auth_application = number32(p, v);
	} else if ((v = gy_parse_value(word, "cc-type"))) {
		r->cc_type = number32(p, v);
	} else if ((v = gy_parse_value(word, "sub"))) {
		r->has_sub_session = true;
		r->sub_session = (uint64_t)number(p, v, INT64_MAX);
	} else if ((v = gy_parse_value(word, "conn"))) {
		r->connection = (unsigned)number(p, v, 64);
		if (r->connection == 0)
			gy_parse_fail(p, "conn= counts from 1");
	} else if ((v = gy_parse_value(word, "origin-state"))) {
		r->origin_state = number32(p, v);
	} else if ((v = gy_parse_value(word, "tcause"))) {
		r->termination_cause = number32(p, v);
	} else if ((v = gy_parse_value(word, "proxy"))) {
		proxy(p, r, v);
	} else if ((v = gy_parse_value(word, "raw"))) {
		struct gy_case_raw raw = raw_avp(p, v);

		APPEND(p, r->raw, r->n_raw, raw);
	} else if ((v = gy_parse_value(word, "mscc-raw"))) {
		struct gy_case_raw raw = raw_avp(p, v);

		if (!last_group)
			gy_parse_fail(p, "mscc-raw= belongs after a group");
		APPEND(p, last_group->raw, last_group->n_raw, raw);
	} else if ((v = gy_parse_value(word, "omit"))) {
		const char *cursor = v;
		char *part;

		while ((part = next_part(p, &cursor)))
			APPEND(p, r->omit, r->n_omit, number32(p, part));
	} else if ((v = gy_parse_value(word, "app"))) {
		r->header_application = number32(p, v);
	} else if ((v = gy_parse_value(word, "cmd"))) {
		r->header_command = number(p, v, 0xffffff);
	} else {
		return false;
	}
	return true;
}

static unsigned session_index(struct parser *p, const char *name)
{
	unsigned i;

	for (i = 0; i < p->current->n_sessions; i++)
		if (strcmp(p->sessions[i], name) == 0)
			return i;
	if (i == SESSIONS_MAX)
		gy_parse_fail(p, "more than %d sessions in one case", SESSIONS_MAX);
	p->sessions[i] = name;
	p->subscriber[i] = 0;
	p->last[i] = NULL;
	p->current->n_sessions++;
	return i;
}

static void fill_repeat(struct parser *p, struct gy_case_request *r)
{
	const struct gy_case_request *last = p->last[r->session];
	struct gy_case_request again;

	if (!last)
		gy_parse_fail(p, "repeat: this session has no request yet");
	if (last->type != r->type || last->number != r->number)
		gy_parse_fail(p, "repeat: the previous request of this session is %c%u", last->type,
			      last->number);
	if (r->n_services > 0)
		gy_parse_fail(p, "repeat takes the groups of the request it repeats");
	again = *last;
	again.repeat = true;
	again.e2e_same = true;
	again.t_bit = r->t_bit;
	again.connection = r->connection;
	*r = again;
}

/* Reads the part of a request line before "->". */
const struct gy_case_request *gy_parse_request(struct parser *p, const char *line)
{
	struct gy_case_request *r = gy_parse_take(p, sizeof(*r));
	struct gy_case_service *groups = NULL;
	const char *cursor = line, *session = "a";
	bool id_given = false;
	char *word;
	size_t rest;

	*r = (struct gy_case_request){ .multiple_services = -1,
				       .action = -1,
				       .auth_application = -1,
				       .cc_type = -1,
				       .connection = 1,
				       .origin_state = -1,
				       .termination_cause = -1,
				       .header_application = -1,
				       .header_command = -1 };
	while ((word = gy_parse_word(p, &cursor))) {
		if (*word == '{') {
			struct gy_case_service group = request_group(p, word);

			if (!r->type)
				gy_parse_fail(p, "a group before the request's type and number");
			APPEND(p, groups, r->n_services, group);
		} else if (looks_like(word, "S", &rest)) {
			r->subscriber = gy_parse_subscriber(p, word);
		} else if (*word == '@' && word[1] != '\0') {
			session = word + 1;
		} else if (looks_like(word, "IUTE", &rest)) {
			if (r->type)
				gy_parse_fail(p, "two requests on one line");
			r->type = *word;
			r->number = number32(p, word + 1);
		} else if (strcmp(word, "T") == 0) {
			r->t_bit = true;
		} else if (strcmp(word, "repeat") == 0) {
			r->repeat = true;
		} else if (strcmp(word, "reverse") == 0) {
			r->reverse = true;
		} else if (strcmp(word, "ebit") == 0) {
			r->header_error = true;
		} else if (valued_flag(p, word, r,
				       r->n_services > 0 ? &groups[r->n_services - 1] : NULL)) {
			id_given |= strncmp(word, "id=", 3) == 0;
		} else {
			gy_parse_fail(p, "unknown word '%s'", word);
		}
	}
	if (!r->type)
		gy_parse_fail(p, "no request such as I0, U1, T2 or E0 on this line");
	r->services = groups;
	r->session = session_index(p, session);
	if (r->subscriber)
		p->subscriber[r->session] = r->subscriber;
	r->subscriber = p->subscriber[r->session];
	if (r->subscriber && !id_given)
		identities(p, r, "imsi");
	if (!r->subscriber && !id_given && !p->last[r->session])
		gy_parse_fail(
			p, "the first request of session @%s names no subscriber (S1) and no id=",
			session);
	for (unsigned i = 0; i < r->n_identities; i++)
		if (!r->subscriber && !r->identities[i].value)
			gy_parse_fail(p, "id= without a value and no subscriber to take it from");
	if (r->repeat)
		fill_repeat(p, r);
	p->last[r->session] = r;
	return r;
}

/* ---- expectations ---- */

static struct gy_case_codes codes(struct parser *p, const char *text)
{
	struct gy_case_codes c = { 0 };
	const char *cursor = text;

	for (;;) {
		int64_t code;

		if (!gy_parse_digits(cursor, &cursor, &code) || code < 1000 || code > 9999 ||
		    (*cursor != '\0' && *cursor != '|') || c.n == GY_CASE_CODES_MAX)
			gy_parse_fail(p, "'%s' is not a Result-Code such as 2001 or 3002|3003",
				      text);
		c.code[c.n++] = (uint32_t)code;
		if (*cursor++ == '\0')
			return c;
	}
}

/* NAME=v, NAME<=v, NAME>v: the text of v, NULL if the word has another name. */
static const char *bounded(const char *word, const char *name, enum gy_case_test *test)
{
	size_t len = strlen(name);

	if (strncmp(word, name, len) != 0)
		return NULL;
	word += len;
	if (*word == '=') {
		*test = GY_CASE_EQUAL;
		return word + 1;
	}
	if (word[0] == '<' && word[1] == '=') {
		*test = GY_CASE_AT_MOST;
		return word + 2;
	}
	if (*word == '>') {
		*test = GY_CASE_ABOVE;
		return word + 1;
	}
	return NULL;
}

static int64_t final_unit(struct parser *p, const char *text)
{
	static const char *const names[] = { "TERMINATE", "REDIRECT", "RESTRICT" };

	for (int i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	gy_parse_fail(p, "FUI=%s: TERMINATE, REDIRECT or RESTRICT", text);
}

static void expect_item(struct parser *p, const char *item, struct gy_case_expect_service *s)
{
	const struct {
		const char *name;
		struct gy_case_bound *bound;
	} bounds[] = {
		{ "VT", &s->validity },        { "VQT", &s->volume_threshold },
		{ "TQT", &s->time_threshold }, { "UQT", &s->unit_threshold },
		{ "QHT", &s->quota_holding },
	};
	struct gy_case_bound bound = { 0 };
	const char *value;

	if (strcmp(item, "-GSU") == 0) {
		s->no_grant = true;
		return;
	}
	if (strcmp(item, "-FUI") == 0) {
		s->final_unit.test = GY_CASE_ABSENT;
		return;
	}
	if ((value = bounded(item, "GSU", &bound.test))) {
		enum gy_case_quantity q = amount(p, value, &bound.value);

		s->grant[q] = bound;
		return;
	}
	if ((value = gy_parse_value(item, "FUI"))) {
		s->final_unit = (struct gy_case_bound){ GY_CASE_EQUAL, final_unit(p, value) };
		return;
	}
	if ((value = gy_parse_value(item, "redirect"))) {
		s->redirect = value;
		return;
	}
	if ((value = gy_parse_value(item, "filter"))) {
		s->filter = value;
		return;
	}
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		enum gy_case_quantity q;

		if (*item == '-' && strcmp(item + 1, bounds[i].name) == 0) {
			bounds[i].bound->test = GY_CASE_ABSENT;
			return;
		}
		value = bounded(item, bounds[i].name, &bound.test);
		if (!value)
			continue;
		if (!gy_case_size(value, &q, &bound.value))
			gy_parse_fail(p, "'%s' is not a number", value);
		*bounds[i].bound = bound;
		return;
	}
	gy_parse_fail(p, "unknown item '%s' in an answer's group", item);
}

static struct gy_case_expect_service expect_group(struct parser *p, const char *word)
{
	struct gy_case_expect_service s = { 0 };
	struct group_head head = { 0 };
	const char *cursor = group_head(p, word, &head);
	char *item = gy_parse_word(p, &cursor);

	if (!item)
		gy_parse_fail(p, "'%s': an answer's group begins with its Result-Code", word);
	s.at_command_level = head.at_command_level;
	s.has_rating_group = head.has_rating_group;
	s.rating_group = head.rating_group;
	s.n_service_ids = head.n_service_ids;
	s.service_ids = head.service_ids;
	s.codes = codes(p, item);
	while ((item = gy_parse_word(p, &cursor)))
		expect_item(p, item, &s);
	return s;
}

const struct gy_case_expect *gy_parse_expect(struct parser *p, const char *line)
{
	struct gy_case_expect *e = gy_parse_take(p, sizeof(*e));
	const char *cursor = line, *value;
	char *word = gy_parse_word(p, &cursor);

	if (!word)
		gy_parse_fail(p, "nothing after '->'");
	e->codes = codes(p, word);
	while ((word = gy_parse_word(p, &cursor))) {
		if (*word == '{') {
			struct gy_case_expect_service group = expect_group(p, word);

			e->services_given = true;
			APPEND(p, e->services, e->n_services, group);
		} else if (strcmp(word, "-mscc") == 0) {
			e->no_service = true;
		} else if (strcmp(word, "same") == 0) {
			e->same = true;
		} else if ((value = gy_parse_value(word, "balance"))) {
			e->balance.test = GY_CASE_EQUAL;
			if (strcmp(value, "ENOUGH") == 0)
				e->balance.value = 0;
			else if (strcmp(value, "NO_CREDIT") == 0)
				e->balance.value = 1;
			else
				gy_parse_fail(p, "balance= is ENOUGH or NO_CREDIT");
		} else if ((value = gy_parse_value(word, "failed"))) {
			const char *parts = value;
			char *part;

			while ((part = next_part(p, &parts)))
				APPEND(p, e->failed, e->n_failed, number32(p, part));
		} else {
			gy_parse_fail(p, "unknown word '%s' after '->'", word);
		}
	}
	if (e->no_service && e->services_given)
		gy_parse_fail(p, "-mscc and groups contradict each other");
	return e;
}
