/* gyro-sim case: .case files against a real node, TAP on standard output.
 *
 * The same tables that tests/unit/cases runs through the pure core. Each case begins with the
 * fixture put back; every answer is also held against the rules of form (conform.c); after every
 * case gyro.audit() must find nothing. It expects a node whose database holds the fixture, and no
 * one else at work on it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <talloc.h>
#include <unistd.h>

#include "tests/client/case_store.h"
#include "tests/client/commands.h"
#include "tests/client/dump.h"
#include "tests/client/options.h"

#define SESSIONS_MAX      64
#define CONNECTIONS_MAX   64
#define LONG_WAIT_US      INT64_C(5000000)
#define SWEEP_LIMIT_US    INT64_C(15000000)
#define RESTART_WAIT_US   INT64_C(60000000)
#define ORIGIN_STATE_STEP 10000

static const char help[] =
	"usage: gyro-sim case --connect ADDRESS:PORT --database CONNINFO [options] FILE.case...\n"
	"Runs .case files (tests/README.md) against a node whose database holds their fixture\n"
	"(gyroctl apply -f tests/cases/fixture.yaml). The database's records are deleted before "
	"each\n"
	"case. With one --connect, conn=2 is a peer of its own (pgw2...); with several, another "
	"node.\n"
	"\n"
	"  --database CONNINFO        of libpq\n"
	"  --only ID[,ID...]          these cases\n"
	"  --restart COMMAND          restarts the node; cases that restart are skipped without\n"
	"  --long                     also cases that wait for more than 5 s\n"
	"  --dump                     requests and answers of failing cases in full\n";

static const char help_examples[] = "\n"
				    "example:\n"
				    "  gyro-sim case --connect 127.0.0.1:3868 --database "
				    "'host=/tmp/gyro port=5433 dbname=gyro' "
				    "\\\n"
				    "      tests/cases/*.case\n";

enum {
	OPTION_HELP = GY_OPTION_OWN,
	OPTION_DATABASE,
	OPTION_ONLY,
	OPTION_RESTART,
	OPTION_LONG,
	OPTION_DUMP,
};

/* What a session of the running case remembers. */
struct case_session {
	char id[256];
	uint32_t end_to_end;
	uint8_t *bytes; /* of its last request */
	size_t len;
	struct gy_reply *previous; /* its last answer */
};

struct runner {
	struct gy_options options;
	const char *database, *only, *restart;
	bool run_long, dump;

	struct gy_case_store *store;
	struct gy_client *client;
	char *hosts[CONNECTIONS_MAX + 1]; /* Origin-Host by connection, from 1 */
	int node[CONNECTIONS_MAX + 1];    /* of client; -1 not yet there */

	const struct gy_case *c;
	const struct gy_case_step *step;
	struct case_session sessions[SESSIONS_MAX];
	int64_t origin_state_base;
	bool answered, failed;
	struct gy_reply *reply;
	char why[1024];

	unsigned n, n_failed, n_skipped;
};

/* ---- failing ---- */

__attribute__((format(printf, 2, 3))) static void fail(struct runner *r, const char *format, ...)
{
	va_list args;

	if (r->failed)
		return;
	r->failed = true;
	va_start(args, format);
	vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
}

/* ---- connections ---- */

/* conn=K: another node if there are several; else a gateway of its own. */
static unsigned connection_node(struct runner *r, unsigned k)
{
	unsigned address = (k - 1) % r->options.n_connect;
	unsigned gateway = (k - 1) / r->options.n_connect + 1;
	const char *host = r->options.origin_host;
	size_t digits;

	if (r->node[k] >= 0)
		return (unsigned)r->node[k];
	if (gateway > 1) { /* pgw1.spec.test, pgw2.spec.test, ... */
		digits = strcspn(host, "0123456789.");
		if (asprintf(&r->hosts[k], "%.*s%u%s", (int)digits, host, gateway,
			     strchr(host, '.') ? strchr(host, '.') : "") < 0)
			abort();
		host = r->hosts[k];
	}
	r->node[k] = (int)gy_client_add(r->client, r->options.connect[address], host);
	return (unsigned)r->node[k];
}

