/* gyroctl card: what was bought: what is left of it, whom it serves, what it gave to which
 * Rating-Group; freezing and revoking it. */
#include <jansson.h>
#include <talloc.h>

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/order.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column list_columns[] = {
	{ .key = "card" },
	{ .key = "product" },
	{ .key = "state" },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit, .detail = true },
	{ .key = "quota", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "reserved", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "left", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "owner", .kind = GY_NUMBER },
	{ .key = "users" },
	{ .key = "valid_until", .kind = GY_INSTANT },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER, .detail = true },
	GY_COLUMNS_END,
};

#define CARD_SQL                                                                            \
	"SELECT s.card_id, s.code AS card, s.product, s.state, s.unit, s.quota, s.used,"    \
	" s.reserved, s.quota - s.used - s.reserved AS \"left\", s.owner, k.beneficiary,"   \
	" s.account_id, s.purchase_id, s.issued_at, s.valid_until,"                         \
	" (SELECT string_agg(b.subscriber_id::text, ' ' ORDER BY b.subscriber_id)"          \
	"   FROM gyro.card_binding b WHERE b.card_id = s.card_id AND b.unbound_at IS NULL)" \
	" AS users, k.directed, a.name AS app, u.name AS audience, k.max_bindings, k.cap,"  \
	" nullif(k.validity_s, 0) AS validity, k.validity_from, k.settle,"                  \
	" CASE WHEN k.settle = 2 THEN k.usage_price END AS usage_price,"                    \
	" CASE WHEN k.settle = 2 THEN k.usage_block END AS usage_per,"                      \
	" CASE WHEN k.settle = 2 THEN k.settled_until END AS settled_until,"                \
	" to_char(make_interval(mins => k.window_from), 'HH24:MI') || '-' ||"               \
	" to_char(make_interval(mins => k.window_until), 'HH24:MI') AS hours"               \
	" FROM gyro.card_state s JOIN gyro.card k USING (card_id)"                          \
	" LEFT JOIN gyro.app a USING (app_id) LEFT JOIN gyro.audience u USING (audience_id)"

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *owner = gy_args_flag(args, "owner"), *user = gy_args_flag(args, "user"), *limit;
	struct gy_rows *rows;

	if ((owner && !gy_pick_who(ctl, "--owner", owner, &owner)) ||
	    (user && !gy_pick_who(ctl, "--user", user, &user)) ||
	    !gy_pick_limit(ctl, args, 100, &limit))
		return ctl->status;
	rows = gy_db_query(ctl,
			   "SELECT * FROM (" CARD_SQL " WHERE ($1::bigint IS NULL OR s.owner = $1)"
			   " AND ($2::bigint IS NULL OR EXISTS (SELECT FROM gyro.card_binding b"
			   "  WHERE b.card_id = s.card_id AND b.subscriber_id = $2"
			   "  AND b.unbound_at IS NULL))"
			   " AND ($3::text IS NULL OR s.product = $3)) c"
			   " WHERE $4::text IS NULL OR state = upper($4) ORDER BY card_id LIMIT $5",
			   owner, user, gy_args_flag(args, "product"), gy_args_flag(args, "state"),
			   limit);
	if (!rows)
		return ctl->status;
	gy_pick_limited(ctl, rows, limit);
	gy_out_table(ctl, NULL, list_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column shown_columns[] = {
	{ .key = "card" },
	{ .key = "product" },
	{ .key = "state" },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "quota", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "reserved", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "left", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "issued_at", .title = "issued (UTC)", .kind = GY_INSTANT },
	{ .key = "valid_until", .kind = GY_INSTANT },
	{ .key = "validity", .kind = GY_DURATION },
	{ .key = "validity_from",
	  .title = "from",
	  .kind = GY_WORD,
	  .words = gy_words_validity_from },
	{ .key = "hours", .title = "local hours" },
	{ .key = "owner", .kind = GY_NUMBER },
	{ .key = "beneficiary", .title = "for", .kind = GY_NUMBER },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "purchase_id", .title = "purchase" },
	{ .key = "directed",
	  .title = "directed info",
	  .kind = GY_WORD,
	  .words = gy_words_directed },
	{ .key = "app", .title = "for the app" },
	{ .key = "audience", .title = "specified users" },
	{ .key = "max_bindings", .title = "users at a time", .kind = GY_NUMBER },
	{ .key = "cap", .title = "cap of a user", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "settle", .title = "paid by", .kind = GY_WORD, .words = gy_words_settle },
	{ .key = "usage_price", .kind = GY_MONEY },
	{ .key = "usage_per", .title = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "settled_until", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

static const struct gy_column binding_columns[] = {
	{ .key = "binding_id", .title = "binding", .kind = GY_NUMBER },
	{ .key = "subscriber_id", .title = "subscriber", .kind = GY_NUMBER },
	{ .key = "identity" },
	{ .key = "user_class", .kind = GY_WORD, .words = gy_words_user_class },
	{ .key = "targets", .title = "Rating-Groups", .kind = GY_LIST },
	{ .key = "priority", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit, .detail = true },
	{ .key = "cap", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "drawn", .title = "of it drawn", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "bound_at", .title = "bound (UTC)", .kind = GY_INSTANT },
	{ .key = "unbound_at", .title = "until (UTC)", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

/* A general binding has no targets: it serves all. */
static bool show_bindings(struct gy_ctl *ctl, const char *card, const char *unit)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT b.binding_id, b.subscriber_id, b.user_class, b.priority, b.cap,"
		" $2::smallint AS unit, b.bound_at, b.unbound_at,"
		" (SELECT value FROM gyro.subscriber_identity i"
		"   WHERE i.subscriber_id = b.subscriber_id ORDER BY kind, value LIMIT 1) AS "
		"identity,"
		" to_json(CASE WHEN b.directed THEN ARRAY(SELECT rating_group ||"
		"  CASE WHEN service_id >= 0 THEN '/' || service_id ELSE '' END"
		"  FROM gyro.binding_target t WHERE t.binding_id = b.binding_id"
		"  ORDER BY rating_group, service_id) ELSE ARRAY['all'] END) AS targets,"
		" CASE WHEN b.cap IS NOT NULL THEN (SELECT coalesce(sum(d.used), 0)"
		"  FROM gyro.subscriber s JOIN gyro.card_draw d ON d.account_id = s.account_id"
		"  WHERE s.subscriber_id = b.subscriber_id AND d.card_id = b.card_id"
		"  AND d.subscriber_id = b.subscriber_id) END AS drawn"
		" FROM gyro.card_binding b WHERE b.card_id = $1"
		" ORDER BY b.unbound_at DESC NULLS FIRST, b.binding_id LIMIT 100",
		card, unit);

	if (rows)
		gy_out_table(ctl, "bindings", binding_columns, rows);
	return rows != NULL;
}

static const struct gy_column draw_columns[] = {
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "name" },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit, .detail = true },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "closed", .title = "in closed windows", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "open", .title = "since then", .kind = GY_UNITS, .unit = "unit" },
	GY_COLUMNS_END,
};

