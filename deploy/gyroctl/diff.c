/* See diff.h. */
#include "deploy/gyroctl/diff.h"

#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"

/* Present rows of a section, and where the file's rows are among them. */
struct present {
	int n;
	const char **cells; /* row by row, sorted by key */
	bool *wanted;       /* by row: the file has it */
};

static int keys_of_sort; /* qsort takes no context; one thread */

static int compare_cells(const char *const *a, const char *const *b, int keys)
{
	int order = 0;

	for (int i = 0; i < keys && order == 0; i++)
		order = strcmp(a[i], b[i]);
	return order;
}

static int compare_rows(const void *a, const void *b)
{
	return compare_cells(a, b, keys_of_sort);
}

/* The file's rows, and those of the section above (a tariff without rules, a subscriber without
 * identities), as JSON for the reading statement. */
static const char *wanted_json(struct gy_ctl *ctl, const struct gy_catalogue_file *file,
			       enum gy_section_id id)
{
	enum gy_section_id both[2] = { id, id == GY_RULES        ? GY_TARIFFS
					   : id == GY_IDENTITIES ? GY_SUBSCRIBERS
								 : id };
	json_t *array = json_array();
	const char *text;
	char *dump;

	for (int b = 0; b < (both[1] == id ? 1 : 2); b++) {
		const struct gy_item_list *list = &file->lists[both[b]];
		const struct gy_column *columns = gy_sections[both[b]].columns;

		for (int i = 0; i < list->n; i++) {
			json_t *row = json_object();

			for (int c = 0; columns[c].key; c++)
				if (list->items[i].cells[c])
					json_object_set_new(row, columns[c].key,
							    json_string(list->items[i].cells[c]));
			json_array_append_new(array, row);
		}
	}
	dump = json_dumps(array, JSON_COMPACT);
	gy_assert(dump);
	text = talloc_strdup(ctl->pool, dump);
	free(dump);
	json_decref(array);
	return text;
}

static bool read_present(struct gy_ctl *ctl, const struct gy_catalogue_file *file,
			 enum gy_section_id id, struct present *out)
{
	const struct gy_section *section = &gy_sections[id];
	int width = gy_columns_count(section->columns);
	struct gy_rows *rows;

