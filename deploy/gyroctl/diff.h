/* The difference between a catalogue file and the database, and making it true.
 *
 * To be used inside one transaction: find, apply, then COMMIT or, for a dry run, ROLLBACK. */
#ifndef GY_CTL_DIFF_H
#define GY_CTL_DIFF_H

#include "deploy/gyroctl/catalogue.h"

enum gy_action { GY_ADD, GY_CHANGE, GY_REPLACE, GY_REMOVE };

struct gy_change {
	enum gy_section_id section;
	enum gy_action action;
	int line;                  /* of the file; 0: a removal */
	const char *const *old;    /* cells; NULL: an addition */
	const char *const *wanted; /* cells; NULL: a removal */
};

struct gy_diff {
	const char *path;
	int n, room;
	struct gy_change *changes;
	int n_kept; /* accounts that exist: their balance stays */
};

/* prune: what is in a section of the database, but not in that section of the file, is removed.
 * NULL after an error. */
struct gy_diff *gy_diff_find(struct gy_ctl *ctl, const struct gy_catalogue_file *file, bool prune);

/* False after an error, which names the line. trial: it will be rolled back, and changes of account
 * rows are at once. */
bool gy_diff_apply(struct gy_ctl *ctl, const struct gy_diff *diff, bool trial);

/* Whether a column of a change differs, or is told for the first time. */
bool gy_change_concerns(const struct gy_change *change, int column);

#endif
