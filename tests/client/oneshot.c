/* gyro-sim request: single requests, written in the words of .case files, and their answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "tests/client/commands.h"
#include "tests/client/dump.h"
#include "tests/client/options.h"
#include "tests/client/report.h"

static const char help[] =
	"usage: gyro-sim request --connect ADDRESS:PORT --imsi N [options] REQUEST...\n"
	"Sends requests one after the other, all of one session, and shows the answers. REQUEST "
	"is\n"
	"written as in .case files (tests/README.md): a type and number, flags, services. With\n"
	"'-> RESULT' behind it the answer is compared; then a difference gives exit status 1.\n"
	"\n"
	"  --session-id TEXT          instead of a new one\n"
	"  --dump                     also every AVP of requests and answers\n";

static const char help_examples[] =
	"\n"
	"examples:\n"
	"  gyro-sim request --connect 127.0.0.1:3868 --imsi 460001000000001 'I0 {10:RSU}'\n"
	"  gyro-sim request --connect 127.0.0.1:3868 --imsi 460001000000001 --session-id "
	"'pgw1;1;2' "
	"\\\n"
	"      'U1 {10:USU=8MiB reason=THRESHOLD RSU}' 'T2 {10:USU=1MiB reason=FINAL}'\n"
	"  gyro-sim request --connect 127.0.0.1:3868 --e164 8613800000001 --dump \\\n"
	"      'E0 action=2 {cmd:RSU=1MiB} -> 2001'\n";

enum {
	OPTION_HELP = GY_OPTION_OWN,
	OPTION_SESSION_ID,
	OPTION_DUMP,
};

struct oneshot {
	struct gy_options options;
	char session_id[256];
	bool dump;

	struct gy_client *client;
	struct gy_report *report;
	struct gy_request_frame frame;
	const struct gy_case_expect *expect;
	bool answered, differs;
	unsigned unanswered, failed;
	struct gy_reply *previous; /* for `same` */
	uint8_t *last_bytes;       /* for `repeat` */
	size_t last_len;
	uint32_t last_end_to_end;
};

/* The words of the command line as a file of one case. NULL after saying what is wrong. */
static struct gy_case_file *parse_requests(char **words, int n, bool *expects)
{
	char *text = NULL, error[256];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct gy_case_file *file;

	if (!out)
		abort();
	fputs("case request\n", out);
	for (int i = 0; i < n; i++) {
		const char *arrow = strstr(words[i], "->");

		/* S1 stands for the identities of the command line. */
		expects[i] = arrow != NULL;
		fprintf(out, "S1 %s%s\n", words[i], arrow ? "" : " -> 2001");
	}
	fclose(out);
	file = gy_case_parse("request", text, error, sizeof(error));
	free(text);
	if (!file)
		gy_usage_error("%s", error);
	return file;
}

static void on_outcome(void *owner, struct gy_exchange *exchange, enum gy_outcome outcome,
		       const struct gy_reply *reply)
{
	struct oneshot *o = owner;
	const uint8_t *bytes;
	char why[256];
	size_t len;

	o->answered = true;
	o->unanswered += !reply;
	o->failed += outcome == GY_OUTCOME_FAILED;
	gy_report_exchange(o->report, exchange, reply);
	bytes = gy_exchange_bytes(exchange, &len);
	if (o->dump)
		gy_dump(stdout, bytes, len);
	free(o->last_bytes);
	o->last_bytes = malloc(len);
	if (!o->last_bytes)
		abort();
	memcpy(o->last_bytes, bytes, len);
	o->last_len = len;
	if (!reply)
		return;
	bytes = gy_exchange_reply_bytes(exchange, &len);
	if (o->dump) {
		gy_dump(stdout, bytes, len);
		putchar('\n');
	}
	if (o->expect &&
	    !gy_case_matches(o->expect, &reply->seen, o->previous ? &o->previous->seen : NULL, why,
			     sizeof(why))) {
		o->differs = true;
		gy_report_note(o->report, "not as expected: %s", why);
	}
	talloc_free(o->previous);
	o->previous = gy_reply_read(bytes, len, false);
}

