/* See help.h. */
#include "deploy/gyroctl/help.h"

#include <stdio.h>
#include <string.h>

#include "core/store/schema/schema.h"

static void summary(const struct gy_command *command)
{
	char usage[64];

	snprintf(usage, sizeof(usage), "%s %s", command->name, command->words);
	if (strlen(usage) > 34)
		printf("  %s\n  %-34s %s\n", usage, "", command->summary);
	else
		printf("  %-34s %s\n", usage, command->summary);
}

void gy_help_all(const struct gy_command *const *families, size_t n)
{
	puts("Usage: gyroctl [--database CONNINFO] [--json] COMMAND ...\n\n"
	     "Looks after the database of a Gyro charging system.\n");
	for (size_t i = 0; i < n; i++, putchar('\n'))
		for (const struct gy_command *c = families[i]; c->name; c++)
			summary(c);
	puts("Options of every command\n"
	     "  --database CONNINFO  libpq connection string or URI; also from GYRO_DATABASE; else "
	     "libpq's\n"
	     "                       own defaults (PGHOST, PGDATABASE, ...)\n"
	     "  --json               for programs: money as decimal strings, units as numbers, "
	     "times as\n"
	     "                       ISO 8601 in UTC\n"
	     "  --help               of a command: its options and examples\n"
	     "  --version            of gyroctl and of the schema it works with\n\n"
	     "Exit status\n"
	     "  0  done\n"
	     "  1  refused or failed; standard error says why in one line\n"
	     "  2  the command line is wrong\n"
	     "  3  the database can't be reached, or the connection was lost\n"
	     "  4  the audit found something");
}

/* Calls show, unless it is NULL, for each command of a family; how many there are. */
static int each(const struct gy_command *const *families, size_t n, const char *word,
		void (*show)(const struct gy_command *))
{
	size_t length = strlen(word);
	int found = 0;

	for (size_t i = 0; i < n; i++)
		for (const struct gy_command *c = families[i]; c->name; c++)
			if (strncmp(c->name, word, length) == 0 && c->name[length] == ' ') {
				if (show)
					show(c);
				found++;
			}
	return found;
}

bool gy_help_family(const struct gy_command *const *families, size_t n, const char *word)
{
	return each(families, n, word, summary) > 0;
}

bool gy_help_is_family(const struct gy_command *const *families, size_t n, const char *word)
{
	return each(families, n, word, NULL) > 0;
}

void gy_help_command(const struct gy_command *command)
{
	printf("Usage: gyroctl %s%s%s%s\n\n%s.\n", command->name,
	       command->flags ? " [OPTION...]" : "", *command->words ? " " : "", command->words,
	       command->summary);
	if (command->detail)
		printf("\n%s\n", command->detail);
	puts("\nOptions");
	for (const struct gy_flag *f = command->flags; f && f->name; f++) {
		char option[48];

		snprintf(option, sizeof(option), "--%s%s%s", f->name, f->metavar ? " " : "",
			 f->metavar ? f->metavar : "");
		printf("  %-24s %s\n", option, f->help);
	}
	printf("  %-24s %s\n", "--json, --database", "see gyroctl --help");
	printf("\nExamples\n%s\n", command->examples);
}

void gy_help_version(void)
{
	printf("gyroctl %s, schema version %d\n", GYRO_VERSION, gy_schema_newest);
}
