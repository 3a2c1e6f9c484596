/* The options of gyro-sim load: read, checked, explained. */
#include "tests/client/load_internal.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage_text[] =
	"usage: gyro-sim load --connect HOST:PORT [options]\n"
	"Opens Gy sessions, keeps them busy, checks every answer, measures.\n"
	"\n"
	"Where:\n"
	"  --connect HOST:PORT       a node; repeatable, connections are dealt out in turn\n"
	"  --connections N           connections (1)\n"
	"  --failover                each of them to all nodes, in turn preferring one: new "
	"requests\n"
	"                            go there while it is there, else to the next. So does, with\n"
	"                            the T bit, what is unanswered when a connection breaks or "
	"after\n"
	"                            --timeout, and what is refused for overload (3004, 5012)\n"
	"  --tls-ca FILE             TLS from the first octet; the node's certificate is of this "
	"authority\n"
	"  --tls-cert, --tls-key FILE  what we show the node; all connections the same (nothing)\n"
	"  --origin-host NAME        who we are; # becomes the connection's number "
	"(load#.gyro.test)\n"
	"  --realm REALM             Origin-Realm (gyro.test)\n"
	"  --destination-realm REALM (the same as --realm)\n"
	"  --origin-state N          Origin-State-Id (1); a higher one than last time tells the "
	"node\n"
	"                            that we lost our sessions, and it ends them\n"
	"How much:\n"
	"  --window W                closed loop: W requests in flight per connection (16)\n"
	"  --rate R                  open loop: R requests a second in all; latency counts from "
	"the\n"
	"                            intended time of sending\n"
	"  --poisson                 open loop: random gaps (exponential) instead of even ones\n"
	"  --tick US                 open loop: look for what is due and what came every so often "
	"only\n"
	"                            (0: at once); costs less CPU, adds up to US to each latency\n"
	"  --seconds S               measured time (10)\n"
	"  --requests N              stop after N requests instead\n"
	"  --warmup S                before measuring (1)\n"
	"What:\n"
	"  --mode update|full        CCR-U only, or whole sessions: CCR-I, CCR-U..., CCR-T "
	"(update)\n"
	"  --sessions N              sessions at the same time (1000)\n"
	"  --session-first K         the first one's number (0)\n"
	"  --preloaded               they are open in the database already (tests/bench/seed)\n"
	"  --number-first N          CC-Request-Number to go on with, of preloaded sessions (1)\n"
	"  --in-turn                 each session once before any again, instead of at random\n"
	"  --leave-open              don't end own sessions with CCR-T when all is done\n"
	"  --updates N               mode full: CCR-Us per session (8)\n"
	"  --subscribers N           sessions belong to N subscribers (--session-first + "
	"--sessions)\n"
	"  --subscriber-step N       consecutive sessions' subscribers lie N apart (1)\n"
	"  --rating-group N          (10)\n"
	"  --service-context TEXT    (32251@3gpp.org)\n"
	"  --use OCTETS              most that a request reports as used (10485760)\n"
	"  --request OCTETS          Requested-Service-Unit; 0: an empty one (0)\n"
	"  --duplicates P            send P percent of the requests twice, half of the copies with "
	"the\n"
	"                            T bit, half before the first answer; both answers must be "
	"equal\n"
	"Answers:\n"
	"  --allow CODE[,CODE...]    Result-Codes beside 2001 that are no failure\n"
	"  --timeout MS              resend with the T bit after (5000), at most 3 times\n"
	"Reading:\n"
	"  --pid [NAME=]PID[,...]    CPU time per request of these processes and their children\n"
	"  --progress                a line each second\n"
	"  --json                    the result as JSON\n"
	"  --log FILE                every request before it is sent, every answer: JSON lines; "
	"one "
	"fsync\n"
	"                            for all that leaves together (it counts in the latencies)\n"
	"  --seed N                  repeats the random choices\n"
	"\n"
	"Exit status: 0 all answers right, 1 some wrong or missing, 2 could not run.\n"
	"Example: gyro-sim load --connect 127.0.0.1:3868 --mode full --connections 4 --window 64\n";