static const char *why_not_open(struct runner *r, unsigned node)
{
	return gy_connection_error(gy_client_node(r->client, node));
}

/* ---- requests ---- */

static void on_outcome(void *owner, struct gy_exchange *exchange, enum gy_outcome outcome,
		       const struct gy_reply *reply)
{
	struct runner *r = owner;
	struct case_session *s = &r->sessions[r->step->request->session];
	const uint8_t *bytes, *answer;
	size_t len;

	(void)outcome;
	r->answered = true;
	bytes = gy_exchange_bytes(exchange, &len);
	free(s->bytes);
	s->bytes = malloc(len);
	if (!s->bytes)
		abort();
	memcpy(s->bytes, bytes, len);
	s->len = len;
	if (!reply) {
		fail(r, "no answer: %s", why_not_open(r, gy_exchange_node(exchange)));
		return;
	}
	answer = gy_exchange_reply_bytes(exchange, &len);
	r->reply = gy_reply_read(answer, len,
				 r->step->request->n_services > 0 &&
					 r->step->request->services[0].at_command_level);
	if (!gy_reply_conforms(answer, len, s->bytes, s->len, r->why, sizeof(r->why)))
		fail(r, "the answer's form: %s", strdupa(r->why));
}

/* Origin-State-Ids only grow for the node, but each case wants to begin anew. */
static int64_t origin_state(const struct runner *r, int64_t given)
{
	return given > 0 ? r->origin_state_base + given : given;
}

static struct gy_exchange *submit(struct runner *r, struct case_session *s, unsigned node)
{
	const struct gy_case_request *given = r->step->request;
	struct gy_case_request content = *given;
	struct gy_request_frame frame = gy_options_frame(&r->options);
	uint8_t *again = s->bytes;

	frame.session_id = s->id;
	frame.origin_host = gy_connection_origin_host(gy_client_node(r->client, node));
	for (int kind = 0; kind < GY_IDENTITY_KINDS; kind++)
		frame.identity[kind] = gy_case_store_identity(r->store, given->subscriber, kind);
	content.origin_state = origin_state(r, given->origin_state);
	if (!given->e2e_same || s->end_to_end == 0)
		s->end_to_end = gy_next_end_to_end();
	frame.end_to_end = s->end_to_end;
	if (!given->repeat)
		return gy_client_submit(r->client, &content, &frame, node, true, on_outcome, r);
	s->bytes = NULL;
	return gy_client_submit_again(r->client, &content, &frame, again, s->len, node, on_outcome,
				      r);
}

static void request_step(struct runner *r)
{
	const struct gy_case_request *given = r->step->request;
	struct case_session *s = &r->sessions[given->session];
	unsigned node = connection_node(r, given->connection);
	char why[512];

	if (!*s->id)
		gy_session_id_new(s->id, sizeof(s->id), r->options.origin_host,
				  r->c->sessions[given->session]);
	if (!gy_client_connect_node(r->client, node, 10000000)) {
		fail(r, "conn=%u: %s", given->connection, why_not_open(r, node));
		return;
	}
	r->answered = false;
	r->reply = NULL;
	if (!submit(r, s, node)) {
		fail(r, "S%d has no such identity in the database", given->subscriber);
		return;
	}
	while (!r->answered)
		gy_client_turn(r->client, 100);
	if (r->reply && !gy_case_matches(r->step->expect, &r->reply->seen,
					 s->previous ? &s->previous->seen : NULL, why, sizeof(why)))
		fail(r, "%s%s%s%s", why, r->reply->error_message ? " (Error-Message: " : "",
		     r->reply->error_message ? r->reply->error_message : "",
		     r->reply->error_message ? ")" : "");
	if (r->reply) {
		talloc_free(s->previous);
		s->previous = r->reply;
	}
}

/* ---- the other steps ---- */

