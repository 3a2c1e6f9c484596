/* gyro-sim churn: many sessions at once, whatever happens to the nodes. The client of crash tests.
 *
 * Sessions of random subscribers begin, update (also in parallel and out of order) and end; what is
 * unanswered is resent with T, also to another node, until it is answered or given up. The request
 * log holds everything an auditor needs. It judges no charging itself: only that every request got
 * an outcome, that answers have the right form, and that copies were answered alike. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/client/commands.h"
#include "tests/client/options.h"

#define FLOWS_MAX     8
#define BURST_MAX     3
#define SESSIONS_MAX  10000
#define CODES_MAX     32
#define UPDATES_MAX   10
#define PROGRESS_US   INT64_C(1000000)
#define REASON_FINAL  2
#define CAUSE_LOGOUT  1
#define PREFERRED_USE (INT64_C(2) << 20) /* of one report, when so much is granted */

static const char help[] =
	"usage: gyro-sim churn --connect ADDRESS:PORT --subscribers FROM..TO [options]\n"
	"Opens, updates and ends sessions, many at once, for a while; resends everything "
	"unanswered\n"
	"with T, also to the next node; then ends all sessions. Exit status 0: every request has "
	"an\n"
	"outcome, every answer the right form, every copy the same answer.\n"
	"\n"
	"  --subscribers FROM..TO     numbers, added to --imsi-base (needed)\n"
	"  --imsi-base N              (460001000000000)\n"
	"  --sessions N               open at the same time (50)\n"
	"  --seconds S                then no new sessions (10)\n"
	"  --rating-group N[,N...]    one to all of them in each session (10)\n"
	"  --parallel N%              of the updates are sent two or three at once, in any order "
	"(30)\n"
	"  --overtake N%              of the sessions end while updates are out (0)\n"
	"  --over-use N%              of the reports exceed the grant (0)\n"
	"  --think DURATION           between the requests of a session, on average (20ms)\n"
	"  --give-up DURATION         after that a request is unknown (60s)\n"
	"  --progress                 a line a second on standard error\n";

static const char help_examples[] =
	"\n"
	"example:\n"
	"  gyro-sim churn --connect 127.0.0.1:3868 --connect 127.0.0.1:3869 --subscribers 1..1000 "
	"\\\n"
	"      --sessions 200 --seconds 60 --duplicates 20% --log requests.log --seed 7\n";

enum {
	OPTION_HELP = GY_OPTION_OWN,
	OPTION_SUBSCRIBERS,
	OPTION_IMSI_BASE,
	OPTION_SESSIONS,
	OPTION_SECONDS,
	OPTION_RATING_GROUP,
	OPTION_PARALLEL,
	OPTION_OVERTAKE,
	OPTION_OVER_USE,
	OPTION_THINK,
	OPTION_GIVE_UP,
	OPTION_PROGRESS,
};

enum phase {
	PHASE_FREE,    /* no session here */
	PHASE_OPENING, /* CCR-I is out */
	PHASE_OPEN,
	PHASE_ENDING, /* CCR-T is out */
	PHASE_OVER,   /* ended, or lost; free when nothing is out */
};

struct churn_session {
	struct churn *churn;
	enum phase phase;
	char id[128], imsi[32];
	uint32_t number;
	unsigned out, updates_left, n_flows;
	uint32_t rating_group[FLOWS_MAX];
	int64_t granted[FLOWS_MAX];
	int64_t next_at_us;
};

struct code_count {
	uint32_t code;
	uint64_t n;
};

struct churn {
	struct gy_options options;
	int64_t first, last, imsi_base, seconds_us, think_us, give_up_us;
	unsigned n_sessions, parallel, overtake, over_use;
	uint32_t rating_groups[GY_LIST_MAX];
	unsigned n_rating_groups;
	bool progress;

	struct gy_client *client;
	struct churn_session *sessions;
	uint64_t random;
	int64_t until_us;
	uint64_t begun, ended;
	struct code_count codes[CODES_MAX];
};