enum {
	OPT_CONNECT = 256,
	OPT_CONNECTIONS,
	OPT_FAILOVER,
	OPT_TLS_CA,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_ORIGIN_HOST,
	OPT_REALM,
	OPT_DESTINATION_REALM,
	OPT_ORIGIN_STATE,
	OPT_WINDOW,
	OPT_RATE,
	OPT_POISSON,
	OPT_TICK,
	OPT_SECONDS,
	OPT_REQUESTS,
	OPT_WARMUP,
	OPT_MODE,
	OPT_SESSIONS,
	OPT_SESSION_FIRST,
	OPT_PRELOADED,
	OPT_NUMBER_FIRST,
	OPT_IN_TURN,
	OPT_LEAVE_OPEN,
	OPT_UPDATES,
	OPT_SUBSCRIBERS,
	OPT_SUBSCRIBER_STEP,
	OPT_RATING_GROUP,
	OPT_SERVICE_CONTEXT,
	OPT_USE,
	OPT_REQUEST,
	OPT_DUPLICATES,
	OPT_ALLOW,
	OPT_TIMEOUT,
	OPT_PID,
	OPT_PROGRESS,
	OPT_JSON,
	OPT_LOG,
	OPT_SEED,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "failover", no_argument, NULL, OPT_FAILOVER },
	{ "tls-ca", required_argument, NULL, OPT_TLS_CA },
	{ "tls-cert", required_argument, NULL, OPT_TLS_CERT },
	{ "tls-key", required_argument, NULL, OPT_TLS_KEY },
	{ "origin-host", required_argument, NULL, OPT_ORIGIN_HOST },
	{ "realm", required_argument, NULL, OPT_REALM },
	{ "destination-realm", required_argument, NULL, OPT_DESTINATION_REALM },
	{ "origin-state", required_argument, NULL, OPT_ORIGIN_STATE },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "poisson", no_argument, NULL, OPT_POISSON },
	{ "tick", required_argument, NULL, OPT_TICK },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "sessions", required_argument, NULL, OPT_SESSIONS },
	{ "session-first", required_argument, NULL, OPT_SESSION_FIRST },
	{ "preloaded", no_argument, NULL, OPT_PRELOADED },
	{ "number-first", required_argument, NULL, OPT_NUMBER_FIRST },
	{ "in-turn", no_argument, NULL, OPT_IN_TURN },
	{ "leave-open", no_argument, NULL, OPT_LEAVE_OPEN },
	{ "updates", required_argument, NULL, OPT_UPDATES },
	{ "subscribers", required_argument, NULL, OPT_SUBSCRIBERS },
	{ "subscriber-step", required_argument, NULL, OPT_SUBSCRIBER_STEP },
	{ "rating-group", required_argument, NULL, OPT_RATING_GROUP },
	{ "service-context", required_argument, NULL, OPT_SERVICE_CONTEXT },
	{ "use", required_argument, NULL, OPT_USE },
	{ "request", required_argument, NULL, OPT_REQUEST },
	{ "duplicates", required_argument, NULL, OPT_DUPLICATES },
	{ "allow", required_argument, NULL, OPT_ALLOW },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "progress", no_argument, NULL, OPT_PROGRESS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* What an option may be, whichever it is: one place says no. */
static bool bad_value;

static uint64_t whole(const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
		bad_value = true;
	return value;
}

static double fraction(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= least && value <= most))
		bad_value = true;
	return value;
}

static void read_allowed(struct load_options *options, char *text)
{
	char *save = NULL;

	for (char *code = strtok_r(text, ",", &save); code; code = strtok_r(NULL, ",", &save)) {
		if (options->n_allowed == LOAD_CODES_MAX) {
			bad_value = true;
			return;
		}
		options->allowed[options->n_allowed++] = (uint32_t)whole(code, 1000, 9999);
	}
}

static void read_pids(struct load_options *options, char *text)
{
	char *save = NULL, *equals;

	for (char *item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		struct load_pid *pid = &options->pids[options->n_pids];

		if (options->n_pids == LOAD_PIDS_MAX) {
			bad_value = true;
			return;
		}
		options->n_pids++;
		equals = strchr(item, '=');
		pid->pid = (int)whole(equals ? equals + 1 : item, 1, 1 << 30);
		if (equals != NULL)
			*equals = '\0';
		snprintf(pid->name, sizeof(pid->name), "%s%s", equals ? "" : "pid ", item);
	}
}

static void read_mode(struct load_options *options, const char *text)
{
	if (strcmp(text, "full") == 0)
		options->mode = LOAD_FULL;
	else if (strcmp(text, "update") == 0)
		options->mode = LOAD_UPDATE;
	else
		bad_value = true;
}

static void read_node(struct load_options *options, const char *text)
{
	if (options->n_nodes == LOAD_NODES_MAX || strrchr(text, ':') == NULL) {
		bad_value = true;
		return;
	}
	options->nodes[options->n_nodes++] = text;
}

/* Options that say what is sent and to whom; false: not one of these. */
static bool read_content(struct load_options *options, int option, char *text)
{
	struct load_identity *identity = &options->identity;

	switch (option) {
	case OPT_CONNECT:
		read_node(options, text);
		break;
	case OPT_FAILOVER:
		options->failover = true;
		break;
	case OPT_TLS_CA:
		options->tls_ca = text;
		break;
	case OPT_TLS_CERT:
		options->tls_cert = text;
		break;
	case OPT_TLS_KEY:
		options->tls_key = text;
		break;
	case OPT_ORIGIN_HOST:
		options->origin_host = text;
		break;
	case OPT_REALM:
		identity->origin_realm = text;
		break;
	case OPT_DESTINATION_REALM:
		identity->destination_realm = text;
		break;
	case OPT_MODE:
		read_mode(options, text);
		break;
	case OPT_PRELOADED:
		options->preloaded = true;
		break;
	case OPT_IN_TURN:
		options->in_turn = true;
		break;
	case OPT_LEAVE_OPEN:
		options->leave_open = true;
		break;
	case OPT_RATING_GROUP:
		identity->rating_group = (uint32_t)whole(text, 0, UINT32_MAX);
		break;
	case OPT_SERVICE_CONTEXT:
		identity->service_context = text;
		break;
	case OPT_ORIGIN_STATE:
		identity->origin_state = (uint32_t)whole(text, 0, UINT32_MAX);
		break;
	case OPT_USE:
		options->use_octets = whole(text, 0, INT64_MAX);
		break;
	case OPT_REQUEST:
		identity->request_octets = whole(text, 0, INT64_MAX);
		break;
	case OPT_ALLOW:
		read_allowed(options, text);
		break;
	case OPT_PID:
		read_pids(options, text);
		break;
	case OPT_PROGRESS:
		options->progress = true;
		break;
	case OPT_JSON:
		options->json = true;
		break;
	case OPT_LOG:
		options->log = text;
		break;
	default:
		return false;
	}
	return true;
}