static void show_money(char *to, size_t size, int64_t micros)
{
	uint64_t whole = (uint64_t)(micros < 0 ? -micros : micros);

	snprintf(to, size, "%s%llu.%06llu", micros < 0 ? "-" : "",
		 (unsigned long long)(whole / 1000000), (unsigned long long)(whole % 1000000));
}

static void check_money(struct runner *r, const char *what, struct gy_case_bound bound,
			int64_t seen)
{
	char expected[32], found[32];

	if (gy_case_bound_holds(bound, true, seen))
		return;
	show_money(expected, sizeof(expected), bound.value);
	show_money(found, sizeof(found), seen);
	fail(r, "%s of S%d is %s, expected %s", what, r->step->subscriber, found, expected);
}

static void check_step(struct runner *r)
{
	int64_t balance, reserved;

	if (!gy_case_store_account(r->store, r->step->subscriber, &balance, &reserved)) {
		fail(r, "%s", gy_case_store_error(r->store));
		return;
	}
	check_money(r, "the balance", r->step->balance, balance);
	check_money(r, "the reserved money", r->step->reserved, reserved);
}

/* Watchdogs are answered meanwhile. */
static void wait_us(struct runner *r, int64_t duration_us)
{
	int64_t until = gy_now_us() + duration_us;

	for (int64_t left = duration_us; left > 0; left = until - gy_now_us())
		gy_client_turn(r->client, left > 50000 ? 50 : (int)(left / 1000) + 1);
}

/* The node's sweeper has to do it; here it is only told that it is time. */
static void sweep_step(struct runner *r)
{
	int64_t until = gy_now_us() + SWEEP_LIMIT_US, count = 0;

	if (!gy_case_store_make_due(r->store)) {
		fail(r, "%s", gy_case_store_error(r->store));
		return;
	}
	do {
		if (!gy_case_store_overdue(r->store, &count)) {
			fail(r, "%s", gy_case_store_error(r->store));
			return;
		}
		if (count > 0)
			wait_us(r, 50000);
	} while (count > 0 && gy_now_us() < until);
	if (count > 0)
		fail(r, "%lld overdue sessions are still open after %lld s", (long long)count,
		     (long long)(SWEEP_LIMIT_US / 1000000));
}

/* Goodbyes of the node are answered meanwhile: it waits for that. */
static int run_command(struct runner *r, const char *command)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (child < 0)
		return -1;
	while (waitpid(child, &status, WNOHANG) == 0)
		wait_us(r, 20000);
	return status;
}

static void restart_step(struct runner *r)
{
	int status = run_command(r, r->restart);

	if (status != 0) {
		fail(r, "'%s' ended with status %d", r->restart, status);
		return;
	}
	gy_client_turn(r->client, 0); /* sees the connections broken */
	for (unsigned i = 0; i < gy_client_nodes(r->client); i++)
		if (!gy_client_connect_node(r->client, i, RESTART_WAIT_US))
			fail(r, "after the restart: %s", why_not_open(r, i));
}

static void one_step(struct runner *r)
{
	const struct gy_case_step *step = r->step;
	bool good = true;

	switch (step->kind) {
	case GY_CASE_REQUEST:
		request_step(r);
		break;
	case GY_CASE_CHECK:
		check_step(r);
		break;
	case GY_CASE_AUDIT:
		good = gy_case_store_audit(r->store);
		break;
	case GY_CASE_BAR:
	case GY_CASE_UNBAR:
		good = gy_case_store_bar(r->store, step->subscriber, step->kind == GY_CASE_BAR);
		break;
	case GY_CASE_TOPUP:
		good = gy_case_store_topup(r->store, step->subscriber, step->amount_micros);
		break;
	case GY_CASE_WAIT:
		wait_us(r, step->wait_us);
		break;
	case GY_CASE_SWEEP:
		sweep_step(r);
		break;
	case GY_CASE_RESTART:
		restart_step(r);
		break;
	}
	if (!good)
		fail(r, "%s", gy_case_store_error(r->store));
}