	rows = section->by_file ? gy_db_query(ctl, section->read, wanted_json(ctl, file, id))
				: gy_db_query(ctl, section->read);
	if (!rows)
		return false;
	out->n = rows->n;
	out->cells = talloc_array(ctl->pool, const char *, (unsigned)(rows->n * width + 1));
	out->wanted = talloc_zero_array(ctl->pool, bool, (unsigned)rows->n + 1);
	gy_assert(out->cells && out->wanted);
	for (int row = 0; row < rows->n; row++)
		for (int c = 0; c < width; c++)
			out->cells[row * width + c] =
				gy_rows_get(rows, row, section->columns[c].key);
	keys_of_sort = gy_section_keys(section);
	qsort(out->cells, (size_t)rows->n, sizeof(*out->cells) * (size_t)width, compare_rows);
	return true;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool differs(const struct gy_section *section, const char *const *old,
		    const char *const *wanted, int c)
{
	switch (section->traits[c]) {
	case 'k':
	case 'n':
		return false;
	case 'l':
		return wanted[c] && !same(old[c], wanted[c]);
	default:
		return !same(old[c], wanted[c]);
	}
}

bool gy_change_concerns(const struct gy_change *change, int column)
{
	const struct gy_section *section = &gy_sections[change->section];

	if (!change->wanted || section->traits[column] == 'k')
		return false;
	if (!change->old)
		return change->wanted[column] != NULL;
	return differs(section, change->old, change->wanted, column);
}

static void add_change(struct gy_diff *diff, struct gy_change change)
{
	if (diff->n == diff->room) {
		diff->room = diff->room ? diff->room * 2 : 64;
		diff->changes =
			talloc_realloc(diff, diff->changes, struct gy_change, (unsigned)diff->room);
		gy_assert(diff->changes);
	}
	diff->changes[diff->n++] = change;
}

/* One of the file's rows against the present one. False: refused, said why. */
static bool compare_item(struct gy_ctl *ctl, struct gy_diff *diff, enum gy_section_id id,
			 const struct gy_item *item, const char *const *old, bool prune)
{
	const struct gy_section *section = &gy_sections[id];
	struct gy_change change = { id, old ? GY_CHANGE : GY_ADD, item->line, old, item->cells };
	bool any = !old;

	for (int c = 0; old && section->columns[c].key; c++) {
		if (!differs(section, old, item->cells, c))
			continue;
		any = true;
		if (section->traits[c] == 'r')
			change.action = GY_REPLACE;
		if (section->traits[c] == 'o' && !prune) {
			gy_fail(ctl, GY_EXIT_FAILED,
				"%s:%d: %s belongs to %s %s: remove it there, or use --prune",
				diff->path, item->line, gy_section_what(ctl->pool, id, item->cells),
				section->columns[c].key, old[c]);
			return false;
		}
	}
	if (any)
		add_change(diff, change);
	if (id == GY_ACCOUNTS && old)
		diff->n_kept++;
	return true;
}

static bool compare_section(struct gy_ctl *ctl, struct gy_diff *diff,
			    const struct gy_catalogue_file *file, enum gy_section_id id, bool prune)
{
	const struct gy_section *section = &gy_sections[id];
	const struct gy_item_list *list = &file->lists[id];
	int width = gy_columns_count(section->columns), keys = gy_section_keys(section);
	struct present present;

	if (!list->present)
		return true;
	if (!read_present(ctl, file, id, &present))
		return false;
	for (int i = 0; i < list->n; i++) {
		const char *const *old = NULL;
		int low = 0, high = present.n;

		while (low < high) {
			int middle = (low + high) / 2;

			if (compare_cells(&present.cells[middle * width], list->items[i].cells,
					  keys) < 0)
				low = middle + 1;
			else
				high = middle;
		}
		if (low < present.n &&
		    compare_cells(&present.cells[low * width], list->items[i].cells, keys) == 0) {
			old = &present.cells[low * width];
			present.wanted[low] = true;
		}
		if (!compare_item(ctl, diff, id, &list->items[i], old, prune))
			return false;
	}
	for (int row = 0; prune && section->remove && row < present.n; row++)
		if (!present.wanted[row] &&
		    !(section->kept && strcmp(present.cells[row * width], section->kept) == 0))
			add_change(diff, (struct gy_change){ id, GY_REMOVE, 0,
							     &present.cells[row * width], NULL });
	return true;
}

struct gy_diff *gy_diff_find(struct gy_ctl *ctl, const struct gy_catalogue_file *file, bool prune)
{
	struct gy_diff *diff = talloc_zero(ctl->pool, struct gy_diff);

