/* See sound.h. A catalogue that a node would refuse never gets as far as COMMIT. */
#include "deploy/gyroctl/sound.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/store/catalogue.h"

/* The file's line of a dynamic rule that is in the database; 0: it isn't the file's. */
static int line_of(struct gy_ctl *ctl, const struct gy_catalogue_file *file, const char *rule)
{
	const struct gy_section *section = &gy_sections[GY_DYNAMIC_RULES];
	const struct gy_item_list *list = &file->lists[GY_DYNAMIC_RULES];
	struct gy_rows *rows = gy_db_query(
		ctl, talloc_asprintf(ctl->pool, "%s WHERE r.rule_id = $1", section->read), rule);

	for (int i = 0; rows && rows->n == 1 && i < list->n; i++) {
		int c = 0, keys = gy_section_keys(section);

		while (c < keys && strcmp(gy_rows_get(rows, 0, section->columns[c].key),
					  list->items[i].cells[c]) == 0)
			c++;
		if (c == keys)
			return list->items[i].line;
	}
	return 0;
}

/* The number after a word of the reason, as text; NULL: the word isn't there. */
static const char *number_after(struct gy_ctl *ctl, const char *reason, const char *before)
{
	const char *found = strstr(reason, before);
	size_t n;

	if (!found)
		return NULL;
	found += strlen(before);
	n = strspn(found, "0123456789");
	return n > 0 ? talloc_strndup(ctl->pool, found, n) : NULL;
}

static void refuse(struct gy_ctl *ctl, const struct gy_catalogue_file *file, const char *reason)
{
	const char *rule = number_after(ctl, reason, "dynamic rule "),
		   *other = number_after(ctl, reason, "(with rule ");
	int line = rule ? line_of(ctl, file, rule) : 0,
	    second = other ? line_of(ctl, file, other) : 0;
	char *place = talloc_strdup(ctl->pool, file->path);

	if (line > 0)
		place = talloc_asprintf_append(place, ":%d", line);
	else if (second > 0)
		place = talloc_asprintf_append(place, ":%d", second);
	if (line > 0 && second > 0)
		gy_fail(ctl, GY_EXIT_FAILED, "%s: %s, which is on line %d", place, reason, second);
	else
		gy_fail(ctl, GY_EXIT_FAILED, "%s: %s", place, reason);
}

const struct gy_catalogue *gy_sound_catalogue(struct gy_ctl *ctl,
					      const struct gy_catalogue_file *file,
					      struct gy_pushed **pushed)
{
	struct gy_catalogue *catalogue = NULL;
	struct gy_rows *kept;
	char reason[512] = "";
	enum gy_rc rc;

	if (!gy_db_do(ctl, "SAVEPOINT sound"))
		return NULL;
	kept = gy_db_query(ctl, "SELECT gyro.catalogue_keep() AS version");
	if (!kept)
		return NULL;
	rc = gy_catalogue_load(ctl->db, strtoll(gy_rows_get(kept, 0, "version"), NULL, 10),
			       &catalogue, reason, sizeof(reason));
	if (rc == GY_OK && pushed)
		rc = gy_pushed_load(ctl->db, catalogue, pushed, reason, sizeof(reason));
	if (rc == GY_OK)
		talloc_steal(ctl->pool, catalogue);
	else if (rc != GY_STORE_UNAVAILABLE && file) {
		reason[strcspn(reason, "\n")] = '\0';
		/* A failed statement has to be undone before the rule can be looked up. */
		if (gy_db_do(ctl, "ROLLBACK TO sound"))
			refuse(ctl, file, reason);
	}
	if (!gy_db_do(ctl, "ROLLBACK TO sound; RELEASE sound"))
		return NULL;
	if (rc == GY_STORE_UNAVAILABLE)
		gy_fail(ctl, GY_EXIT_UNREACHABLE, "%s", reason);
	return rc == GY_OK ? catalogue : NULL;
}