/* ---- cases ---- */

static void forget_sessions(struct runner *r)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		free(r->sessions[i].bytes);
		talloc_free(r->sessions[i].previous);
	}
	memset(r->sessions, 0, sizeof(r->sessions));
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void dump_last(struct runner *r)
{
	struct case_session *s;

	if (!r->dump || !r->step || r->step->kind != GY_CASE_REQUEST)
		return;
	s = &r->sessions[r->step->request->session];
	if (s->bytes)
		gy_dump(stderr, s->bytes, s->len);
}

static void run_case(struct runner *r, const char *file, const struct gy_case *c)
{
	r->c = c;
	r->failed = false;
	r->step = NULL;
	forget_sessions(r);
	if (!gy_case_store_restore(r->store) ||
	    !gy_case_store_origin_state(r->store, &r->origin_state_base))
		fail(r, "%s", gy_case_store_error(r->store));
	/* Above all that was before, and steps wide enough for a case to count in. */
	r->origin_state_base = (r->origin_state_base / ORIGIN_STATE_STEP + 1) * ORIGIN_STATE_STEP;
	for (unsigned i = 0; i < c->n_steps && !r->failed; i++) {
		r->step = &c->steps[i];
		one_step(r);
	}
	if (r->failed && r->step)
		printf("# %s:%u: %s\n#   %s\n", file, r->step->line, r->step->text, r->why);
	else if (r->failed)
		printf("# %s:%u: %s\n", file, c->line, r->why);
	dump_last(r);
	if (!r->failed && !gy_case_store_audit(r->store)) {
		fail(r, "%s", gy_case_store_error(r->store));
		printf("# %s:%u: at the end: %s\n", file, c->line, r->why);
	}
	r->n_failed += r->failed;
	printf("%sok %u - %s %s (%s)\n", r->failed ? "not " : "", r->n, c->id, c->title,
	       base_name(file));
}

/* Why a case cannot be run here; NULL if it can. */
static const char *skip_reason(const struct runner *r, const struct gy_case *c)
{
	unsigned last[SESSIONS_MAX] = { 0 };

	for (unsigned i = 0; i < c->n_steps; i++) {
		const struct gy_case_step *step = &c->steps[i];

		if (step->kind == GY_CASE_RESTART && !r->restart)
			return "no --restart";
		if (step->kind == GY_CASE_WAIT && step->wait_us > LONG_WAIT_US && !r->run_long)
			return "waits long, see --long";
		if (step->kind != GY_CASE_REQUEST)
			continue;
		/* The same bytes name one gateway, and that can be at one node only once. */
		if (step->request->e2e_same && r->options.n_connect == 1 &&
		    last[step->request->session] != step->request->connection)
			return "needs two nodes";
		last[step->request->session] = step->request->connection;
	}
	return NULL;
}

