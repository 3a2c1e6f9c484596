/* See pick.h. */
#include "deploy/gyroctl/pick.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/limits.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"
#include "extensions/app_gyro/session_key.h"

static const char *const identity_options[GY_IDENTITY_COUNT] = {
	"imsi", "e164", "nai", "sip-uri", "private", "user-name"
};

static bool has_flag(const struct gy_args *args, const char *name)
{
	for (const struct gy_flag *f = args->command->flags; f && f->name; f++)
		if (strcmp(f->name, name) == 0)
			return true;
	return false;
}

const char *gy_pick_identity(const struct gy_args *args, int kind)
{
	const char *option = identity_options[kind - 1];

	return has_flag(args, option) ? gy_args_flag(args, option) : NULL;
}

const char *gy_pick_number(struct gy_ctl *ctl, const char *what, const char *text)
{
	int64_t number;

	if (gy_number_parse(text, 1, GY_AMOUNT_MAX, &number))
		return talloc_asprintf(ctl->pool, "%lld", (long long)number);
	gy_fail(ctl, GY_EXIT_USAGE, "%s is not the number of a%s %s", text,
		strchr("aeiou", what[0]) ? "n" : "", what);
	return NULL;
}

static bool by_identity(struct gy_ctl *ctl, int kind, const char *value, const char **id)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT subscriber_id FROM gyro.subscriber_identity WHERE kind = $1 AND value = $2",
		talloc_asprintf(ctl->pool, "%d", kind), value);

	if (!rows)
		return false;
	if (rows->n == 0) {
		gy_fail(ctl, GY_EXIT_FAILED,
			"no subscriber has %s %s: gyroctl subscriber list shows them",
			gy_words_identity[kind], value);
		return false;
	}
	*id = gy_rows_get(rows, 0, "subscriber_id");
	return true;
}

static bool exists(struct gy_ctl *ctl, const char *what, const char *sql, const char *id)
{
	struct gy_rows *rows = gy_db_run(ctl, sql, 1, &id);

	if (rows && rows->n == 0)
		gy_fail(ctl, GY_EXIT_FAILED,
			"%s %s does not exist: gyroctl %s list shows what does", what, id, what);
	return rows && rows->n > 0;
}

bool gy_pick_subscriber(struct gy_ctl *ctl, const struct gy_args *args, int word, bool optional,
			const char **id)
{
	const char *number = word >= 0 && word < args->n_words ? args->words[word] : NULL;
	int kind = 0, named = 0;

	*id = NULL;
	if (!number && has_flag(args, "subscriber"))
		number = gy_args_flag(args, "subscriber");
	for (int k = 1; k <= GY_IDENTITY_COUNT; k++)
		if (gy_pick_identity(args, k)) {
			kind = k;
			named++;
		}
	if (named + (number ? 1 : 0) > 1) {
		gy_fail(ctl, GY_EXIT_USAGE,
			"name the subscriber once, by number or by one identity");
		return false;
	}
	if (kind)
		return by_identity(ctl, kind, gy_pick_identity(args, kind), id);
	if (!number) {
		if (!optional)
			gy_fail(ctl, GY_EXIT_USAGE,
				"which subscriber? Name its number or an identity, e.g. --imsi");
		return optional;
	}
	number = gy_pick_number(ctl, "subscriber", number);
	if (!number || !exists(ctl, "subscriber",
			       "SELECT FROM gyro.subscriber WHERE subscriber_id = $1", number))
		return false;
	*id = number;
	return true;
}

bool gy_pick_who(struct gy_ctl *ctl, const char *option, const char *text, const char **id)
{
	struct gy_rows *rows =
		gy_db_query(ctl, "SELECT gyro.subscriber_named($1, false) AS id", text);

	if (!rows)
		return false;
	*id = gy_rows_get(rows, 0, "id");
	if (!*id)
		gy_fail(ctl, GY_EXIT_FAILED,
			"%s %s names no subscriber, or more than one: give its number, or an "
			"identity such as imsi:001010000000001",
			option, text);
	return *id != NULL;
}

