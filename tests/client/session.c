/* gyro-sim session: one session as a gateway would have it, and gyro-sim request: one request.
 *
 * A session asks for units, lets traffic flow, reports at thresholds and when units are used up,
 * honours Final-Unit-Indication, answers RAR and ASR, and terminates. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <time.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"
#include "tests/client/commands.h"
#include "tests/client/dictionary.h"
#include "tests/client/flow.h"
#include "tests/client/options.h"
#include "tests/client/report.h"

#define REQUESTS_MAX         100000
#define REASON_FINAL         2
#define REASON_VALIDITY      4
#define REASON_FORCED        7
#define CAUSE_LOGOUT         1
#define CAUSE_ADMINISTRATIVE 4

static const char help[] =
	"usage: gyro-sim session --connect ADDRESS:PORT --imsi N --rating-group N [options]\n"
	"Opens a session, uses the units as a gateway would, terminates, and shows what happened.\n"
	"\n"
	"  --rating-group N[,N...]    one service each (none: a service without Rating-Group)\n"
	"  --service-identifier N[,N...]  in every service\n"
	"  --use SIZE                 what flows in each of them: 30M, 90s, 5u (10M)\n"
	"  --unit octets|seconds|service  what is counted (octets, or what --use says)\n"
	"  --request SIZE             ask for so much at a time (leave it to the node)\n"
	"  --step SIZE                report every so many units, not only when due\n"
	"  --updates N                report N times, evenly\n"
	"  --interval DURATION        wait between requests\n"
	"  --hold DURATION            stay open before the end, answering RAR and ASR\n"
	"  --keep-open                no termination\n"
	"  --session-id TEXT          instead of a new one\n"
	"  --first-number N           of the initial request (0)\n"
	"  --apn NAME                 Called-Station-Id (internet)\n"
	"  --failover                 what is unanswered goes again, with T, to the next "
	"--connect\n";

static const char help_examples[] =
	"\n"
	"examples:\n"
	"  gyro-sim session --connect 127.0.0.1:3868 --imsi 460001000000001 --rating-group 10 "
	"--use "
	"30M\n"
	"  gyro-sim session --connect 127.0.0.1:3868 --imsi 460001000000002 --rating-group 60,10 "
	"\\\n"
	"      --use 5M --json\n"
	"  gyro-sim session --connect 127.0.0.1:3868 --connect 127.0.0.1:3869 --failover \\\n"
	"      --e164 8613800000001 --rating-group 80 --use 600s --duplicates 20% --log "
	"requests.log\n";

enum {
	OPTION_HELP = GY_OPTION_OWN,
	OPTION_RATING_GROUP,
	OPTION_SERVICE_IDENTIFIER,
	OPTION_USE,
	OPTION_UNIT,
	OPTION_REQUEST,
	OPTION_STEP,
	OPTION_UPDATES,
	OPTION_INTERVAL,
	OPTION_HOLD,
	OPTION_KEEP_OPEN,
	OPTION_SESSION_ID,
	OPTION_FIRST_NUMBER,
	OPTION_APN,
	OPTION_FAILOVER,
};

struct session {
	struct gy_options options;
	struct gy_client *client;
	struct gy_report *report;
	struct gy_request_frame frame;
	struct gy_bearer bearer;
	char session_id[256];
	uint32_t rating_groups[GY_LIST_MAX], service_ids[GY_LIST_MAX];
	unsigned n_flows, n_service_ids;
	struct gy_flow flows[GY_LIST_MAX];
	enum gy_case_quantity quantity;
	bool quantity_given, failover, keep_open;
	int64_t use, request_size, step, updates, interval_us, hold_us;
	uint32_t number;

	/* Of the request that is out. */
	bool answered;
	enum gy_outcome outcome;
	uint32_t code;
	struct gy_flow *asked[GY_LIST_MAX];

	bool reauthorise, aborted; /* RAR, ASR came */
	bool failed;               /* the command was refused, or not answered */
};