static void one(struct oneshot *o, const struct gy_case_request *given)
{
	struct gy_case_identity identities[GY_IDENTITY_KINDS];
	struct gy_case_request r = *given;
	struct gy_exchange *exchange;

	if (r.subscriber && r.n_identities == 1 && !r.identities[0].value &&
	    r.identities[0].kind == GY_CASE_IMSI) {
		r.n_identities = gy_options_identities(&o->options, identities);
		r.identities = identities;
	}
	if (!r.context)
		r.context = o->options.context;
	o->frame.end_to_end =
		r.e2e_same && o->last_end_to_end ? o->last_end_to_end : gy_next_end_to_end();
	o->last_end_to_end = o->frame.end_to_end;
	o->answered = false;
	if (r.repeat) {
		uint8_t *again = o->last_bytes;

		o->last_bytes = NULL;
		exchange = gy_client_submit_again(o->client, &r, &o->frame, again, o->last_len, 0,
						  on_outcome, o);
	} else {
		exchange = gy_client_submit(o->client, &r, &o->frame,
					    (r.connection - 1) % o->options.n_connect, false,
					    on_outcome, o);
	}
	if (!exchange)
		gy_usage_error("an identity is asked for that was not given");
	while (!o->answered)
		gy_client_turn(o->client, 100);
}

static void parse_options(struct oneshot *o, int argc, char **argv)
{
	static const struct option options[] = {
		GY_OPTIONS_PEER,
		GY_OPTIONS_IDENTITY,
		GY_OPTIONS_LOG,
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "session-id", required_argument, NULL, OPTION_SESSION_ID },
		{ "dump", no_argument, NULL, OPTION_DUMP },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (gy_options_take(&o->options, option, optarg))
			continue;
		switch (option) {
		case OPTION_HELP:
			printf("%s%s%s%s%s", help, gy_help_peer, gy_help_identity, gy_help_log,
			       help_examples);
			exit(0);
		case OPTION_SESSION_ID:
			snprintf(o->session_id, sizeof(o->session_id), "%s", optarg);
			break;
		case OPTION_DUMP:
			o->dump = true;
			break;
		default:
			exit(GYRO_SIM_USAGE);
		}
	}
	gy_options_need_connect(&o->options);
	if (optind == argc)
		gy_usage_error("which request? such as 'I0 {10:RSU}'");
}

static void run(struct oneshot *o, const struct gy_case *c, const bool *expects)
{
	for (unsigned i = 0; i < c->n_steps && o->unanswered == 0; i++) {
		if (c->steps[i].kind != GY_CASE_REQUEST)
			gy_usage_error("'%s' is no request", c->steps[i].text);
		o->expect = expects[i] ? c->steps[i].expect : NULL;
		if (o->expect)
			o->failed = 0; /* a refusal that is expected is none */
		one(o, c->steps[i].request);
		if (o->expect && !o->differs)
			o->failed = 0;
	}
}

int gyro_sim_request(int argc, char **argv)
{
	struct oneshot o = { .options = gy_options_default() };
	struct gy_client_setup setup;
	struct gy_case_file *file;
	struct gy_log *log = NULL;
	bool *expects;
	int rc = GYRO_SIM_NO_ANSWER;

	parse_options(&o, argc, argv);
	expects = calloc((size_t)argc, sizeof(*expects));
	if (!expects)
		abort();
	file = parse_requests(argv + optind, argc - optind, expects);
	if (o.options.log && !(log = gy_log_open(o.options.log)))
		return GYRO_SIM_USAGE;
	if (!*o.session_id)
		gy_session_id_new(o.session_id, sizeof(o.session_id), o.options.origin_host, "");
	o.frame = gy_options_frame(&o.options);
	o.frame.session_id = o.session_id;
	setup = (struct gy_client_setup){ .origin_realm = o.options.origin_realm,
					  .answer_us = o.options.timeout_us,
					  .give_up_us = 2 * o.options.timeout_us,
					  .log = log,
					  .seed = o.options.seed };
	gy_log_start(log, "request", o.options.seed);
	o.client = gy_options_client(&o.options, &setup);
	o.report = gy_report_new(o.options.json);
	if (gy_options_connect(o.client, o.options.timeout_us)) {
		run(&o, &file->cases[0], expects);
		if (*gy_client_fault(o.client))
			gy_report_note(o.report, "a malformed answer: %s",
				       gy_client_fault(o.client));
		rc = o.unanswered > 0        ? GYRO_SIM_NO_ANSWER
		     : o.failed || o.differs ? GYRO_SIM_REFUSED
					     : GYRO_SIM_OK;
	}
	gy_report_print(o.report, rc == GYRO_SIM_NO_ANSWER && !o.answered ? NULL : o.session_id);
	gy_log_end(log, json_object());
	gy_client_close(o.client);
	gy_log_close(log);
	gy_case_free(file);
	talloc_free(o.previous);
	free(o.last_bytes);
	free(expects);
	return rc;
}
