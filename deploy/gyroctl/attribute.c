/* gyroctl attribute, dynamic-code: what a subscriber's price follows. Values of a wrong type are
 * refused by the database. */
#include <string.h>
#include <talloc.h>

#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/show.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column type_columns[] = {
	{ .key = "name" },
	{ .key = "source", .kind = GY_WORD, .words = gy_words_source },
	{ .key = "derivation", .kind = GY_WORD, .words = gy_words_derivation },
	{ .key = "type", .kind = GY_WORD, .words = gy_words_value_type },
	{ .key = "default" },
	{ .key = "on_change", .kind = GY_WORD, .words = gy_words_on_change },
	{ .key = "calendar" },
	{ .key = "all_groups", .kind = GY_BOOL },
	{ .key = "codes", .title = "dynamic codes" },
	GY_COLUMNS_END,
};

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT a.name, source, derivation, value_type AS type, default_value AS default,"
		" on_change, c.name AS calendar, all_groups,"
		" (SELECT string_agg(code, ' ' ORDER BY code) FROM gyro.dynamic_code d"
		"  WHERE d.attribute_id = a.attribute_id) AS codes"
		" FROM gyro.attribute_type a LEFT JOIN gyro.calendar c USING (calendar_id)"
		" ORDER BY a.name");

	(void)args;
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, NULL, type_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column value_columns[] = {
	{ .key = "name", .title = "attribute" },
	{ .key = "value" },
	{ .key = "type", .kind = GY_WORD, .words = gy_words_value_type },
	{ .key = "valid_from", .kind = GY_INSTANT },
	{ .key = "valid_until", .kind = GY_INSTANT },
	{ .key = "valid_now", .title = "now", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static const struct gy_column code_columns[] = {
	{ .key = "code", .title = "dynamic code" },
	{ .key = "name", .title = "attribute" },
	{ .key = "valid_from", .kind = GY_INSTANT },
	{ .key = "valid_until", .kind = GY_INSTANT },
	{ .key = "valid_now", .title = "now", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

#define NOW "valid_from <= clock_timestamp() AND clock_timestamp() < valid_until AS valid_now"

static bool show_values(struct gy_ctl *ctl, const char *name, const char *id)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT name, value, value_type AS type, valid_from, valid_until, " NOW
		" FROM gyro.subscriber_attribute JOIN gyro.attribute_type USING (attribute_id)"
		" WHERE subscriber_id = $1 ORDER BY name, valid_from",
		id);

	if (rows)
		gy_out_table(ctl, name, value_columns, rows);
	return rows != NULL;
}

static bool show_codes(struct gy_ctl *ctl, const char *name, const char *id)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT code, name, valid_from, valid_until, " NOW
		" FROM gyro.subscriber_dynamic_code JOIN gyro.dynamic_code USING (code_id)"
		" JOIN gyro.attribute_type USING (attribute_id)"
		" WHERE subscriber_id = $1 ORDER BY code, valid_from",
		id);

	if (rows)
		gy_out_table(ctl, name, code_columns, rows);
	return rows != NULL;
}

bool gy_show_attributes(struct gy_ctl *ctl, const char *subscriber)
{
	return show_codes(ctl, "dynamic_codes", subscriber) &&
	       show_values(ctl, "attributes", subscriber);
}

static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id;

	if (!gy_pick_subscriber(ctl, args, 0, false, &id) || !show_values(ctl, NULL, id))
		return ctl->status;
	return GY_EXIT_OK;
}

/* An instant of the command line; NULL if it isn't given. False after an error. */
static bool instant(struct gy_ctl *ctl, const struct gy_args *args, const char *flag,
		    const char **out)
{
	const char *text = gy_args_flag(args, flag);
	char iso[GY_AMOUNT_TEXT];
	int64_t us;

	*out = NULL;
	if (!text)
		return true;
	if (!gy_instant_parse(text, &us)) {
		gy_fail(ctl, GY_EXIT_USAGE,
			"--%s %s is not an instant such as 2026-01-31T08:00:00Z", flag, text);
		return false;
	}
	gy_instant_format(us, iso);
	*out = talloc_strdup(ctl->pool, iso);
	return true;
}