/* ---- one request and its answer ---- */

static void on_outcome(void *owner, struct gy_exchange *exchange, enum gy_outcome outcome,
		       const struct gy_reply *reply)
{
	struct session *s = owner;
	const struct gy_case_request *r = gy_exchange_content(exchange);

	s->answered = true;
	s->outcome = outcome;
	s->code = reply ? reply->seen.code : 0;
	gy_report_exchange(s->report, exchange, reply);
	if (!reply || reply->seen.code != 2001)
		return;
	if (reply->seen.n_services != r->n_services) {
		gy_report_note(s->report, "%u services asked, %u answered", r->n_services,
			       reply->seen.n_services);
		return;
	}
	for (unsigned i = 0; i < r->n_services; i++)
		gy_flow_answered(s->asked[i], &reply->seen.services[i]);
}

/* Turns until the request is answered or given up, with its copies. */
static void exchange(struct session *s, const struct gy_case_request *content)
{
	s->frame.event_time_s = (int64_t)time(NULL);
	s->answered = false;
	if (!gy_client_submit(s->client, content, &s->frame, 0, false, on_outcome, s))
		gy_usage_error("no identity");
	while (!s->answered || gy_client_pending(s->client) > 0)
		gy_client_turn(s->client, 100);
	s->number++;
	s->failed = s->outcome != GY_OUTCOME_OK;
}

static void rest(struct session *s, int64_t duration_us)
{
	int64_t until = gy_now_us() + duration_us;

	while (gy_now_us() < until && !s->aborted && !s->reauthorise)
		gy_client_turn(s->client, 20);
}

static struct gy_case_request request(struct session *s, char type,
				      struct gy_case_identity identities[GY_IDENTITY_KINDS])
{
	struct gy_case_request r = gy_request_plain(type, s->number);

	r.n_identities = gy_options_identities(&s->options, identities);
	r.identities = identities;
	r.context = s->options.context;
	r.multiple_services = type == 'I' ? 1 : -1;
	return r;
}

/* ---- the session ---- */

static void initial(struct session *s)
{
	struct gy_case_identity identities[GY_IDENTITY_KINDS];
	struct gy_case_request r = request(s, 'I', identities);
	struct gy_case_service services[GY_LIST_MAX];
	struct gy_case_used used[GY_LIST_MAX];

	for (unsigned i = 0; i < s->n_flows; i++) {
		s->asked[i] = &s->flows[i];
		gy_flow_report(&s->flows[i], -1, true, &services[i], &used[i]);
	}
	r.services = services;
	r.n_services = s->n_flows;
	exchange(s, &r);
}

static unsigned count_flowing(const struct session *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_flows; i++)
		n += s->flows[i].state == GY_FLOW_FLOWING;
	return n;
}

/* One update with all reports that are due; false if none is. */
static bool update(struct session *s)
{
	struct gy_case_identity identities[GY_IDENTITY_KINDS];
	struct gy_case_request r = request(s, 'U', identities);
	struct gy_case_service services[GY_LIST_MAX];
	struct gy_case_used used[GY_LIST_MAX];
	bool forced = s->reauthorise, expired;

	s->reauthorise = false;
	for (unsigned i = 0; i < s->n_flows; i++) {
		struct gy_flow *f = &s->flows[i];
		int reason;

		expired = f->state == GY_FLOW_FLOWING && f->validity_s > 0 &&
			  s->interval_us >= f->validity_s * 1000000;
		reason = gy_flow_run(f, s->step);
		if (forced && gy_flow_reauthorise(f))
			reason = REASON_FORCED;
		else if (expired && f->state == GY_FLOW_FLOWING)
			reason = REASON_VALIDITY;
		if (reason < 0)
			continue;
		/* The last units of the last service: a gateway terminates at once. */
		if (reason == REASON_FINAL && f->final_unit == 0 && count_flowing(s) == 0 &&
		    r.n_services == 0)
			continue;
		s->asked[r.n_services] = f;
		gy_flow_report(f, reason, reason != REASON_FINAL, &services[r.n_services],
			       &used[r.n_services]);
		r.n_services++;
	}
	if (r.n_services == 0)
		return false;
	r.services = services;
	exchange(s, &r);
	return true;
}