/* Of a card that has left its row, what its windows say. */
static bool show_draws(struct gy_ctl *ctl, const char *card, const char *account, const char *unit)
{
	struct gy_rows *rows =
		gy_db_query(ctl,
			    "SELECT d.rating_group, g.name, $3::smallint AS unit, d.used, d.closed,"
			    " d.used - d.closed AS open FROM ("
			    "  SELECT rating_group, used, closed FROM gyro.card_draw"
			    "   WHERE account_id = $2 AND card_id = $1 AND subscriber_id = 0"
			    "  UNION ALL SELECT l.rating_group, sum(l.used), sum(l.used) FROM "
			    "gyro.usage_window w"
			    "   JOIN gyro.usage_window_line l USING (window_id) JOIN gyro.card k "
			    "USING (card_id)"
			    "   WHERE w.card_id = $1 AND k.retired IS NOT NULL GROUP BY 1) d"
			    " LEFT JOIN gyro.rating_group g USING (rating_group) ORDER BY 1",
			    card, account, unit);

	if (rows)
		gy_out_table(ctl, "draws", draw_columns, rows);
	return rows != NULL;
}

static const struct gy_column window_columns[] = {
	{ .key = "window_id", .title = "window", .kind = GY_NUMBER },
	{ .key = "opened", .title = "from (UTC)", .kind = GY_INSTANT },
	{ .key = "closed", .title = "until (UTC)", .kind = GY_INSTANT },
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit, .detail = true },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "amount", .kind = GY_MONEY },
	GY_COLUMNS_END,
};

