/* Runs a table of snapshots and questions through the core.
 *
 *   run-table FILE     compares with the answers that the table gives; TAP
 *   run-table -        a filter for oracle.py: standard input, one answer a line, no comparison
 *
 * In FILE a question ends in "-> ANSWER"; "compile -> ok" or a refusal ends a snapshot. Each
 * question is asked again with the rules in another order, which must change nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/rating/table.h"

static struct table table;
static bool filter;
static unsigned count, failed;
static char title[256];

static void verdict(const char *question, const char *got, const char *expected)
{
	bool ok = strcmp(got, expected) == 0;

	count++;
	failed += !ok;
	printf("%s %u - %.40s: %.150s\n", ok ? "ok" : "not ok", count, title, question);
	if (!ok)
		printf("# got      %s\n# expected %s\n", got, expected);
}

/* The part before "->" and the expected answer. */
static char *split_expectation(char *line)
{
	char *arrow = strstr(line, "->"), *end;

	if (arrow == NULL)
		return NULL;
	*arrow = '\0';
	arrow += 2;
	while (*arrow == ' ')
		arrow++;
	end = arrow + strlen(arrow);
	while (end > arrow && (end[-1] == '\n' || end[-1] == ' '))
		*--end = '\0';
	return arrow;
}

static void compile(char *expected)
{
	struct gy_dynamic_fault fault;
	char text[256];
	enum gy_rc rc = table_compile(&table, &fault);

	table_verdict(rc, &fault, text, sizeof(text));
	if (filter)
		puts(text);
	else
		verdict("compile", text, expected != NULL ? expected : "ok");
}

static void ask(char *line, char *expected)
{
	static char text[65536], again[65536];
	char name[160];
	struct question question;
	struct gy_dynamic_fault fault;

	snprintf(name, sizeof(name), "%.159s", line);
	table_question(&table, line, &question);
	table_answer(&table, &question, text, sizeof(text));
	if (filter) {
		puts(text);
		return;
	}
	verdict(name, text, expected != NULL ? expected : "(an expectation)");
	table_shuffle(&table, count);
	if (table_compile(&table, &fault) != GY_OK)
		snprintf(again, sizeof(again), "refused");
	else
		table_answer(&table, &question, again, sizeof(again));
	if (strcmp(text, again) != 0) {
		failed++;
		printf("not ok %u - %s: the same in any order\n# got %s\n", ++count, name, again);
	}
}

static void run(char *line)
{
	char *expected = split_expectation(line);

	if (line[strspn(line, " \t\n")] == '\0' || line[0] == '#')
		return;
	if (strncmp(line, "compile", 7) == 0) {
		compile(expected);
	} else if (strncmp(line, "shuffle ", 8) == 0) {
		table_shuffle(&table, (unsigned)atoi(line + 8));
	} else if (strncmp(line, "rate", 4) == 0) {
		ask(line, expected);
	} else {
		if (strncmp(line, "snapshot ", 9) == 0)
			snprintf(title, sizeof(title), "%.*s", (int)strcspn(line + 9, "\n"),
				 line + 9);
		table_line(&table, line);
	}
}

int main(int argc, char **argv)
{
	static char line[1 << 16];
	FILE *in;

	if (argc != 2) {
		fprintf(stderr, "usage: run-table FILE | -\n");
		return 2;
	}
	filter = strcmp(argv[1], "-") == 0;
	in = filter ? stdin : fopen(argv[1], "r");
	if (in == NULL) {
		perror(argv[1]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	table_clear(&table);
	while (fgets(line, sizeof(line), in)) {
		table.line++;
		run(line);
	}
	table_clear(&table);
	if (!filter) {
		printf("1..%u\n", count);
		fclose(in);
	}
	return failed != 0 || (!filter && count == 0);
}
