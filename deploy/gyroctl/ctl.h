/* gyroctl: what every command gets and gives back.
 *
 * A command is a row of a table (name, help, function). It gets the run's context and its
 * arguments, prints through out.h and returns the exit status; errors are one line on standard
 * error. */
#ifndef GY_CTL_CTL_H
#define GY_CTL_CTL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit statuses; documented in --help. */
enum gy_exit {
	GY_EXIT_OK = 0,
	GY_EXIT_FAILED = 1,      /* refused, or the database said no */
	GY_EXIT_USAGE = 2,       /* the command line is wrong */
	GY_EXIT_UNREACHABLE = 3, /* no connection to the database, or lost */
	GY_EXIT_AUDIT = 4,       /* the audit found something */
};

enum gy_format { GY_FORMAT_TABLE, GY_FORMAT_JSON, GY_FORMAT_CSV };

struct gy_out;

struct gy_ctl {
	const char *conninfo; /* NULL: libpq's own defaults */
	enum gy_format format;
	const char *doing; /* prefix of error lines: the command, or file:line */
	void *pool;        /* talloc context of the whole run */
	PGconn *db;
	struct gy_out *out;
	enum gy_exit status; /* of the last failure */
};

/* One option of a command. */
struct gy_flag {
	const char *name;
	const char
		*metavar; /* NULL: takes no value; NAME=VALUE, APP...: may be given several times */
	const char *help;
};

#define GY_FLAGS_END             \
	{                        \
		NULL, NULL, NULL \
	}
#define GY_FLAGS_MAX 24
#define GY_WORDS_MAX 64

struct gy_command;

/* The command line of one command, taken apart. */
struct gy_args {
	const struct gy_command *command;
	const char *values[GY_FLAGS_MAX]; /* by the command's flags; NULL: not given */
	int n_words;
	const char *words[GY_WORDS_MAX];
};

/* Whether a command needs the database to be there and of this program's schema. */
enum gy_needs {
	GY_NEEDS_SCHEMA,
	GY_NEEDS_DATABASE, /* connected; the command looks at the schema's version itself */
	GY_NEEDS_NOTHING,  /* the command connects when it wants */
};

struct gy_command {
	const char *name;  /* "subscriber list" */
	const char *words; /* "SUBSCRIBER", "[SESSION-ID]", ... */
	int words_min, words_max;
	const char *summary; /* one line */
	const char *detail;  /* further lines of --help, or NULL */
	const char *examples;
	enum gy_needs needs;
	const struct gy_flag *flags; /* ends with a NULL name; or NULL */
	enum gy_exit (*run)(struct gy_ctl *ctl, const struct gy_args *args);
};

#define GY_COMMANDS_END                                                          \
	{                                                                        \
		NULL, NULL, 0, 0, NULL, NULL, NULL, GY_NEEDS_NOTHING, NULL, NULL \
	}

/* Tables of commands by family; each ends with a NULL name. */
extern const struct gy_command gy_setup_commands[];
extern const struct gy_command gy_subscriber_commands[];
extern const struct gy_command gy_account_commands[];
extern const struct gy_command gy_tariff_commands[];
extern const struct gy_command gy_session_commands[];
extern const struct gy_command gy_record_commands[];
extern const struct gy_command gy_check_commands[];
extern const struct gy_command gy_attribute_commands[];
extern const struct gy_command gy_explain_commands[];
extern const struct gy_command gy_rate_commands[];
extern const struct gy_command gy_product_commands[];
extern const struct gy_command gy_purchase_commands[];
extern const struct gy_command gy_card_commands[];
extern const struct gy_command gy_binding_commands[];

/* Prints "gyroctl: DOING: message" on standard error and keeps the status, which it returns. */
enum gy_exit gy_fail(struct gy_ctl *ctl, enum gy_exit status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The value of an option of the command; NULL if not given, "" for one without value. Asking for
 * one that the command doesn't have is a bug. */
const char *gy_args_flag(const struct gy_args *args, const char *name);
static inline bool gy_args_has(const struct gy_args *args, const char *name)
{
	return gy_args_flag(args, name) != NULL;
}

#endif
