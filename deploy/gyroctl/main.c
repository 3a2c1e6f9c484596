/* gyroctl: the operator's command line. Finds the command, takes its arguments apart, connects,
 * runs.
 *
 * It refuses what it doesn't understand before anything is touched (exit status 2). */
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/help.h"
#include "deploy/gyroctl/table.h"

static const struct gy_command *const families[] = {
	gy_setup_commands,   gy_subscriber_commands, gy_account_commands, gy_tariff_commands,
	gy_session_commands, gy_record_commands,     gy_check_commands,   gy_attribute_commands,
	gy_explain_commands, gy_rate_commands,       gy_product_commands, gy_purchase_commands,
	gy_card_commands,    gy_binding_commands,
};
#define FAMILIES (sizeof(families) / sizeof(families[0]))

/* What getopt_long returns for an option without a letter. */
enum { OPTION_DATABASE = 256, OPTION_JSON, OPTION_VERSION, OPTION_OF_COMMAND };

enum gy_exit gy_fail(struct gy_ctl *ctl, enum gy_exit status, const char *format, ...)
{
	char line[2048];
	va_list args;

	/* One line, whatever the values in it hold. */
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	fflush(stdout);
	fprintf(stderr, "gyroctl: %s%s%s\n", ctl->doing ? ctl->doing : "", ctl->doing ? ": " : "",
		line);
	ctl->status = status;
	return status;
}

const char *gy_args_flag(const struct gy_args *args, const char *name)
{
	const struct gy_flag *flags = args->command->flags;
	int i = 0;

	while (flags && flags[i].name && strcmp(flags[i].name, name) != 0)
		i++;
	gy_assert(flags && flags[i].name);
	return args->values[i];
}

/* The command whose name the first one or two words are; the longer name wins. */
static const struct gy_command *find(const char *first, const char *second, int *words)
{
	const struct gy_command *found = NULL;
	size_t n = strlen(first);

	*words = 0;
	for (size_t f = 0; f < FAMILIES; f++)
		for (const struct gy_command *c = families[f]; c->name; c++) {
			if (strcmp(c->name, first) == 0 && *words < 1) {
				found = c;
				*words = 1;
			}
			if (second && strncmp(c->name, first, n) == 0 && c->name[n] == ' ' &&
			    strcmp(c->name + n + 1, second) == 0) {
				found = c;
				*words = 2;
			}
		}
	return found;
}

/* Prints the help that the words after "help" or before --help ask for. */
static enum gy_exit help(struct gy_ctl *ctl, const char *first, const char *second)
{
	const struct gy_command *command = NULL;
	int words;

	if (!first) {
		gy_help_all(families, FAMILIES);
		return GY_EXIT_OK;
	}
	command = find(first, second, &words);
	if (command)
		gy_help_command(command);
	else if (!gy_help_family(families, FAMILIES, first))
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "there is no command %s: gyroctl --help lists them", first);
	return GY_EXIT_OK;
}

/* The options of a command and those that every command takes. */
static void options_of(const struct gy_command *command, struct option *options)
{
	int n = 0;

	for (int i = 0; command && command->flags && command->flags[i].name; i++) {
		gy_assert(i < GY_FLAGS_MAX);
		options[n++] = (struct option){ command->flags[i].name,
						command->flags[i].metavar ? required_argument
									  : no_argument,
						NULL, OPTION_OF_COMMAND + i };
	}
	options[n++] = (struct option){ "database", required_argument, NULL, OPTION_DATABASE };
	options[n++] = (struct option){ "json", no_argument, NULL, OPTION_JSON };
	options[n++] = (struct option){ "help", no_argument, NULL, 'h' };
	if (!command)
		options[n++] = (struct option){ "version", no_argument, NULL, OPTION_VERSION };
	options[n] = (struct option){ NULL, 0, NULL, 0 };
}

/* Takes options up to the first word (command NULL) or all of them. 0: go on; 'h': help is asked
 * for; OPTION_VERSION; -1: wrong, said why. */
static int take_options(struct gy_ctl *ctl, int argc, char **argv, const struct gy_command *command,
			struct gy_args *args)
{
	struct option options[GY_FLAGS_MAX + 5];
	int found;