/* value NULL takes the value away. */
static enum gy_exit put(struct gy_ctl *ctl, const struct gy_args *args, const char *value)
{
	const char *id, *from, *until;

	if (!instant(ctl, args, "from", &from) || !instant(ctl, args, "until", &until) ||
	    !gy_pick_subscriber(ctl, args, -1, false, &id))
		return ctl->status;
	if (!gy_db_query(ctl,
			 "SELECT gyro.attribute_set($1, $2, $3,"
			 " coalesce($4::timestamptz, clock_timestamp()),"
			 " coalesce($5::timestamptz, 'infinity'))",
			 id, args->words[0], value, from, until) ||
	    !show_values(ctl, NULL, id))
		return ctl->status;
	return GY_EXIT_OK;
}

static enum gy_exit set(struct gy_ctl *ctl, const struct gy_args *args)
{
	return put(ctl, args, args->words[1]);
}

static enum gy_exit unset(struct gy_ctl *ctl, const struct gy_args *args)
{
	return put(ctl, args, NULL);
}

static const struct gy_column pushed_columns[] = {
	{ .key = "name", .title = "attribute" },
	{ .key = "scope" },
	{ .key = "value" },
	{ .key = "valid_from", .kind = GY_INSTANT },
	{ .key = "valid_until", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

static bool show_pushed(struct gy_ctl *ctl, const char *attribute)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT name, scope, value, valid_from, valid_until FROM gyro.pushed_value"
		" JOIN gyro.attribute_type USING (attribute_id) WHERE valid_until > "
		"clock_timestamp()"
		" AND ($1::text IS NULL OR name = $1) ORDER BY name, scope, valid_from",
		attribute);

	if (rows)
		gy_out_table(ctl, NULL, pushed_columns, rows);
	return rows != NULL;
}

static enum gy_exit pushed(struct gy_ctl *ctl, const struct gy_args *args)
{
	return show_pushed(ctl, args->n_words > 0 ? args->words[0] : NULL) ? GY_EXIT_OK
									   : ctl->status;
}

static enum gy_exit push(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *scope = gy_args_flag(args, "scope"), *until;

	if (!instant(ctl, args, "until", &until))
		return ctl->status;
	if (!gy_db_query(ctl,
			 "SELECT gyro.attribute_push($1, $2, $3,"
			 " coalesce($4::timestamptz, 'infinity'))",
			 args->words[0], scope ? scope : "",
			 args->n_words > 1 ? args->words[1] : NULL, until))
		return ctl->status;
	return show_pushed(ctl, args->words[0]) ? GY_EXIT_OK : ctl->status;
}

static enum gy_exit assign(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id, *from, *until;
	struct gy_rows *rows;

	if (!instant(ctl, args, "from", &from) || !instant(ctl, args, "until", &until) ||
	    !gy_pick_subscriber(ctl, args, -1, false, &id))
		return ctl->status;
	rows = gy_db_query(ctl,
			   "INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id,"
			   " valid_from, valid_until) SELECT $1::bigint, code_id,"
			   " coalesce($3::timestamptz, clock_timestamp()),"
			   " coalesce($4::timestamptz, 'infinity')"
			   " FROM gyro.dynamic_code WHERE code = $2",
			   id, args->words[0], from, until);
	if (!rows)
		return ctl->status;
	if (rows->affected != 1)
		return gy_fail(ctl, GY_EXIT_FAILED, "there is no dynamic code %s", args->words[0]);
	return show_codes(ctl, NULL, id) ? GY_EXIT_OK : ctl->status;
}