/* Options that say how much and how many. */
static bool read_amount(struct load_options *options, int option, char *text)
{
	switch (option) {
	case OPT_CONNECTIONS:
		options->connections = (unsigned)whole(text, 1, 1000);
		break;
	case OPT_WINDOW:
		options->window = (unsigned)whole(text, 1, 65536);
		break;
	case OPT_RATE:
		options->rate = fraction(text, 0.1, 1e7);
		break;
	case OPT_POISSON:
		options->poisson = true;
		break;
	case OPT_TICK:
		options->tick_us = (unsigned)whole(text, 0, 100000);
		break;
	case OPT_SECONDS:
		options->seconds = fraction(text, 0.1, 1e7);
		break;
	case OPT_REQUESTS:
		options->requests = whole(text, 1, UINT64_MAX / 2);
		break;
	case OPT_WARMUP:
		options->warmup = fraction(text, 0, 1e6);
		break;
	case OPT_SESSIONS:
		options->sessions = whole(text, 1, 100000000);
		break;
	case OPT_SESSION_FIRST:
		options->session_first = whole(text, 0, 1000000000);
		break;
	case OPT_NUMBER_FIRST:
		options->number_first = (uint32_t)whole(text, 0, UINT32_MAX);
		break;
	case OPT_UPDATES:
		options->updates = (unsigned)whole(text, 0, 65535);
		break;
	case OPT_SUBSCRIBERS:
		options->subscribers = whole(text, 1, 1000000000);
		break;
	case OPT_SUBSCRIBER_STEP:
		options->subscriber_step = whole(text, 1, 1000000000);
		break;
	case OPT_DUPLICATES:
		options->duplicates = fraction(text, 0, 100);
		break;
	case OPT_TIMEOUT:
		options->timeout_ms = (unsigned)whole(text, 10, 600000);
		break;
	case OPT_SEED:
		options->seed = whole(text, 0, UINT64_MAX);
		break;
	default:
		return false;
	}
	return true;
}

static bool complain(const char *what)
{
	fprintf(stderr, "load: %s; --help explains\n", what);
	return false;
}

static bool consistent(struct load_options *options)
{
	if (options->n_nodes == 0)
		return complain("--connect is missing");
	if (options->failover && options->n_nodes < 2)
		return complain("--failover needs a second --connect");
	if (options->connections > 1 && strchr(options->origin_host, '#') == NULL)
		return complain("several connections need a # in --origin-host");
	if (options->sessions < (uint64_t)options->connections * options->window &&
	    options->rate <= 0)
		return complain("a session has one request in flight: --sessions must be at least "
				"--connections times --window");
	if (options->sessions < options->connections)
		return complain("--sessions must be at least --connections");
	if (options->preloaded && options->mode != LOAD_UPDATE)
		return complain("--preloaded sessions take --mode update only");
	if (options->identity.destination_realm == NULL)
		options->identity.destination_realm = options->identity.origin_realm;
	if (options->subscribers == 0)
		options->subscribers = options->session_first + options->sessions;
	return true;
}

bool load_options_read(struct load_options *options, int argc, char **argv, bool *help)
{
	struct timespec now;
	int option, index = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	*options = (struct load_options){
		.connections = 1,
		.window = 16,
		.sessions = 1000,
		.subscriber_step = 1,
		.number_first = 1,
		.updates = 8,
		.seconds = 10,
		.warmup = 1,
		.use_octets = 10485760,
		.origin_host = "load#.gyro.test",
		.timeout_ms = 5000,
		.seed = (uint64_t)now.tv_nsec,
		.identity = { .origin_realm = "gyro.test",
			      .service_context = "32251@3gpp.org",
			      .rating_group = 10,
			      .origin_state = 1 },
	};
	*help = false;
	optind = 0;
	while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		if (option == OPT_HELP) {
			fputs(usage_text, stdout);
			*help = true;
			return true;
		}
		bad_value = false;
		if (!read_content(options, option, optarg) && !read_amount(options, option, optarg))
			return complain("unknown option, or its value is missing");
		if (bad_value) {
			fprintf(stderr, "load: --%s: bad value '%s'\n", long_options[index].name,
				optarg);
			return false;
		}
	}
	if (optind < argc)
		return complain("what stands without an option isn't understood");
	return consistent(options);
}