	gy_assert(diff);
	diff->path = file->path;
	for (int id = 0; id < GY_SECTIONS; id++)
		if (!compare_section(ctl, diff, file, (enum gy_section_id)id, prune))
			return NULL;
	return diff;
}

/* One statement of a change; an error of the server gets the change's line. */
static bool run(struct gy_ctl *ctl, const struct gy_diff *diff, const struct gy_change *change,
		const char *sql, const char *const *cells, int n)
{
	const struct gy_section *section = &gy_sections[change->section];
	const char *doing = ctl->doing;
	const char *what = gy_section_what(ctl->pool, change->section, cells);
	struct gy_rows *rows;

	ctl->doing = change->line ? talloc_asprintf(ctl->pool, "%s: %s:%d: %s", doing, diff->path,
						    change->line, what)
				  : talloc_asprintf(ctl->pool, "%s: %s: removing %s", doing,
						    diff->path, what);
	rows = gy_db_run(ctl, sql, n, cells);
	if (rows && rows->n == 0 && rows->affected != 1) {
		gy_fail(ctl, GY_EXIT_FAILED, "%s",
			section->missing && cells == change->wanted
				? section->missing
				: "somebody else changed it: try again");
		rows = NULL;
	}
	ctl->doing = doing;
	return rows != NULL;
}

static bool removes_early(const struct gy_change *change)
{
	return change->action == GY_REPLACE ||
	       (change->action == GY_REMOVE && gy_sections[change->section].early);
}

/* First what makes room: rules and identities that go. */
static bool remove_some(struct gy_ctl *ctl, const struct gy_diff *diff, enum gy_section_id id,
			bool early)
{
	for (int i = 0; i < diff->n; i++) {
		const struct gy_change *change = &diff->changes[i];

		if (change->section != id || removes_early(change) != early ||
		    (change->action != GY_REMOVE && change->action != GY_REPLACE))
			continue;
		if (!run(ctl, diff, change, gy_sections[id].remove, change->old,
			 gy_section_keys(&gy_sections[id])))
			return false;
	}
	return true;
}

/* Adds or changes a row. Nothing else depends on what changes in an account, so a trial undoes it
 * at once, which unlocks the row. */
static bool put_one(struct gy_ctl *ctl, const struct gy_diff *diff, const struct gy_change *change,
		    bool trial)
{
	const struct gy_section *section = &gy_sections[change->section];
	bool changes = change->action == GY_CHANGE;
	bool undo = trial && changes && change->section == GY_ACCOUNTS;

	return (!undo || gy_db_do(ctl, "SAVEPOINT account")) &&
	       run(ctl, diff, change, changes && section->change ? section->change : section->put,
		   change->wanted, gy_columns_count(section->columns)) &&
	       (!undo || gy_db_do(ctl, "ROLLBACK TO account; RELEASE account"));
}

static bool put(struct gy_ctl *ctl, const struct gy_diff *diff, enum gy_section_id id,
		bool additions, bool trial)
{
	for (int i = 0; i < diff->n; i++) {
		const struct gy_change *change = &diff->changes[i];
		bool changes = change->action == GY_CHANGE;

		if (change->section != id || change->action == GY_REMOVE || changes == additions)
			continue;
		if (!put_one(ctl, diff, change, trial))
			return false;
	}
	return true;
}

/* There is one default zone: the old one gives way before the new one comes. */
static bool make_default_way(struct gy_ctl *ctl, const struct gy_diff *diff)
{
	for (int i = 0; i < diff->n; i++) {
		const struct gy_change *change = &diff->changes[i];

		if (change->section == GY_ZONES && change->wanted &&
		    strcmp(change->wanted[1], "t") == 0)
			return gy_db_do(
				ctl,
				"UPDATE gyro.time_zone SET is_default = false WHERE is_default");
	}
	return true;
}

bool gy_diff_apply(struct gy_ctl *ctl, const struct gy_diff *diff, bool trial)
{
	/* A user before what it uses: products before apps and audiences, those and codes before
	 * attributes, those before their calendars. */
	static const enum gy_section_id late[] = {
		GY_PRODUCTS,   GY_APPS,      GY_AUDIENCES,     GY_DYNAMIC_CODES,
		GY_ATTRIBUTES, GY_CALENDARS, GY_HOME_NETWORKS, GY_ZONES,
		GY_TARIFFS,    GY_GROUPS,    GY_CONTEXTS,      GY_PEERS,
	};

	for (int id = 0; id < GY_SECTIONS; id++)
		if (gy_sections[id].early && !remove_some(ctl, diff, (enum gy_section_id)id, true))
			return false;
	if (!make_default_way(ctl, diff))
		return false;
	for (int id = 0; id < GY_SECTIONS; id++)
		if (!put(ctl, diff, (enum gy_section_id)id, false, trial) ||
		    !put(ctl, diff, (enum gy_section_id)id, true, trial))
			return false;
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++)
		if (!remove_some(ctl, diff, late[i], false))
			return false;
	return true;
}