static uint64_t below(struct churn *churn, uint64_t limit)
{
	return limit > 0 ? gy_random(&churn->random) % limit : 0;
}

static bool chance(struct churn *churn, unsigned percent)
{
	return below(churn, 100) < percent;
}

static void count_code(struct churn *churn, uint32_t code)
{
	for (int i = 0; i < CODES_MAX; i++) {
		if (churn->codes[i].n > 0 && churn->codes[i].code != code)
			continue;
		churn->codes[i].code = code;
		churn->codes[i].n++;
		return;
	}
}

/* ---- answers ---- */

static void take_grants(struct churn_session *s, const struct gy_case_seen *seen)
{
	for (unsigned i = 0; i < seen->n_services; i++)
		for (unsigned k = 0; k < s->n_flows; k++)
			if (seen->services[i].rating_group == s->rating_group[k])
				s->granted[k] = seen->services[i].grant.count[GY_CASE_TOTAL];
}

static void on_outcome(void *owner, struct gy_exchange *exchange, enum gy_outcome outcome,
		       const struct gy_reply *reply)
{
	struct churn_session *s = owner;
	char type = gy_exchange_content(exchange)->type;

	s->out--;
	s->next_at_us = gy_now_us() + (int64_t)below(s->churn, (uint64_t)s->churn->think_us * 2);
	if (reply)
		count_code(s->churn, reply->seen.code);
	if (s->phase == PHASE_OVER) {
		return;
	} else if (type == 'T' || outcome == GY_OUTCOME_UNKNOWN ||
		   (type == 'I' && outcome == GY_OUTCOME_FAILED) ||
		   (reply && reply->seen.code == 5002)) {
		s->churn->ended += type == 'T';
		s->phase = PHASE_OVER;
	} else if (outcome == GY_OUTCOME_FAILED) {
		s->updates_left = 0; /* a gateway would terminate now */
	} else {
		if (s->phase == PHASE_OPENING)
			s->phase = PHASE_OPEN;
		take_grants(s, &reply->seen);
	}
}

/* ---- requests ---- */

/* What of the grant has flowed when it is reported; the rest of it is given back by the report. */
static int64_t choose_used(struct churn *churn, int64_t granted, unsigned share)
{
	int64_t most = granted / share;

	if (granted > 0 && chance(churn, churn->over_use))
		return most + 1 + (int64_t)below(churn, 4096);
	if (most > PREFERRED_USE)
		most = PREFERRED_USE;
	return (int64_t)below(churn, (uint64_t)most + 1);
}

static void submit(struct churn_session *s, char type, uint32_t number, unsigned share)
{
	struct churn *churn = s->churn;
	const struct gy_case_identity identity = { .kind = GY_CASE_IMSI, .value = s->imsi };
	struct gy_case_request r = gy_request_plain(type, number);
	struct gy_request_frame frame = gy_options_frame(&churn->options);
	struct gy_case_service services[FLOWS_MAX];
	struct gy_case_used used[FLOWS_MAX];

	for (unsigned i = 0; i < s->n_flows; i++) {
		/* Not every update is about every service. */
		if (type == 'U' && s->n_flows > 1 && chance(churn, 30))
			continue;
		used[i] = (struct gy_case_used){ .tariff_change = -1 };
		used[i].units.present[GY_CASE_TOTAL] = true;
		used[i].units.count[GY_CASE_TOTAL] = choose_used(churn, s->granted[i], share);
		services[r.n_services++] = (struct gy_case_service){
			.has_rating_group = true,
			.rating_group = s->rating_group[i],
			.requested = type != 'T',
			.n_used = type == 'I' ? 0 : 1,
			.used = &used[i],
			.reason = type == 'T' ? REASON_FINAL : -1,
			.used_reason = -1,
		};
	}
	r.services = services;
	r.n_identities = 1;
	r.identities = &identity;
	r.context = churn->options.context;
	r.multiple_services = type == 'I' ? 1 : -1;
	r.termination_cause = type == 'T' ? CAUSE_LOGOUT : -1;
	frame.session_id = s->id;
	s->out++;
	if (!gy_client_submit(churn->client, &r, &frame,
			      (unsigned)below(churn, gy_client_nodes(churn->client)), false,
			      on_outcome, s))
		abort();
}