bool gy_pick_account(struct gy_ctl *ctl, const struct gy_args *args, bool optional, const char **id)
{
	const char *number = gy_args_flag(args, "account"), *subscriber;
	struct gy_rows *rows;

	*id = NULL;
	if (!gy_pick_subscriber(ctl, args, -1, true, &subscriber))
		return false;
	if (number && subscriber) {
		gy_fail(ctl, GY_EXIT_USAGE, "name an account or a subscriber, not both");
		return false;
	}
	if (number) {
		number = gy_pick_number(ctl, "account", number);
		if (!number || !exists(ctl, "account",
				       "SELECT FROM gyro.account WHERE account_id = $1", number))
			return false;
		*id = number;
		return true;
	}
	if (!subscriber) {
		if (!optional)
			gy_fail(ctl, GY_EXIT_USAGE,
				"which account? --account, --subscriber or an identity, e.g. "
				"--imsi");
		return optional;
	}
	rows = gy_db_query(ctl, "SELECT account_id FROM gyro.subscriber WHERE subscriber_id = $1",
			   subscriber);
	if (rows && rows->n > 0)
		*id = gy_rows_get(rows, 0, "account_id");
	return *id != NULL;
}

/* 8-4-4-4-12 hexadecimal digits */
static bool is_uuid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-'
							    : !isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

/* The key of a Session-Id without CC-Sub-Session-Id, as a uuid. */
static const char *key_of(void *pool, const char *session_id)
{
	struct gy_bytes bytes = { (const uint8_t *)session_id, strlen(session_id) };
	struct gy_session_key key = gy_session_key(bytes, false, 0);

	return talloc_asprintf(pool, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(key.hi >> 32),
			       (unsigned)(key.hi >> 16 & 0xffff), (unsigned)(key.hi & 0xffff),
			       (unsigned)(key.lo >> 48),
			       (unsigned long long)(key.lo & 0xffffffffffff));
}

bool gy_pick_session(struct gy_ctl *ctl, const char *text, const char **key)
{
	const char *wanted = is_uuid(text) ? text : key_of(ctl->pool, text);
	struct gy_rows *rows = gy_db_query(
		ctl, "SELECT session FROM gyro.session_index WHERE session = $1::uuid", wanted);

	/* With a CC-Sub-Session-Id the key can't be told from the Session-Id: look at all of them.
	 */
	if (rows && rows->n == 0)
		rows = gy_db_query(
			ctl, "SELECT session FROM gyro.session_index WHERE session_id = $1 LIMIT 2",
			text);
	if (!rows)
		return false;
	if (rows->n == 0)
		gy_fail(ctl, GY_EXIT_FAILED,
			"session %s is not known: gyroctl session list shows what is", text);
	else if (rows->n > 1)
		gy_fail(ctl, GY_EXIT_FAILED,
			"%s has several sub-sessions: name one by its key (session list --json)",
			text);
	else
		*key = gy_rows_get(rows, 0, "session");
	return rows->n == 1;
}

bool gy_pick_money(struct gy_ctl *ctl, const char *what, const char *text, const char **micros)
{
	int64_t amount;

	if (!gy_money_parse(text, &amount)) {
		gy_fail(ctl, GY_EXIT_USAGE,
			"%s %s is not an amount of money such as 12.50, at most six decimals", what,
			text);
		return false;
	}
	*micros = talloc_asprintf(ctl->pool, "%lld", (long long)amount);
	return true;
}

bool gy_pick_limit(struct gy_ctl *ctl, const struct gy_args *args, int otherwise,
		   const char **limit)
{
	const char *text = gy_args_flag(args, "limit");
	int64_t n = otherwise;

	if (text && !gy_number_parse(text, 0, INT32_MAX - 1, &n)) {
		gy_fail(ctl, GY_EXIT_USAGE, "--limit %s is not a number of rows", text);
		return false;
	}
	*limit = n == 0 ? NULL : talloc_asprintf(ctl->pool, "%d", (int)n + 1);
	return true;
}

void gy_pick_limited(struct gy_ctl *ctl, struct gy_rows *rows, const char *limit)
{
	if (!limit || rows->n < atoi(limit))
		return;
	rows->n--;
	fflush(stdout);
	fprintf(stderr, "gyroctl: %s: there are more, %d are shown: --limit 0 shows all\n",
		ctl->doing, rows->n);
}