static bool is_wanted(const struct runner *r, const struct gy_case *c)
{
	const char *at = r->only;
	size_t len = strlen(c->id);

	if (c->pure_only)
		return false;
	while (at) {
		if (strncmp(at, c->id, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
		at = strchr(at, ',');
		at = at ? at + 1 : NULL;
	}
	return !r->only;
}

static void run_file(struct runner *r, const struct gy_case_file *file)
{
	for (unsigned i = 0; i < file->n_cases; i++) {
		const struct gy_case *c = &file->cases[i];
		const char *reason;

		if (!is_wanted(r, c))
			continue;
		r->n++;
		reason = skip_reason(r, c);
		if (reason) {
			r->n_skipped++;
			printf("ok %u - %s %s (%s) # SKIP %s\n", r->n, c->id, c->title,
			       base_name(file->name), reason);
		} else {
			run_case(r, file->name, c);
		}
		fflush(stdout);
	}
}

/* ---- the command line ---- */

static void parse(struct runner *r, int argc, char **argv)
{
	static const struct option options[] = {
		GY_OPTIONS_PEER,
		GY_OPTIONS_LOG,
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "database", required_argument, NULL, OPTION_DATABASE },
		{ "only", required_argument, NULL, OPTION_ONLY },
		{ "restart", required_argument, NULL, OPTION_RESTART },
		{ "long", no_argument, NULL, OPTION_LONG },
		{ "dump", no_argument, NULL, OPTION_DUMP },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (gy_options_take(&r->options, option, optarg))
			continue;
		switch (option) {
		case OPTION_HELP:
			printf("%s%s%s", help, gy_help_peer, help_examples);
			exit(0);
		case OPTION_DATABASE:
			r->database = optarg;
			break;
		case OPTION_ONLY:
			r->only = optarg;
			break;
		case OPTION_RESTART:
			r->restart = optarg;
			break;
		case OPTION_LONG:
			r->run_long = true;
			break;
		case OPTION_DUMP:
			r->dump = true;
			break;
		default:
			exit(GYRO_SIM_USAGE);
		}
	}
	gy_options_need_connect(&r->options);
	if (!r->database)
		gy_usage_error("which database? --database CONNINFO");
	if (optind == argc)
		gy_usage_error("which .case files?");
}

static unsigned count_wanted(const struct runner *r, struct gy_case_file *const *files, int n)
{
	unsigned total = 0;

	for (int i = 0; i < n; i++)
		for (unsigned k = 0; k < files[i]->n_cases; k++)
			total += is_wanted(r, &files[i]->cases[k]);
	return total;
}

static void run_files(struct runner *r, struct gy_case_file *const *files, int n)
{
	unsigned node;

	printf("1..%u\n", count_wanted(r, files, n));
	node = connection_node(r, 1);
	if (!gy_client_connect_node(r->client, node, 10000000)) {
		printf("Bail out! %s\n", why_not_open(r, node));
		r->n_failed++;
		return;
	}
	for (int i = 0; i < n; i++)
		run_file(r, files[i]);
	/* Leaves the fixture behind as it was found. */
	if (!gy_case_store_restore(r->store))
		printf("# %s\n", gy_case_store_error(r->store));
	printf("# %u cases, %u failed, %u skipped\n", r->n, r->n_failed, r->n_skipped);
}

int gyro_sim_case(int argc, char **argv)
{
	static struct runner r;
	struct gy_client_setup setup;
	struct gy_case_file **files;
	char error[512];
	int n = 0;

	r.options = gy_options_default();
	parse(&r, argc, argv);
	files = calloc((size_t)argc, sizeof(*files));
	if (!files)
		abort();
	for (int i = optind; i < argc; i++) {
		files[n] = gy_case_read(argv[i], error, sizeof(error));
		if (!files[n++])
			gy_usage_error("%s", error);
	}
	for (size_t i = 0; i < sizeof(r.node) / sizeof(r.node[0]); i++)
		r.node[i] = -1;
	r.store = gy_case_store_open(r.database);
	if (!r.store)
		return GYRO_SIM_NO_ANSWER;
	setup = (struct gy_client_setup){ .origin_realm = r.options.origin_realm,
					  .answer_us = r.options.timeout_us,
					  .give_up_us = 2 * r.options.timeout_us,
					  .seed = r.options.seed };
	if (r.options.log && !(setup.log = gy_log_open(r.options.log)))
		return GYRO_SIM_USAGE;
	gy_log_start(setup.log, "case", r.options.seed);
	r.client = gy_client_new(&setup);
	run_files(&r, files, n);
	gy_log_end(setup.log, json_object());
	gy_client_close(r.client);
	gy_log_close(setup.log);
	forget_sessions(&r);
	gy_case_store_close(r.store);
	for (int i = 0; i < n; i++)
		gy_case_free(files[i]);
	for (size_t i = 0; i < sizeof(r.hosts) / sizeof(r.hosts[0]); i++)
		free(r.hosts[i]);
	free(files);
	return r.n_failed == 0 && r.n > 0 ? GYRO_SIM_OK : GYRO_SIM_REFUSED;
}