	options_of(command, options);
	opterr = 0;
	optind = 0;
	while ((found = getopt_long(argc, argv, command ? ":f:h" : "+:h", options, NULL)) != -1) {
		int i = found - OPTION_OF_COMMAND;

		switch (found) {
		case OPTION_DATABASE:
			ctl->conninfo = optarg;
			continue;
		case OPTION_JSON:
			ctl->format = GY_FORMAT_JSON;
			continue;
		case OPTION_VERSION:
		case 'h':
			return found;
		case ':':
			gy_fail(ctl, GY_EXIT_USAGE, "%s needs a value", argv[optind - 1]);
			return -1;
		case 'f':
			for (i = 0; command->flags && command->flags[i].name; i++)
				if (strcmp(command->flags[i].name, "file") == 0)
					break;
			if (!command->flags || !command->flags[i].name)
				found = '?';
			break;
		default:
			break;
		}
		if (found == '?') {
			gy_fail(ctl, GY_EXIT_USAGE,
				"unknown option %s: gyroctl %s--help lists them", argv[optind - 1],
				command ? talloc_asprintf(ctl->pool, "%s ", command->name) : "");
			return -1;
		}
		/* Several texts of one option come as one, a line each. */
		if (args->values[i] && command->flags[i].metavar &&
		    strstr(command->flags[i].metavar, "...")) {
			args->values[i] =
				talloc_asprintf(ctl->pool, "%s\n%s", args->values[i], optarg);
			continue;
		}
		/* NAME=VALUE likewise, with commas between. */
		if (args->values[i] && command->flags[i].metavar &&
		    strchr(command->flags[i].metavar, '=')) {
			args->values[i] =
				talloc_asprintf(ctl->pool, "%s,%s", args->values[i], optarg);
			continue;
		}
		if (args->values[i]) {
			gy_fail(ctl, GY_EXIT_USAGE, "--%s is given twice", command->flags[i].name);
			return -1;
		}
		args->values[i] = optarg ? optarg : "";
	}
	return 0;
}

/* The words of a command after its options were taken out. */
static bool take_words(struct gy_ctl *ctl, int argc, char **argv, struct gy_args *args)
{
	const struct gy_command *command = args->command;

	for (; optind < argc && args->n_words < GY_WORDS_MAX; optind++)
		args->words[args->n_words++] = argv[optind];
	if (args->n_words >= command->words_min && args->n_words <= command->words_max)
		return true;
	gy_fail(ctl, GY_EXIT_USAGE, "usage: gyroctl %s%s%s; see gyroctl %s --help", command->name,
		*command->words ? " " : "", command->words, command->name);
	return false;
}

static enum gy_exit run(struct gy_ctl *ctl, const struct gy_args *args)
{
	const struct gy_command *command = args->command;
	enum gy_exit status;

	ctl->out = gy_out_new(ctl);
	if (command->needs != GY_NEEDS_NOTHING && !gy_db_connect(ctl))
		return ctl->status;
	if (command->needs == GY_NEEDS_SCHEMA && !gy_db_schema_check(ctl))
		return ctl->status;
	status = command->run(ctl, args);
	if (!gy_out_end(ctl))
		status = gy_fail(ctl, GY_EXIT_FAILED, "standard output can't be written");
	return status;
}

static enum gy_exit dispatch(struct gy_ctl *ctl, int argc, char **argv)
{
	struct gy_args args = { 0 };
	int words, taken = take_options(ctl, argc, argv, NULL, NULL);
	const char *first, *second;

	if (taken < 0)
		return GY_EXIT_USAGE;
	if (taken == OPTION_VERSION) {
		gy_help_version();
		return GY_EXIT_OK;
	}
	argc -= optind;
	argv += optind;
	first = argc > 0 ? argv[0] : NULL;
	second = argc > 1 ? argv[1] : NULL;
	if (taken == 'h')
		return help(ctl, first, second);
	if (!first)
		return gy_fail(ctl, GY_EXIT_USAGE, "which command? gyroctl --help lists them");
	if (strcmp(first, "help") == 0)
		return help(ctl, second, argc > 2 ? argv[2] : NULL);
	args.command = find(first, second, &words);
	if (!args.command && second && (strcmp(second, "--help") == 0 || strcmp(second, "-h") == 0))
		return help(ctl, first, NULL);
	if (!args.command && !second && gy_help_is_family(families, FAMILIES, first))
		return gy_fail(ctl, GY_EXIT_USAGE, "%s what? gyroctl %s --help", first, first);
	if (!args.command)
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "%s%s%s is no command: gyroctl --help lists them", first,
			       second ? " " : "", second ? second : "");
	ctl->doing = args.command->name;
	/* getopt looks from element 1 on: the last word of the command's name stands at 0. */
	taken = take_options(ctl, argc - words + 1, argv + words - 1, args.command, &args);
	if (taken < 0)
		return GY_EXIT_USAGE;
	if (taken == 'h') {
		gy_help_command(args.command);
		return GY_EXIT_OK;
	}
	if (!take_words(ctl, argc - words + 1, argv + words - 1, &args))
		return GY_EXIT_USAGE;
	return run(ctl, &args);
}

int main(int argc, char **argv)
{
	struct gy_ctl ctl = { .conninfo = getenv("GYRO_DATABASE"), .pool = talloc_new(NULL) };
	enum gy_exit status;

	gy_assert(ctl.pool);
	setlocale(LC_ALL, "");
	status = dispatch(&ctl, argc, argv);
	PQfinish(ctl.db);
	talloc_free(ctl.pool);
	return (int)status;
}