static void begin(struct churn_session *s)
{
	struct churn *churn = s->churn;
	unsigned first = (unsigned)below(churn, churn->n_rating_groups);
	int64_t number =
		churn->first + (int64_t)below(churn, (uint64_t)(churn->last - churn->first) + 1);

	*s = (struct churn_session){ .churn = churn, .phase = PHASE_OPENING };
	gy_session_id_new(s->id, sizeof(s->id), churn->options.origin_host, "");
	snprintf(s->imsi, sizeof(s->imsi), "%015" PRId64, churn->imsi_base + number);
	s->n_flows = 1 + (unsigned)below(churn, churn->n_rating_groups < FLOWS_MAX
							? churn->n_rating_groups
							: FLOWS_MAX);
	for (unsigned i = 0; i < s->n_flows; i++)
		s->rating_group[i] = churn->rating_groups[(first + i) % churn->n_rating_groups];
	s->updates_left = 1 + (unsigned)below(churn, UPDATES_MAX);
	churn->begun++;
	submit(s, 'I', s->number++, 1);
}

/* One update, or a few at once, the later numbers possibly first. */
static void update(struct churn_session *s)
{
	struct churn *churn = s->churn;
	unsigned burst = 1;
	uint32_t first = s->number;

	if (chance(churn, churn->parallel))
		burst = 2 + (unsigned)below(churn, BURST_MAX - 1);
	if (burst > s->updates_left)
		burst = s->updates_left;
	s->updates_left -= burst;
	s->number += burst;
	if (burst > 1 && chance(churn, 50))
		for (unsigned i = burst; i > 0; i--)
			submit(s, 'U', first + i - 1, burst);
	else
		for (unsigned i = 0; i < burst; i++)
			submit(s, 'U', first + i, burst);
	memset(s->granted, 0, sizeof(s->granted));
}

static void end(struct churn_session *s)
{
	s->phase = PHASE_ENDING;
	submit(s, 'T', s->number++, 1);
}

static void act(struct churn_session *s, int64_t now)
{
	bool going_on = now < s->churn->until_us;

	if (s->phase == PHASE_OVER && s->out == 0)
		s->phase = PHASE_FREE;
	if (s->phase == PHASE_FREE && going_on) {
		begin(s);
		return;
	}
	if (s->phase != PHASE_OPEN || (going_on && now < s->next_at_us))
		return;
	if (s->out > 0) {
		/* A termination that overtakes what is still out (G-28). */
		if (s->updates_left == 0 && s->churn->overtake > 0 &&
		    chance(s->churn, s->churn->overtake))
			end(s);
		return;
	}
	if (s->updates_left > 0 && going_on)
		update(s);
	else
		end(s);
}

static bool all_free(const struct churn *churn)
{
	for (unsigned i = 0; i < churn->n_sessions; i++)
		if (churn->sessions[i].phase != PHASE_FREE)
			return false;
	return gy_client_pending(churn->client) == 0;
}

/* ---- the run ---- */

static void show_progress(const struct churn *churn)
{
	const struct gy_client_counts *c = gy_client_counts(churn->client);

	fprintf(stderr,
		"%" PRIu64 " sessions, %" PRIu64 " requests, %" PRIu64 " ok, %" PRIu64
		" failed, %" PRIu64 " sent again, %" PRIu64 " copies, %u pending\n",
		churn->begun, c->requests, c->ok, c->failed, c->resent, c->copies,
		gy_client_pending(churn->client));
}

static void run(struct churn *churn)
{
	int64_t begin_us = gy_now_us(), told_us = begin_us;
	/* Each phase of the end takes at most --give-up; nothing runs for ever. */
	int64_t last_us = begin_us + churn->seconds_us + 3 * churn->give_up_us;

	churn->until_us = begin_us + churn->seconds_us;
	for (;;) {
		int64_t now = gy_now_us();

		for (unsigned i = 0; i < churn->n_sessions; i++)
			act(&churn->sessions[i], now);
		gy_client_turn(churn->client, 5);
		if ((now >= churn->until_us && all_free(churn)) || now >= last_us)
			break;
		if (churn->progress && now - told_us >= PROGRESS_US) {
			show_progress(churn);
			told_us = now;
		}
	}
}