static bool show_windows(struct gy_ctl *ctl, const char *card, const char *unit)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT w.window_id, w.opened, w.closed, l.rating_group, $2::smallint AS unit,"
		" l.used, l.amount FROM (SELECT * FROM gyro.usage_window WHERE card_id = $1"
		"  ORDER BY window_id DESC LIMIT 10) w JOIN gyro.usage_window_line l USING "
		"(window_id)"
		" ORDER BY w.window_id, l.rating_group",
		card, unit);

	if (rows)
		gy_out_table(ctl, "windows", window_columns, rows);
	return rows != NULL;
}

static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows = gy_db_query(ctl, CARD_SQL " WHERE s.code = $1", args->words[0]);
	const char *card, *unit;

	if (!rows)
		return ctl->status;
	if (rows->n == 0)
		return gy_fail(ctl, GY_EXIT_FAILED,
			       "card %s does not exist: gyroctl card list shows what does",
			       args->words[0]);
	gy_out_fields(ctl, NULL, shown_columns, rows, 0);
	card = gy_rows_get(rows, 0, "card_id");
	unit = gy_rows_get(rows, 0, "unit");
	if (!show_bindings(ctl, card, unit) ||
	    !show_draws(ctl, card, gy_rows_get(rows, 0, "account_id"), unit) ||
	    !show_windows(ctl, card, unit))
		return ctl->status;
	return GY_EXIT_OK;
}

static enum gy_exit set_state(struct gy_ctl *ctl, const struct gy_args *args, const char *state)
{
	struct gy_rows *rows;

	if (!gy_db_query(ctl, "SELECT gyro.card_set_state($1, $2::smallint)", args->words[0],
			 state))
		return ctl->status;
	rows = gy_db_query(ctl, CARD_SQL " WHERE s.code = $1", args->words[0]);
	if (!rows || rows->n != 1)
		return ctl->status;
	gy_out_say(ctl, "card %s is %s", args->words[0], gy_rows_get(rows, 0, "state"));
	gy_out_member(ctl, "card", json_string(args->words[0]));
	gy_out_member(ctl, "state", json_string(gy_rows_get(rows, 0, "state")));
	return GY_EXIT_OK;
}

static enum gy_exit freeze(struct gy_ctl *ctl, const struct gy_args *args)
{
	return set_state(ctl, args, "3");
}

static enum gy_exit unfreeze(struct gy_ctl *ctl, const struct gy_args *args)
{
	return set_state(ctl, args, "2");
}

static enum gy_exit revoke(struct gy_ctl *ctl, const struct gy_args *args)
{
	return set_state(ctl, args, "4");
}

static const struct gy_flag list_flags[] = {
	{ "owner", "WHO", "cards that this subscriber bought" },
	{ "user", "WHO", "cards that serve this subscriber" },
	{ "product", "PRODUCT", "cards of this product" },
	{ "state", "STATE", "issued, bound, exhausted, expired, frozen or revoked" },
	GY_LIMIT_FLAG,
	GY_FLAGS_END,
};

const struct gy_command gy_card_commands[] = {
	{ "card list", "", 0, 0, "Lists cards: state, what is left, whom they serve",
	  "WHO is a subscriber's number, or an identity such as imsi:001010000000001.",
	  "  gyroctl card list --user imsi:001010000000001\n  gyroctl card list --state bound "
	  "--json",
	  GY_NEEDS_SCHEMA, list_flags, list },
	{ "card show", "CARD", 1, 1,
	  "Shows a card: quota, users, what each Rating-Group drew, windows", NULL,
	  "  gyroctl card show c12", GY_NEEDS_SCHEMA, NULL, show },
	{ "card freeze", "CARD", 1, 1, "Freezes a card: nothing more is granted from it",
	  "What sessions hold of it they may still use; they are asked to come back at once.",
	  "  gyroctl card freeze c12", GY_NEEDS_SCHEMA, NULL, freeze },
	{ "card unfreeze", "CARD", 1, 1, "Lets a frozen card be used again", NULL,
	  "  gyroctl card unfreeze c12", GY_NEEDS_SCHEMA, NULL, unfreeze },
	{ "card revoke", "CARD", 1, 1, "Revokes a card for good", NULL, "  gyroctl card revoke c12",
	  GY_NEEDS_SCHEMA, NULL, revoke },
	GY_COMMANDS_END,
};
