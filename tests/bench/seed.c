/* Fills a freshly migrated database for the bench: accounts, subscribers, identities, open
 * sessions.
 *
 * By COPY, with triggers and foreign-key checks off (session_replication_role, so a superuser is
 * needed); what is written is what the node itself would have written had each session been opened
 * by CCR-I number 0, and gyro.audit() finds nothing. Takes prices and grants from the catalogue
 * that is there. Refuses a database that has accounts. */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "extensions/app_gyro/session_key.h"
#include "tests/client/load_names.h"

#define BUFFER_SIZE    (256 * 1024)
#define ROW_MAX        4096
#define SESSIONS_MAX   16                     /* of one account, so that a row fits ROW_MAX */
#define BALANCE_MICROS INT64_C(1000000000000) /* a million units: no load spends that */
#define CURRENCY       156
#define NONE           UINT32_MAX

struct options {
	const char *database, *tariff, *origin_host, *realm;
	uint32_t accounts, sessions, step, gateways, rating_group;
};

/* The catalogue's answer to what a CCR-I would have got. */
struct grant {
	int64_t rule_id, price_micros, block, octets, reserved, validity_s, threshold, holding_s;
	int tariff_id;
};

struct seed {
	struct options options;
	struct grant grant;
	int64_t *gateway_ids;
	uint32_t *first, *next; /* account - 1 -> session -> session: who has which */
	time_t opened;
};

struct copy {
	PGconn *connection;
	char *buffer;
	size_t len;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "seed: %s: %s\n", what, why);
	exit(2);
}

static PGconn *connect_to(const char *database)
{
	PGconn *connection = PQconnectdb(database);
	PGresult *result;

	if (PQstatus(connection) != CONNECTION_OK)
		die("database", PQerrorMessage(connection));
	result = PQexec(connection, "SET session_replication_role = replica");
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("session_replication_role", PQerrorMessage(connection));
	PQclear(result);
	return connection;
}