static void terminate(struct session *s)
{
	struct gy_case_identity identities[GY_IDENTITY_KINDS];
	struct gy_case_request r = request(s, 'T', identities);
	struct gy_case_service services[GY_LIST_MAX];
	struct gy_case_used used[GY_LIST_MAX];

	for (unsigned i = 0; i < s->n_flows; i++) {
		if (!gy_flow_open(&s->flows[i]))
			continue;
		s->flows[i].state = GY_FLOW_DONE;
		s->asked[r.n_services] = &s->flows[i];
		gy_flow_report(&s->flows[i], REASON_FINAL, false, &services[r.n_services],
			       &used[r.n_services]);
		r.n_services++;
	}
	r.services = services;
	r.termination_cause = s->aborted ? CAUSE_ADMINISTRATIVE : CAUSE_LOGOUT;
	exchange(s, &r);
}

static void run(struct session *s)
{
	initial(s);
	if (s->failed)
		return;
	for (unsigned n = 0; n < REQUESTS_MAX && !s->aborted && !s->failed; n++) {
		rest(s, s->interval_us);
		if (!update(s))
			break;
	}
	if (s->failed && s->code != 4010 && s->code != 4012)
		return;
	for (int64_t until = gy_now_us() + s->hold_us; gy_now_us() < until && !s->aborted;) {
		rest(s, until - gy_now_us());
		while (gy_now_us() < until &&
		       (s->reauthorise || (!s->failed && count_flowing(s) > 0)))
			if (!update(s))
				break;
	}
	if (!s->keep_open)
		terminate(s);
}

/* RAR and ASR of this session; 5002 for any other. */
static void on_server_request(void *owner, struct gy_client *client, unsigned node,
			      const uint8_t *bytes, size_t len)
{
	struct session *s = owner;
	struct msg *message = gy_message_decode(bytes, len);
	struct avp *avp = message ? gy_avp_find_in(message, 0, GY_AVP_SESSION_ID) : NULL;
	bool reauth = message && gy_message_header(message)->msg_code == 258, ours;
	size_t size;
	const char *id = avp ? gy_avp_string(avp, &size) : NULL;

	ours = id && size == strlen(s->session_id) && memcmp(id, s->session_id, size) == 0;
	if (ours && reauth)
		s->reauthorise = true;
	else if (ours)
		s->aborted = true;
	gy_report_note(s->report, "the node sent %s%s", reauth ? "RAR" : "ASR",
		       ours ? "" : " for another session");
	gy_client_answer(client, node, bytes, len, !ours ? 5002 : reauth ? 2002 : 2001);
	gy_message_free(message);
}

/* ---- the command line ---- */

static void choose_unit(struct session *s, const char *text)
{
	static const struct {
		const char *name;
		enum gy_case_quantity quantity;
	} units[] = { { "octets", GY_CASE_TOTAL },
		      { "seconds", GY_CASE_SECONDS },
		      { "service", GY_CASE_SERVICE } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text, units[i].name) == 0) {
			s->quantity = units[i].quantity;
			s->quantity_given = true;
			return;
		}
	gy_usage_error("--unit is octets, seconds or service");
}

static void take_use(struct session *s, const char *text)
{
	size_t len = strlen(text);

	s->use = gy_option_size(text);
	if (!s->quantity_given && len > 1 && (text[len - 1] == 's' || text[len - 1] == 'u'))
		s->quantity = text[len - 1] == 's' ? GY_CASE_SECONDS : GY_CASE_SERVICE;
}