static enum gy_exit unassign(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id;
	struct gy_rows *rows;

	if (!gy_pick_subscriber(ctl, args, -1, false, &id))
		return ctl->status;
	rows = gy_db_query(
		ctl,
		"UPDATE gyro.subscriber_dynamic_code s SET valid_until = clock_timestamp()"
		" FROM gyro.dynamic_code c WHERE s.code_id = c.code_id AND c.code = $2"
		" AND s.subscriber_id = $1 AND s.valid_from <= clock_timestamp()"
		" AND s.valid_until > clock_timestamp()",
		id, args->words[0]);
	if (!rows)
		return ctl->status;
	if (rows->affected != 1)
		return gy_fail(ctl, GY_EXIT_FAILED, "subscriber %s doesn't have dynamic code %s",
			       id, args->words[0]);
	return show_codes(ctl, NULL, id) ? GY_EXIT_OK : ctl->status;
}

#define SUBSCRIBER_FLAG                                 \
	{                                               \
		"subscriber", "SUBSCRIBER", "by number" \
	}
static const struct gy_flag identity_flags[] = { GY_IDENTITY_FLAGS, GY_FLAGS_END };
static const struct gy_flag whose_flags[] = { SUBSCRIBER_FLAG, GY_IDENTITY_FLAGS, GY_FLAGS_END };
static const struct gy_flag set_flags[] = {
	{ "from", "TIME", "from then on (default: now)" },
	{ "until", "TIME", "until then (default: for ever)" },
	SUBSCRIBER_FLAG,
	GY_IDENTITY_FLAGS,
	GY_FLAGS_END,
};
static const struct gy_flag push_flags[] = {
	{ "scope", "SCOPE",
	  "the cell, area, network or APN, such as 46000-1a2b-003c, 46000-1a2b, "
	  "46000 or internet (default: everywhere)" },
	{ "until", "TIME", "until then (default: for ever)" },
	GY_FLAGS_END,
};

const struct gy_command gy_attribute_commands[] = {
	{ "attribute list", "", 0, 0, "Lists attribute types: what a price may follow", NULL,
	  "  gyroctl attribute list", GY_NEEDS_SCHEMA, NULL, list },
	{ "attribute show", "[SUBSCRIBER]", 0, 1, "Shows a subscriber's stored attributes", NULL,
	  "  gyroctl attribute show 1", GY_NEEDS_SCHEMA, identity_flags, show },
	{ "attribute set", "NAME VALUE", 2, 2, "Sets a stored attribute of a subscriber",
	  "What was in force ends where the new value begins. Open sessions learn of it as the "
	  "attribute's\ntype says (on_change).",
	  "  gyroctl attribute set credit_level 5 --subscriber 1\n"
	  "  gyroctl attribute set loyalty_tier gold --imsi 460001000000001 --from 2026-01-01",
	  GY_NEEDS_SCHEMA, set_flags, set },
	{ "attribute unset", "NAME", 1, 1, "Takes a stored attribute away from a subscriber", NULL,
	  "  gyroctl attribute unset credit_level --subscriber 1", GY_NEEDS_SCHEMA, set_flags,
	  unset },
	{ "attribute push", "NAME [VALUE]", 1, 2,
	  "Sets a pushed attribute from now on; without VALUE it ends now",
	  "Open sessions that it concerns learn of it as the attribute's type says (on_change).",
	  "  gyroctl attribute push congestion high --scope 46000-1a2b-003c\n"
	  "  gyroctl attribute push congestion --scope 46000-1a2b-003c",
	  GY_NEEDS_SCHEMA, push_flags, push },
	{ "attribute pushed", "[NAME]", 0, 1, "Lists pushed values that hold now or later", NULL,
	  "  gyroctl attribute pushed congestion", GY_NEEDS_SCHEMA, NULL, pushed },
	{ "dynamic-code assign", "CODE", 1, 1, "Gives a subscriber a dynamic tariff code", NULL,
	  "  gyroctl dynamic-code assign vip --subscriber 1", GY_NEEDS_SCHEMA, set_flags, assign },
	{ "dynamic-code unassign", "CODE", 1, 1, "Ends a dynamic tariff code of a subscriber now",
	  NULL, "  gyroctl dynamic-code unassign vip --subscriber 1", GY_NEEDS_SCHEMA, whose_flags,
	  unassign },
	GY_COMMANDS_END,
};