static json_t *totals(const struct churn *churn)
{
	const struct gy_client_counts *c = gy_client_counts(churn->client);
	json_t *codes = json_object();
	char code[16];

	for (int i = 0; i < CODES_MAX && churn->codes[i].n > 0; i++) {
		snprintf(code, sizeof(code), "%u", churn->codes[i].code);
		json_object_set_new(codes, code, json_integer((json_int_t)churn->codes[i].n));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
			 "sessions", (json_int_t)churn->begun, "ended", (json_int_t)churn->ended,
			 "requests", (json_int_t)c->requests, "sent", (json_int_t)c->sent, "resent",
			 (json_int_t)c->resent, "copies", (json_int_t)c->copies, "ok",
			 (json_int_t)c->ok, "failed", (json_int_t)c->failed, "unknown",
			 (json_int_t)c->unknown, "busy", (json_int_t)c->busy, "different",
			 (json_int_t)c->different, "malformed", (json_int_t)c->malformed, "codes",
			 codes);
}

static void print_totals(const struct churn *churn, json_t *all)
{
	const char *key;
	json_t *value;

	if (churn->options.json) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		putchar('\n');
		return;
	}
	json_object_foreach(all, key, value)
	{
		if (json_is_integer(value))
			printf("%-10s %10" JSON_INTEGER_FORMAT "\n", key,
			       json_integer_value(value));
	}
	for (int i = 0; i < CODES_MAX && churn->codes[i].n > 0; i++)
		printf("  %u %10" PRIu64 "  %s\n", churn->codes[i].code, churn->codes[i].n,
		       gy_reply_code_name(churn->codes[i].code));
}

/* ---- the command line ---- */

static void take_subscribers(struct churn *churn, const char *text)
{
	char copy[64], *dots;

	snprintf(copy, sizeof(copy), "%s", text);
	dots = strstr(copy, "..");
	if (!dots)
		gy_usage_error("--subscribers %s: FROM..TO", text);
	*dots = '\0';
	churn->first = gy_option_number(copy, 0, INT64_MAX / 2);
	churn->last = gy_option_number(dots + 2, churn->first, INT64_MAX / 2);
}

static bool take_own(struct churn *churn, int option, const char *value)
{
	switch (option) {
	case OPTION_HELP:
		printf("%s%s%s%s%s", help, gy_help_peer, gy_help_log, gy_help_duplicates,
		       help_examples);
		exit(0);
	case OPTION_SUBSCRIBERS:
		take_subscribers(churn, value);
		break;
	case OPTION_IMSI_BASE:
		churn->imsi_base = gy_option_number(value, 0, INT64_MAX / 2);
		break;
	case OPTION_SESSIONS:
		churn->n_sessions = (unsigned)gy_option_number(value, 1, SESSIONS_MAX);
		break;
	case OPTION_SECONDS:
		churn->seconds_us = gy_option_duration_us(value);
		break;
	case OPTION_RATING_GROUP:
		churn->n_rating_groups = gy_option_list(value, churn->rating_groups);
		break;
	case OPTION_PARALLEL:
		churn->parallel = gy_option_percent(value);
		break;
	case OPTION_OVERTAKE:
		churn->overtake = gy_option_percent(value);
		break;
	case OPTION_OVER_USE:
		churn->over_use = gy_option_percent(value);
		break;
	case OPTION_THINK:
		churn->think_us = gy_option_duration_us(value);
		break;
	case OPTION_GIVE_UP:
		churn->give_up_us = gy_option_duration_us(value);
		break;
	case OPTION_PROGRESS:
		churn->progress = true;
		break;
	default:
		return false;
	}
	return true;
}