static bool take_own(struct session *s, int option, const char *value)
{
	switch (option) {
	case OPTION_HELP:
		printf("%s%s%s%s%s%s", help, gy_help_peer, gy_help_identity, gy_help_log,
		       gy_help_duplicates, help_examples);
		exit(0);
	case OPTION_RATING_GROUP:
		s->n_flows = gy_option_list(value, s->rating_groups);
		break;
	case OPTION_SERVICE_IDENTIFIER:
		s->n_service_ids = gy_option_list(value, s->service_ids);
		break;
	case OPTION_USE:
		take_use(s, value);
		break;
	case OPTION_UNIT:
		choose_unit(s, value);
		break;
	case OPTION_REQUEST:
		s->request_size = gy_option_size(value);
		break;
	case OPTION_STEP:
		s->step = gy_option_size(value);
		break;
	case OPTION_UPDATES:
		s->updates = gy_option_number(value, 1, REQUESTS_MAX);
		break;
	case OPTION_INTERVAL:
		s->interval_us = gy_option_duration_us(value);
		break;
	case OPTION_HOLD:
		s->hold_us = gy_option_duration_us(value);
		break;
	case OPTION_KEEP_OPEN:
		s->keep_open = true;
		break;
	case OPTION_SESSION_ID:
		snprintf(s->session_id, sizeof(s->session_id), "%s", value);
		break;
	case OPTION_FIRST_NUMBER:
		s->number = (uint32_t)gy_option_number(value, 0, UINT32_MAX);
		break;
	case OPTION_APN:
		s->bearer.apn = value;
		break;
	case OPTION_FAILOVER:
		s->failover = true;
		break;
	default:
		return false;
	}
	return true;
}

static void parse(struct session *s, int argc, char **argv)
{
	static const struct option options[] = {
		GY_OPTIONS_PEER,
		GY_OPTIONS_IDENTITY,
		GY_OPTIONS_LOG,
		GY_OPTIONS_DUPLICATES,
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "rating-group", required_argument, NULL, OPTION_RATING_GROUP },
		{ "service-identifier", required_argument, NULL, OPTION_SERVICE_IDENTIFIER },
		{ "use", required_argument, NULL, OPTION_USE },
		{ "unit", required_argument, NULL, OPTION_UNIT },
		{ "request", required_argument, NULL, OPTION_REQUEST },
		{ "step", required_argument, NULL, OPTION_STEP },
		{ "updates", required_argument, NULL, OPTION_UPDATES },
		{ "interval", required_argument, NULL, OPTION_INTERVAL },
		{ "hold", required_argument, NULL, OPTION_HOLD },
		{ "keep-open", no_argument, NULL, OPTION_KEEP_OPEN },
		{ "session-id", required_argument, NULL, OPTION_SESSION_ID },
		{ "first-number", required_argument, NULL, OPTION_FIRST_NUMBER },
		{ "apn", required_argument, NULL, OPTION_APN },
		{ "failover", no_argument, NULL, OPTION_FAILOVER },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option == '?' ||
		    (!gy_options_take(&s->options, option, optarg) && !take_own(s, option, optarg)))
			exit(GYRO_SIM_USAGE);
	if (optind < argc)
		gy_usage_error("'%s' is one word too many", argv[optind]);
	gy_options_need_connect(&s->options);
}

static void make_flows(struct session *s)
{
	bool grouped = s->n_flows > 0;

	if (!grouped)
		s->n_flows = 1;
	if (s->updates > 0 && s->step == 0)
		s->step = (s->use + s->updates) / (s->updates + 1);
	for (unsigned i = 0; i < s->n_flows; i++)
		s->flows[i] = (struct gy_flow){
			.has_rating_group = grouped,
			.rating_group = s->rating_groups[i],
			.n_service_ids = s->n_service_ids,
			.service_ids = s->service_ids,
			.quantity = s->quantity,
			.request_size = s->request_size,
			.wanted = s->use,
			.threshold = -1,
			.final_unit = -1,
		};
}