static PGresult *query(PGconn *connection, const char *sql, int n, const char *const *values)
{
	PGresult *result = PQexecParams(connection, sql, n, NULL, values, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die(sql, PQerrorMessage(connection));
	return result;
}

static int64_t number(const PGresult *result, int column)
{
	return strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

/* --- COPY ------------------------------------------------------------------------------------ */

static void copy_begin(struct copy *copy, const char *sql)
{
	PGresult *result = PQexec(copy->connection, sql);

	if (PQresultStatus(result) != PGRES_COPY_IN)
		die(sql, PQerrorMessage(copy->connection));
	PQclear(result);
	copy->len = 0;
}

static void copy_flush(struct copy *copy)
{
	if (copy->len > 0 && PQputCopyData(copy->connection, copy->buffer, (int)copy->len) != 1)
		die("COPY", PQerrorMessage(copy->connection));
	copy->len = 0;
}

static void __attribute__((format(printf, 2, 3))) put(struct copy *copy, const char *format, ...)
{
	va_list arguments;
	int n;

	if (copy->len + ROW_MAX > BUFFER_SIZE)
		copy_flush(copy);
	va_start(arguments, format);
	n = vsnprintf(copy->buffer + copy->len, ROW_MAX, format, arguments);
	va_end(arguments);
	if (n < 0 || n >= ROW_MAX)
		die("COPY", "a row is too long");
	copy->len += (size_t)n;
}

static void copy_end(struct copy *copy)
{
	PGresult *result;

	copy_flush(copy);
	if (PQputCopyEnd(copy->connection, NULL) != 1)
		die("COPY", PQerrorMessage(copy->connection));
	while ((result = PQgetResult(copy->connection)) != NULL) {
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			die("COPY", PQerrorMessage(copy->connection));
		PQclear(result);
	}
}

/* --- one table after the other -----------------------------------------------------------------
 */

static struct gy_session_key key_of(uint32_t session)
{
	char id[LOAD_SESSION_SIZE];

	load_session_id(id, LOAD_RUN_PRELOADED, session, 0);
	return gy_session_key((struct gy_bytes){ (const uint8_t *)id, sizeof(id) }, false, 0);
}

/* Columns of gyro.account.sessions, .reservations and .answers: see the views of the schema. */
static void put_matrices(struct copy *copy, const struct seed *seed, uint32_t account)
{
	const struct grant *g = &seed->grant;
	int64_t opened_us = (int64_t)seed->opened * 1000000, subscriber = account + 1;
	int64_t deadline_us = opened_us + 2 * g->validity_s * 1000000;
	uint32_t s;
	int n = 0;

	put(copy, "{");
	for (s = seed->first[account]; s != NONE; s = seed->next[s]) {
		struct gy_session_key key = key_of(s);

		put(copy,
		    "%s{%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",1,%" PRId64 ",%" PRId64
		    ",-1,0,0,%" PRIu32 ",0}",
		    n++ ? "," : "", (int64_t)key.hi, (int64_t)key.lo, subscriber,
		    seed->gateway_ids[s % seed->options.gateways], opened_us, deadline_us, s);
	}
	put(copy, "}\t{");
	for (int i = 0; i < n; i++)
		put(copy,
		    "%s{%d,%" PRIu32 ",0,1,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
		    ",0,%" PRId64 ",%" PRId64 ",0}",
		    i ? "," : "", i + 1, seed->options.rating_group, g->octets, g->reserved,
		    g->price_micros, g->block, g->rule_id, g->validity_s);
	put(copy, "}\t{");
	n = 0;
	for (s = seed->first[account]; s != NONE; s = seed->next[s], n++)
		put(copy,
		    "%s{%" PRId64 ",%" PRId64 ",%d,%" PRId64 ",%" PRIu32 ",0,%" PRId64 ",%" PRId64
		    ",0}",
		    n ? "," : "", (int64_t)s << 32 | (n + 1), INT64_C(1) << 32, n + 1,
		    INT64_C(2001) | INT64_C(2001) << 16 | INT64_C(1) << 32 | g->holding_s << 40,
		    seed->options.rating_group, g->octets, g->validity_s << 32 | g->threshold);
	put(copy, "}\n");
}

static unsigned open_sessions(const struct seed *seed, uint32_t account)
{
	unsigned n = 0;

	for (uint32_t s = seed->first[account]; s != NONE; s = seed->next[s])
		n++;
	return n;
}

static void seed_accounts(struct copy *copy, const struct seed *seed)
{
	copy_begin(copy, "COPY gyro.account (account_id, group_id, currency, balance, reserved, "
			 "sessions, reservations, answers) FROM STDIN");
	for (uint32_t a = 0; a < seed->options.accounts; a++) {
		put(copy, "%" PRIu32 "\t%" PRIu32 "\t%d\t%" PRId64 "\t%" PRId64 "\t", a + 1, a + 1,
		    CURRENCY, BALANCE_MICROS, open_sessions(seed, a) * seed->grant.reserved);
		put_matrices(copy, seed, a);
	}
	copy_end(copy);
}

static void seed_payments(struct copy *copy, const struct seed *seed)
{
	copy_begin(copy,
		   "COPY gyro.payment (account_id, group_id, kind, amount, balance, reference) "
		   "FROM STDIN");
	for (uint32_t a = 1; a <= seed->options.accounts; a++)
		put(copy, "%" PRIu32 "\t%" PRIu32 "\t1\t%" PRId64 "\t%" PRId64 "\topening\n", a, a,
		    BALANCE_MICROS, BALANCE_MICROS);
	copy_end(copy);
}

static void seed_subscribers(struct copy *copy, const struct seed *seed)
{
	copy_begin(
		copy,
		"COPY gyro.subscriber (subscriber_id, account_id, group_id, tariff_id) FROM STDIN");
	for (uint32_t a = 1; a <= seed->options.accounts; a++)
		put(copy, "%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%d\n", a, a, a,
		    seed->grant.tariff_id);
	copy_end(copy);
}

/* One IMSI and one MSISDN each, as on the wire. */
static void seed_identities(struct copy *copy, const struct seed *seed)
{
	char imsi[LOAD_IMSI_SIZE + 1] = "", msisdn[LOAD_MSISDN_SIZE + 1] = "";

	copy_begin(copy, "COPY gyro.subscriber_identity (kind, value, subscriber_id) FROM STDIN");
	for (uint32_t a = 1; a <= seed->options.accounts; a++) {
		load_imsi(imsi, a);
		put(copy, "1\t%s\t%" PRIu32 "\n", imsi, a);
	}
	for (uint32_t a = 1; a <= seed->options.accounts; a++) {
		load_msisdn(msisdn, a);
		put(copy, "2\t%s\t%" PRIu32 "\n", msisdn, a);
	}
	copy_end(copy);
}

static void seed_session_index(struct copy *copy, const struct seed *seed)
{
	time_t deadline = seed->opened + 2 * seed->grant.validity_s;
	char id[LOAD_SESSION_SIZE + 1] = "", opened[32], check_at[32];
	struct tm broken;

	strftime(opened, sizeof(opened), "%Y-%m-%d %H:%M:%S+00", gmtime_r(&seed->opened, &broken));
	strftime(check_at, sizeof(check_at), "%Y-%m-%d %H:%M:%S+00", gmtime_r(&deadline, &broken));
	copy_begin(copy, "COPY gyro.session_index (session, session_id, account_id, group_id, "
			 "subscriber_id, gateway_id, opened, check_at) FROM STDIN");
	for (uint32_t s = 0; s < seed->options.sessions; s++) {
		struct gy_session_key key = key_of(s);
		uint64_t a = load_subscriber(s, seed->options.accounts, seed->options.step);

		load_session_id(id, LOAD_RUN_PRELOADED, s, 0);
		put(copy,
		    "%016" PRIx64 "%016" PRIx64 "\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
		    "\t%" PRId64 "\t%s\t%s\n",
		    key.hi, key.lo, id, a, a, a, seed->gateway_ids[s % seed->options.gateways],
		    opened, check_at);
	}
	copy_end(copy);
}

/* --- what must be known first ------------------------------------------------------------------
 */

static void read_grant(PGconn *connection, struct seed *seed)
{
	struct grant *g = &seed->grant;
	char group[16];
	const char *values[] = { seed->options.tariff, group };
	PGresult *result;

	snprintf(group, sizeof(group), "%" PRIu32, seed->options.rating_group);
	result = query(connection,
		       "SELECT t.tariff_id, r.rule_id, r.price_micros, r.block, g.default_grant, "
		       "g.validity_s, g.threshold, g.quota_holding_s, "
		       "ceil(g.default_grant::numeric * r.price_micros / r.block) "
		       "FROM gyro.specific_tariff t JOIN gyro.specific_rule r USING (tariff_id) "
		       "JOIN gyro.rating_group g USING (rating_group) "
		       "WHERE t.code = $1 AND g.rating_group = $2 AND r.unit = 1 AND r.kind = 0",
		       2, values);
	if (PQntuples(result) != 1)
		die("catalogue", "one priced octet rule for --tariff and --rating-group is needed");
	g->tariff_id = (int)number(result, 0);
	g->rule_id = number(result, 1);
	g->price_micros = number(result, 2);
	g->block = number(result, 3);
	g->octets = number(result, 4);
	g->validity_s = number(result, 5);
	g->threshold = number(result, 6);
	g->holding_s = number(result, 7);
	g->reserved = number(result, 8);
	PQclear(result);
	result = query(connection, "SELECT count(*) FROM (SELECT FROM gyro.account LIMIT 1) a", 0,
		       NULL);
	if (number(result, 0) != 0)
		die("database", "there are accounts already");
	PQclear(result);
}

/* As gyro-sim load names its connections: # is the number. */
static void make_gateways(PGconn *connection, struct seed *seed)
{
	const char *pattern = seed->options.origin_host, *mark = strchr(pattern, '#');
	const char *values[] = { NULL, seed->options.realm };
	char host[256];
	PGresult *result;

	if (mark == NULL)
		die("--origin-host", "a # is needed for the gateway's number");
	for (uint32_t i = 0; i < seed->options.gateways; i++) {
		snprintf(host, sizeof(host), "%.*s%" PRIu32 "%s", (int)(mark - pattern), pattern, i,
			 mark + 1);
		values[0] = host;
		result = query(
			connection,
			"INSERT INTO gyro.gateway (origin_host, origin_realm) VALUES ($1, $2) "
			"RETURNING gateway_id",
			2, values);
		seed->gateway_ids[i] = number(result, 0);
		PQclear(result);
	}
}

static void deal_sessions(struct seed *seed)
{
	const struct options *o = &seed->options;

	for (uint32_t a = 0; a < o->accounts; a++)
		seed->first[a] = NONE;
	for (uint32_t s = o->sessions; s-- > 0;) {
		uint64_t a = load_subscriber(s, o->accounts, o->step) - 1;

		seed->next[s] = seed->first[a];
		seed->first[a] = s;
	}
	for (uint32_t a = 0; a < o->accounts; a++)
		if (open_sessions(seed, a) > SESSIONS_MAX)
			die("--sessions", "too many sessions for one account");
}

/* --- two processes, for two cores ------------------------------------------------------------ */

static int half(const struct seed *seed, bool second)
{
	struct copy copy = { .buffer = malloc(BUFFER_SIZE) };

	if (copy.buffer == NULL)
		return 2;
	copy.connection = connect_to(seed->options.database);
	if (second) {
		seed_payments(&copy, seed);
		seed_subscribers(&copy, seed);
		seed_session_index(&copy, seed);
	} else {
		seed_accounts(&copy, seed);
		seed_identities(&copy, seed);
	}
	PQfinish(copy.connection);
	free(copy.buffer);
	return 0;
}

static uint32_t count_of(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > 100000000)
		die(text, "not a number from 1 to 100000000");
	return (uint32_t)value;
}

static void read_options(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{ "database", required_argument, NULL, 'd' },
		{ "accounts", required_argument, NULL, 'a' },
		{ "sessions", required_argument, NULL, 's' },
		{ "subscriber-step", required_argument, NULL, 'p' },
		{ "gateways", required_argument, NULL, 'g' },
		{ "origin-host", required_argument, NULL, 'o' },
		{ "realm", required_argument, NULL, 'r' },
		{ "tariff", required_argument, NULL, 't' },
		{ "rating-group", required_argument, NULL, 'R' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*o = (struct options){ .tariff = "bench",
			       .origin_host = "load#.gyro.test",
			       .realm = "gyro.test",
			       .accounts = 1000000,
			       .sessions = 500000,
			       .step = 1,
			       .gateways = 4,
			       .rating_group = 10 };
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (option) {
		case 'd':
			o->database = optarg;
			break;
		case 'a':
			o->accounts = count_of(optarg);
			break;
		case 's':
			o->sessions = count_of(optarg);
			break;
		case 'p':
			o->step = count_of(optarg);
			break;
		case 'g':
			o->gateways = count_of(optarg);
			break;
		case 'o':
			o->origin_host = optarg;
			break;
		case 'r':
			o->realm = optarg;
			break;
		case 't':
			o->tariff = optarg;
			break;
		case 'R':
			o->rating_group = count_of(optarg);
			break;
		default:
			exit(2);
		}
	if (o->database == NULL)
		die("--database", "a libpq conninfo is needed");
}

int main(int argc, char **argv)
{
	struct seed seed = { .opened = time(NULL) };
	int status = 0, first;
	PGconn *connection;
	pid_t child;

	read_options(&seed.options, argc, argv);
	seed.gateway_ids = calloc(seed.options.gateways, sizeof(*seed.gateway_ids));
	seed.first = calloc(seed.options.accounts, sizeof(*seed.first));
	seed.next = calloc(seed.options.sessions, sizeof(*seed.next));
	if (seed.gateway_ids == NULL || seed.first == NULL || seed.next == NULL)
		die("memory", "not enough");
	deal_sessions(&seed);
	connection = connect_to(seed.options.database);
	read_grant(connection, &seed);
	make_gateways(connection, &seed);
	PQfinish(connection);
	child = fork();
	if (child == 0)
		_exit(half(&seed, true));
	first = half(&seed, false);
	if (child < 0 || waitpid(child, &status, 0) != child)
		die("fork", "no second process");
	free(seed.gateway_ids);
	free(seed.first);
	free(seed.next);
	return first != 0 || status != 0 ? 2 : 0;
}