static void parse(struct churn *churn, int argc, char **argv)
{
	static const struct option options[] = {
		GY_OPTIONS_PEER,
		GY_OPTIONS_LOG,
		GY_OPTIONS_DUPLICATES,
		{ "context", required_argument, NULL, GY_OPTION_CONTEXT },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "subscribers", required_argument, NULL, OPTION_SUBSCRIBERS },
		{ "imsi-base", required_argument, NULL, OPTION_IMSI_BASE },
		{ "sessions", required_argument, NULL, OPTION_SESSIONS },
		{ "seconds", required_argument, NULL, OPTION_SECONDS },
		{ "rating-group", required_argument, NULL, OPTION_RATING_GROUP },
		{ "parallel", required_argument, NULL, OPTION_PARALLEL },
		{ "overtake", required_argument, NULL, OPTION_OVERTAKE },
		{ "over-use", required_argument, NULL, OPTION_OVER_USE },
		{ "think", required_argument, NULL, OPTION_THINK },
		{ "give-up", required_argument, NULL, OPTION_GIVE_UP },
		{ "progress", no_argument, NULL, OPTION_PROGRESS },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option == '?' || (!gy_options_take(&churn->options, option, optarg) &&
				      !take_own(churn, option, optarg)))
			exit(GYRO_SIM_USAGE);
	if (optind < argc)
		gy_usage_error("'%s' is one word too many", argv[optind]);
	gy_options_need_connect(&churn->options);
	if (churn->last == 0)
		gy_usage_error("which subscribers? --subscribers FROM..TO");
}

static int judge(const struct churn *churn)
{
	const struct gy_client_counts *c = gy_client_counts(churn->client);

	if (*gy_client_fault(churn->client))
		fprintf(stderr, "gyro-sim: %s\n", gy_client_fault(churn->client));
	if (c->unknown > 0)
		return GYRO_SIM_NO_ANSWER;
	return c->malformed > 0 || c->different > 0 || c->ok == 0 ? GYRO_SIM_REFUSED : GYRO_SIM_OK;
}

int gyro_sim_churn(int argc, char **argv)
{
	static struct churn churn;
	struct gy_client_setup setup;
	json_t *all;
	int rc = GYRO_SIM_NO_ANSWER;

	churn = (struct churn){ .options = gy_options_default(),
				.imsi_base = INT64_C(460001000000000),
				.n_sessions = 50,
				.seconds_us = 10000000,
				.rating_groups = { 10 },
				.n_rating_groups = 1,
				.parallel = 30,
				.think_us = 20000,
				.give_up_us = 60000000 };
	parse(&churn, argc, argv);
	churn.sessions = calloc(churn.n_sessions, sizeof(*churn.sessions));
	if (!churn.sessions)
		abort();
	for (unsigned i = 0; i < churn.n_sessions; i++)
		churn.sessions[i].churn = &churn;
	churn.random = churn.options.seed;
	setup = (struct gy_client_setup){
		.origin_realm = churn.options.origin_realm,
		.reconnect = true,
		.resend = true,
		.answer_us = churn.options.timeout_us,
		.give_up_us = churn.give_up_us,
		.copy_percent = churn.options.duplicate_percent,
		.copy_t = churn.options.duplicate_t,
		.seed = churn.options.seed + 1,
	};
	if (churn.options.log && !(setup.log = gy_log_open(churn.options.log)))
		return GYRO_SIM_USAGE;
	fprintf(stderr, "gyro-sim churn: seed %" PRIu64 "\n", churn.options.seed);
	gy_log_start(setup.log, "churn", churn.options.seed);
	churn.client = gy_options_client(&churn.options, &setup);
	if (gy_options_connect(churn.client, churn.options.timeout_us)) {
		run(&churn);
		gy_client_give_up(churn.client);
		rc = judge(&churn);
	}
	all = totals(&churn);
	print_totals(&churn, all);
	gy_log_end(setup.log, all);
	gy_client_close(churn.client);
	gy_log_close(setup.log);
	free(churn.sessions);
	fprintf(stderr, "gyro-sim churn: seed %" PRIu64 "\n", churn.options.seed);
	return rc;
}
