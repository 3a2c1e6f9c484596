/* What a catalogue file wants, section by section, as rows of the same columns as the database has.
 *
 * A row's cells are the texts that PostgreSQL would print (micro-units, counts, ISO times in UTC),
 * so that wanted and present rows compare as strings and print with the same columns. */
#ifndef GY_CTL_CATALOGUE_H
#define GY_CTL_CATALOGUE_H

#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/yaml_file.h"

/* In the order in which they are put into the database. */
enum gy_section_id {
	GY_CONTEXTS,
	GY_PEERS,
	GY_GROUPS,
	GY_TARIFFS,
	GY_RULES,
	GY_ZONES,
	GY_CALENDARS,
	GY_HOME_NETWORKS,
	GY_ATTRIBUTES,
	GY_DYNAMIC_CODES,
	GY_DYNAMIC_RULES,
	GY_ACCOUNTS,
	GY_SUBSCRIBERS, /* what follows is of the file's subscribers */
	GY_IDENTITIES,
	GY_SUBSCRIBER_ZONES,
	GY_SUBSCRIBER_ATTRIBUTES,
	GY_SUBSCRIBER_CODES, /* ... to here */
	GY_AUDIENCES,
	GY_APPS,
	GY_PRODUCTS,
	GY_SECTIONS
};

#define GY_SECTION_COLUMNS_MAX 26

struct gy_section {
	const char *name; /* in the file */
	const char *noun; /* of one row, before its key */
	const struct gy_column *columns;
	/* One character per column:
	 *   k  part of the key (these come first)
	 *   .  plain
	 *   l  left alone if the file doesn't say
	 *   n  matters to new rows only
	 *   r  a change makes a new row of it: records keep naming the old one
	 *   o  who owns it: moves only with --prune */
	const char *traits;
	const char *read; /* present rows; with by_file $1 is the file's rows as JSON */
	bool by_file;
	const char *put;     /* adds or changes the row $1... */
	const char *change;  /* changes it without a new row, where put would make one; or NULL */
	const char *remove;  /* removes the row with the key $1...; NULL: never */
	const char *kept;    /* the row of this key, which --prune leaves alone; or NULL */
	const char *missing; /* why put changed nothing, or NULL */
	bool early;          /* what goes makes room first */
	int valid_until;     /* its column, where rows follow each other in time (the last part of
				the key is valid_from); else 0 */
};

extern const struct gy_section gy_sections[GY_SECTIONS];

struct gy_item {
	int line;
	const char *cells[GY_SECTION_COLUMNS_MAX];
};

struct gy_item_list {
	bool present; /* the section is in the file */
	int n, room;
	struct gy_item *items;
};

struct gy_catalogue_file {
	const char *path;
	struct gy_item_list lists[GY_SECTIONS];
};

/* The rows that a file wants; NULL after errors, each of which was printed with its line. */
struct gy_catalogue_file *gy_catalogue_read(struct gy_ctl *ctl, const char *path);

/* Number of key columns of a section. */
int gy_section_keys(const struct gy_section *section);

/* "rating_group 10", "rule standard 10 octets" */
const char *gy_section_what(void *pool, enum gy_section_id id, const char *const *cells);

#endif
