/* gyroctl apply: a catalogue file becomes what the database says, all of it or nothing.
 *
 * A dry run does everything in a transaction that is rolled back: it finds what the real run would.
 * It leaves the rows of accounts unlocked, so nodes go on charging (gyro.is_trial). Numbers that it
 * took from sequences are lost.
 */
#include "deploy/gyroctl/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "deploy/gyroctl/catalogue.h"
#include "deploy/gyroctl/diff.h"
#include "deploy/gyroctl/prices.h"
#include "deploy/gyroctl/sound.h"
#include "deploy/gyroctl/table.h"

static const char *const action_words[] = { "add", "change", "replace", "remove" };

static const struct gy_column columns[] = {
	{ .key = "action" },     { .key = "what" },
	{ .key = "difference" }, { .key = "line", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

/* One column of a change as people read it: "price 0.10 -> 0.20". */
static char *difference(void *pool, char *line, const struct gy_change *change, int column)
{
	const struct gy_column *all = gy_sections[change->section].columns;
	struct gy_grid old = { all, gy_columns_count(all), 1, change->old };
	struct gy_grid wanted = { all, gy_columns_count(all), 1, change->wanted };
	const char *after = gy_cell_text(pool, &wanted, 0, column);

	if (!change->old && !*after)
		return line;
	if (*line)
		line = talloc_strdup_append(line, ", ");
	line = talloc_asprintf_append(line, "%s ", all[column].key);
	if (change->old) {
		const char *before = gy_cell_text(pool, &old, 0, column);

		line = talloc_asprintf_append(line, "%s -> ", *before ? before : "none");
	}
	return talloc_strdup_append(line, *after ? after : "none");
}

static void show_table(struct gy_ctl *ctl, const struct gy_diff *diff)
{
	const char **cells = talloc_array(ctl->pool, const char *, (unsigned)(diff->n * 4 + 1));
	struct gy_grid grid = { columns, 4, diff->n, cells };

	gy_assert(cells);
	for (int i = 0; i < diff->n; i++) {
		const struct gy_change *change = &diff->changes[i];
		char *line = talloc_strdup(ctl->pool, "");

		for (int c = 0; gy_sections[change->section].columns[c].key; c++)
			if (gy_change_concerns(change, c))
				line = difference(ctl->pool, line, change, c);
		cells[i * 4] = action_words[change->action];
		cells[i * 4 + 1] = gy_section_what(ctl->pool, change->section,
						   change->wanted ? change->wanted : change->old);
		cells[i * 4 + 2] = line;
		cells[i * 4 + 3] =
			change->line ? talloc_asprintf(ctl->pool, "%d", change->line) : NULL;
	}
	gy_out_grid(ctl, NULL, &grid);
}

static json_t *change_json(struct gy_ctl *ctl, const struct gy_change *change)
{
	const struct gy_section *section = &gy_sections[change->section];
	int n = gy_columns_count(section->columns);
	struct gy_grid old = { section->columns, n, 1, change->old };
	struct gy_grid wanted = { section->columns, n, 1, change->wanted };
	const struct gy_grid *either = change->wanted ? &wanted : &old;
	json_t *object = json_object(), *key = json_object(), *fields = json_array();

	for (int c = 0; c < gy_section_keys(section); c++)
		json_object_set_new(key, section->columns[c].key, gy_cell_json(either, 0, c));
	for (int c = 0; c < n; c++) {
		json_t *field;

		if (!gy_change_concerns(change, c))
			continue;
		field = json_object();
		json_object_set_new(field, "field", json_string(section->columns[c].key));
		if (change->old)
			json_object_set_new(field, "old", gy_cell_json(&old, 0, c));
		json_object_set_new(field, "new", gy_cell_json(&wanted, 0, c));
		json_array_append_new(fields, field);
	}
	json_object_set_new(object, "action", json_string(action_words[change->action]));
	json_object_set_new(object, "section", json_string(section->name));
	json_object_set_new(
		object, "what",
		json_string(gy_section_what(ctl->pool, change->section, either->cells)));
	json_object_set_new(object, "key", key);
	json_object_set_new(object, "fields", fields);
	json_object_set_new(object, "line",
			    change->line ? json_integer(change->line) : json_null());
	return object;
}

static int count(const struct gy_diff *diff, enum gy_action action)
{
	int n = 0;

	for (int i = 0; i < diff->n; i++)
		n += diff->changes[i].action == action;
	return n;
}

static void show(struct gy_ctl *ctl, const struct gy_diff *diff, bool dry_run,
		 const char *catalogue_version)
{
	int added = count(diff, GY_ADD), removed = count(diff, GY_REMOVE);
	int changed = diff->n - added - removed;
	json_t *changes = json_array();

	for (int i = 0; i < diff->n && ctl->format == GY_FORMAT_JSON; i++)
		json_array_append_new(changes, change_json(ctl, &diff->changes[i]));
	gy_out_member(ctl, "dry_run", json_boolean(dry_run));
	gy_out_member(ctl, "added", json_integer(added));
	gy_out_member(ctl, "changed", json_integer(changed));
	gy_out_member(ctl, "removed", json_integer(removed));
	gy_out_member(ctl, "accounts_that_keep_their_balance", json_integer(diff->n_kept));
	gy_out_member(ctl, "catalogue_version", json_integer(strtoll(catalogue_version, NULL, 10)));
	gy_out_member(ctl, "changes", changes);
	if (ctl->format != GY_FORMAT_TABLE)
		return;
	if (dry_run && diff->n > 0)
		show_table(ctl, diff);
	if (dry_run && diff->n_kept > 0)
		gy_out_say(ctl,
			   "%d account%s exist%s and keep%s the balance: the file's is an opening "
			   "balance.",
			   diff->n_kept, diff->n_kept == 1 ? "" : "s", diff->n_kept == 1 ? "s" : "",
			   diff->n_kept == 1 ? "s" : "");
	if (diff->n == 0)
		gy_out_say(ctl, "no change; catalogue version %s", catalogue_version);
	else if (dry_run)
		gy_out_say(ctl, "%d to add, %d to change, %d to remove; nothing was changed", added,
			   changed, removed);
	else
		gy_out_say(ctl, "%d added, %d changed, %d removed; catalogue version %s", added,
			   changed, removed, catalogue_version);
}

/* Two of these at once would each see half of the other's work; then one waits. */
static bool begin(struct gy_ctl *ctl, bool dry_run)
{
	return gy_db_do(ctl, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('gyro.apply'))") &&
	       (!dry_run || gy_db_do(ctl, "SELECT gyro.begin_trial()"));
}

static enum gy_exit rollback(struct gy_ctl *ctl)
{
	if (PQstatus(ctl->db) == CONNECTION_OK)
		PQclear(PQexec(ctl->db, "ROLLBACK"));
	return ctl->status;
}

/* Prices of now, for a dry run. NULL, if what is in the database isn't sound. False: failed. */
static bool present_prices(struct gy_ctl *ctl, struct gy_prices **before)
{
	struct gy_pushed *pushed = NULL;
	const struct gy_catalogue *catalogue = gy_sound_catalogue(ctl, NULL, &pushed);

	*before = catalogue ? gy_prices_find(ctl, catalogue, pushed) : NULL;
	return PQtransactionStatus(ctl->db) == PQTRANS_INTRANS && (*before || !catalogue);
}

/* Makes the difference, and looks at what came of it as a node will. */
static bool change(struct gy_ctl *ctl, const struct gy_catalogue_file *file,
		   const struct gy_diff *diff, bool dry_run, struct gy_prices **after)
{
	struct gy_pushed *pushed = NULL;
	const struct gy_catalogue *catalogue;

	if (!gy_diff_apply(ctl, diff, dry_run))
		return false;
	if (diff->n == 0)
		return true;
	catalogue = gy_sound_catalogue(ctl, file, &pushed);
	if (catalogue && dry_run)
		*after = gy_prices_find(ctl, catalogue, pushed);
	return catalogue && (!dry_run || *after);
}

enum gy_exit gy_apply(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *path = gy_args_flag(args, "file");
	bool dry_run = gy_args_has(args, "dry-run");
	struct gy_prices *before = NULL, *after = NULL;
	struct gy_catalogue_file *file;
	struct gy_diff *diff;
	struct gy_rows *version;

	if (!path)
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "which file? -f FILE, or -f - for standard input");
	file = gy_catalogue_read(ctl, path);
	if (!file || !gy_db_connect(ctl) || !gy_db_schema_check(ctl) || !begin(ctl, dry_run))
		return ctl->status;
	diff = gy_diff_find(ctl, file, gy_args_has(args, "prune"));
	if (!diff)
		return rollback(ctl);
	if (dry_run && diff->n > 0 && !present_prices(ctl, &before))
		return rollback(ctl);
	if (!change(ctl, file, diff, dry_run, &after))
		return rollback(ctl);
	if (dry_run && !gy_db_do(ctl, "ROLLBACK"))
		return ctl->status;
	version = gy_db_query(ctl, "SELECT version FROM gyro.catalogue_version");
	if (!version || (!dry_run && !gy_db_do(ctl, "COMMIT")))
		return rollback(ctl);
	show(ctl, diff, dry_run, gy_rows_get(version, 0, "version"));
	gy_prices_show(ctl, before, after);
	return GY_EXIT_OK;
}