static void summary(const struct session *s)
{
	const struct gy_client_counts *counts = gy_client_counts(s->client);

	if (s->options.json)
		return;
	printf("\n");
	for (unsigned i = 0; i < s->n_flows; i++) {
		const struct gy_flow *f = &s->flows[i];
		char total[48], reported[48], left[48], name[32] = "The service";

		if (f->has_rating_group)
			snprintf(name, sizeof(name), "Rating-Group %u", f->rating_group);
		gy_report_quantity(total, sizeof(total), f->quantity, f->total);
		gy_report_quantity(reported, sizeof(reported), f->quantity, f->reported);
		gy_report_quantity(left, sizeof(left), f->quantity, f->wanted);
		printf("%s: used %s, reported %s", name, total, reported);
		if (f->wanted > 0)
			printf("; %s more were wanted", left);
		printf("\n");
	}
	if (counts->resent > 0 || counts->copies > 0)
		printf("%llu requests, %llu sent again, %llu copies, %llu answered otherwise\n",
		       (unsigned long long)counts->requests, (unsigned long long)counts->resent,
		       (unsigned long long)counts->copies, (unsigned long long)counts->different);
}

static int status(const struct session *s)
{
	const struct gy_client_counts *counts = gy_client_counts(s->client);

	if (counts->malformed > 0 || counts->different > 0)
		fprintf(stderr, "gyro-sim: %s\n", gy_client_fault(s->client));
	if (counts->unknown > 0)
		return GYRO_SIM_NO_ANSWER;
	if (counts->failed > 0 || counts->malformed > 0 || counts->different > 0)
		return GYRO_SIM_REFUSED;
	for (unsigned i = 0; i < s->n_flows; i++)
		if (s->flows[i].total == 0 && s->flows[i].wanted > 0)
			return GYRO_SIM_REFUSED;
	return GYRO_SIM_OK;
}

int gyro_sim_session(int argc, char **argv)
{
	static struct session s;
	struct gy_client_setup setup;
	struct gy_log *log = NULL;
	int rc = GYRO_SIM_NO_ANSWER;

	s = (struct session){
		.options = gy_options_default(),
		.bearer = { "internet", "46000", 6, 0, { 10, 0, 0, 1 }, "0800" },
		.use = INT64_C(10) << 20,
		.quantity = GY_CASE_TOTAL,
	};
	parse(&s, argc, argv);
	if (s.options.log && !(log = gy_log_open(s.options.log)))
		return GYRO_SIM_USAGE;
	make_flows(&s);
	if (!*s.session_id)
		gy_session_id_new(s.session_id, sizeof(s.session_id), s.options.origin_host, "");
	s.frame = gy_options_frame(&s.options);
	s.frame.session_id = s.session_id;
	s.frame.bearer = &s.bearer;
	s.bearer.charging_id = (uint32_t)time(NULL);
	setup = (struct gy_client_setup){
		.origin_realm = s.options.origin_realm,
		.reconnect = s.failover,
		.resend = s.failover,
		.answer_us = s.options.timeout_us,
		.give_up_us = s.options.timeout_us * (s.failover ? 6 : 2),
		.copy_percent = s.options.duplicate_percent,
		.copy_t = s.options.duplicate_t,
		.log = log,
		.seed = s.options.seed,
	};
	gy_log_start(log, "session", s.options.seed);
	s.client = gy_options_client(&s.options, &setup);
	gy_client_on_server_request(s.client, on_server_request, &s);
	s.report = gy_report_new(s.options.json);
	if (gy_options_connect(s.client, s.options.timeout_us)) {
		run(&s);
		gy_report_print(s.report, s.session_id);
		summary(&s);
		rc = status(&s);
	} else {
		gy_report_print(s.report, NULL);
	}
	gy_log_end(log, json_object());
	gy_client_close(s.client);
	gy_log_close(log);
	return rc;
}
