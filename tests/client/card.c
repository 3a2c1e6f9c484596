/* gyro-sim purchase, bind, unbind, priority, statistics, cancel, refund: card operations by hand
 * (spec/cards.md). Each is one request, but for a purchase in a session, which is two or three. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "dict/gy_avp_table.h"
#include "tests/client/card_order.h"
#include "tests/client/commands.h"
#include "tests/client/dump.h"
#include "tests/client/options.h"

enum { DIRECT_DEBITING = 0, REFUND_ACCOUNT = 1, CHECK_BALANCE = 2, PRICE_ENQUIRY = 3 };
enum { PURCHASE = 0, BIND = 1, UNBIND = 2, STATISTICS = 3, SET_PRIORITY = 4, CANCEL = 5 };

#define DIRECTED_MAX 16

static const char help_connection[] =
	"  --session-id TEXT          instead of a new one\n"
	"  --context STRING           Service-Context-Id of card operations (cards@gyro)\n"
	"  --json                     JSON instead of lines\n"
	"  --dump                     also every AVP of requests and answers\n";

enum {
	OPTION_HELP = GY_OPTION_OWN,
	OPTION_PRODUCT,
	OPTION_PURCHASE_ID,
	OPTION_CARD,
	OPTION_FOR,
	OPTION_APP,
	OPTION_URL,
	OPTION_FLOW,
	OPTION_PRIORITY,
	OPTION_EVENT,
	OPTION_CHECK,
	OPTION_PRICE,
	OPTION_UPDATE,
	OPTION_ABANDON,
	OPTION_HOLD,
	OPTION_SESSION_ID,
	OPTION_DUMP,
};

#define ONE(name, option)                             \
	{                                             \
		name, required_argument, NULL, option \
	}
#define FLAG(name, option)                      \
	{                                       \
		name, no_argument, NULL, option \
	}
#define COMMON                                                                      \
	GY_OPTIONS_PEER, GY_OPTIONS_IDENTITY, ONE("session-id", OPTION_SESSION_ID), \
		FLAG("json", GY_OPTION_JSON), FLAG("dump", OPTION_DUMP), FLAG("help", OPTION_HELP)
#define END                      \
	{                        \
		NULL, 0, NULL, 0 \
	}

struct command {
	const char *name;
	uint32_t operation;
	int action;       /* Requested-Action of its CCR-E */
	const char *cost; /* what Cost-Information says */
	const struct option *options;
	const char *help, *examples;
};

struct run {
	const struct command *command;
	struct gy_options options;
	const char *product, *purchase, *card, *beneficiary;
	int64_t priority, hold_us;
	bool by_event, update, abandon, dump;
	int action;
	unsigned n_directed;
	struct {
		uint32_t code;
		const char *text;
	} directed[DIRECTED_MAX];
	char session_id[256], new_purchase[64];

	struct gy_client *client;
	struct gy_request_frame frame;
	uint32_t number;
	json_t *requests; /* with --json */
	bool answered, failed, unanswered;
};

/* ---- one request ---- */

static const char *type_name(char type)
{
	return type == 'I'   ? "initial"
	       : type == 'U' ? "update"
	       : type == 'T' ? "termination"
			     : "event";
}

static void show_text(struct run *r, const struct gy_case_request *asked,
		      const struct gy_reply *reply, const uint8_t *bytes, size_t len)
{
	printf("%s %u", type_name(asked->type), asked->number);
	if (!reply) {
		printf("  no answer\n");
		return;
	}
	printf("  %u %s\n", reply->seen.code, gy_reply_code_name(reply->seen.code));
	gy_card_print(bytes, len, r->action == PRICE_ENQUIRY ? "price" : r->command->cost);
}

static void show_json(struct run *r, const struct gy_case_request *asked,
		      const struct gy_reply *reply, const uint8_t *bytes, size_t len)
{
	json_t *object = json_pack("{s:s, s:I}", "request", type_name(asked->type), "number",
				   (json_int_t)asked->number);

	if (reply) {
		json_object_set_new(object, "code", json_integer(reply->seen.code));
		gy_card_json(bytes, len, object);
	}
	json_array_append_new(r->requests, object);
}

static void on_outcome(void *owner, struct gy_exchange *exchange, enum gy_outcome outcome,
		       const struct gy_reply *reply)
{
	struct run *r = owner;
	const uint8_t *bytes = NULL;
	size_t len = 0;

	r->answered = true;
	r->unanswered |= !reply;
	r->failed |= outcome != GY_OUTCOME_OK;
	if (r->dump && !r->options.json) {
		bytes = gy_exchange_bytes(exchange, &len);
		gy_dump(stdout, bytes, len);
	}
	if (reply) {
		bytes = gy_exchange_reply_bytes(exchange, &len);
		r->failed |= gy_card_no_credit(bytes, len);
		if (r->dump && !r->options.json)
			gy_dump(stdout, bytes, len);
	}
	if (r->options.json)
		show_json(r, gy_exchange_content(exchange), reply, bytes, len);
	else
		show_text(r, gy_exchange_content(exchange), reply, bytes, len);
}

static void fill(struct run *r, struct gy_card_avps *avps, char type)
{
	gy_card_number(avps, GY_AVP_CARD_OPERATION, r->command->operation);
	if (r->product && (type == 'I' || type == 'E'))
		gy_card_text(avps, GY_AVP_PRODUCT_ID, r->product);
	if (r->purchase)
		gy_card_text(avps, GY_AVP_PURCHASE_ID, r->purchase);
	if (r->card)
		gy_card_text(avps, GY_AVP_CARD_ID, r->card);
	if (r->beneficiary && (type == 'I' || type == 'E') &&
	    !gy_card_beneficiary(avps, r->beneficiary))
		gy_usage_error("'%s' is not imsi:, e164:, nai:, sip-uri: or private: and a value",
			       r->beneficiary);
	if (r->priority >= 0)
		gy_card_number(avps, GY_AVP_USE_PRIORITY, (uint32_t)r->priority);
	for (unsigned i = 0; i < r->n_directed; i++)
		gy_card_directed(avps, r->directed[i].code, r->directed[i].text);
}

/* units: CC-Service-Specific-Units that are reported; -1: none. */
static void ask(struct run *r, char type, int64_t units)
{
	struct gy_case_identity identities[GY_IDENTITY_KINDS];
	struct gy_case_request request = gy_request_plain(type, r->number++);
	struct gy_case_used used = { .tariff_change = -1 };
	struct gy_case_service service = { .at_command_level = true,
					   .n_used = 1,
					   .used = &used,
					   .reason = -1,
					   .used_reason = -1 };
	struct gy_card_avps avps = { .n = 0 };

	fill(r, &avps, type);
	request.n_identities = gy_options_identities(&r->options, identities);
	request.identities = identities;
	request.context = r->options.context;
	request.raw = avps.raw;
	request.n_raw = avps.n;
	if (type == 'E')
		request.action = r->action;
	if (type == 'T')
		request.termination_cause = 1;
	if (units >= 0) {
		used.units.present[GY_CASE_SERVICE] = true;
		used.units.count[GY_CASE_SERVICE] = units;
		request.services = &service;
		request.n_services = 1;
	}
	r->answered = false;
	r->frame.end_to_end = 0;
	if (!gy_client_submit(r->client, &request, &r->frame, 0, false, on_outcome, r))
		gy_usage_error("no identity");
	while (!r->answered)
		gy_client_turn(r->client, 100);
	gy_card_avps_free(&avps);
}

/* The four steps as a session (Z-2 to Z-6). */
static void buy(struct run *r)
{
	ask(r, 'I', -1);
	if (r->failed)
		return;
	for (int64_t until = gy_now_us() + r->hold_us; gy_now_us() < until;)
		gy_client_turn(r->client, 20);
	if (r->update && !r->abandon)
		ask(r, 'U', 1);
	if (!r->failed)
		ask(r, 'T', r->abandon ? 0 : 1);
}

/* ---- the command line ---- */

static void take_directed(struct run *r, uint32_t code, const char *text)
{
	if (r->n_directed == DIRECTED_MAX)
		gy_usage_error("more than %d of --app, --url and --flow", DIRECTED_MAX);
	r->directed[r->n_directed].code = code;
	r->directed[r->n_directed++].text = text;
}

static bool take_own(struct run *r, int option, const char *value)
{
	switch (option) {
	case OPTION_HELP:
		printf("%s%s%s%s%s", r->command->help, gy_help_peer, gy_help_identity,
		       help_connection, r->command->examples);
		exit(0);
	case OPTION_PRODUCT:
		r->product = value;
		break;
	case OPTION_PURCHASE_ID:
		r->purchase = value;
		break;
	case OPTION_CARD:
		r->card = value;
		break;
	case OPTION_FOR:
		r->beneficiary = value;
		break;
	case OPTION_APP:
		take_directed(r, GY_AVP_DIRECTED_APP_ID, value);
		break;
	case OPTION_URL:
		take_directed(r, GY_AVP_DIRECTED_URL, value);
		break;
	case OPTION_FLOW:
		take_directed(r, GY_AVP_DIRECTED_FLOW, value);
		break;
	case OPTION_PRIORITY:
		r->priority = gy_option_number(value, 0, UINT32_MAX);
		break;
	case OPTION_EVENT:
		r->by_event = true;
		break;
	case OPTION_CHECK:
		r->by_event = true;
		r->action = CHECK_BALANCE;
		break;
	case OPTION_PRICE:
		r->by_event = true;
		r->action = PRICE_ENQUIRY;
		break;
	case OPTION_UPDATE:
		r->update = true;
		break;
	case OPTION_ABANDON:
		r->abandon = true;
		break;
	case OPTION_HOLD:
		r->hold_us = gy_option_duration_us(value);
		break;
	case OPTION_SESSION_ID:
		snprintf(r->session_id, sizeof(r->session_id), "%s", value);
		break;
	case OPTION_DUMP:
		r->dump = true;
		break;
	default:
		return false;
	}
	return true;
}

static void need_option(const char *value, const char *name)
{
	if (!value)
		gy_usage_error("which one? --%s is missing", name);
}

static void parse(struct run *r, int argc, char **argv)
{
	bool selling = r->command->operation == PURCHASE && r->command->action != REFUND_ACCOUNT;
	int option;

	while ((option = getopt_long(argc, argv, "", r->command->options, NULL)) != -1)
		if (option == '?' ||
		    (!gy_options_take(&r->options, option, optarg) && !take_own(r, option, optarg)))
			exit(GYRO_SIM_USAGE);
	if (optind < argc)
		gy_usage_error("'%s' is one word too many", argv[optind]);
	gy_options_need_connect(&r->options);
	if (selling) {
		need_option(r->product, "product");
	} else if (r->command->operation == PURCHASE || r->command->operation == CANCEL) {
		need_option(r->purchase, "purchase-id");
	} else if (r->command->operation != STATISTICS) {
		need_option(r->card, "card");
	}
	if (r->command->operation == SET_PRIORITY && r->priority < 0)
		gy_usage_error("which one? --priority is missing");
	if (selling && !r->purchase && r->action == DIRECT_DEBITING) {
		snprintf(r->new_purchase, sizeof(r->new_purchase), "sim-%lld-%d",
			 (long long)time(NULL), (int)getpid());
		r->purchase = r->new_purchase;
	}
}

static int status(const struct run *r)
{
	if (*gy_client_fault(r->client))
		fprintf(stderr, "gyro-sim: a malformed answer: %s\n", gy_client_fault(r->client));
	if (r->unanswered)
		return GYRO_SIM_NO_ANSWER;
	return r->failed || *gy_client_fault(r->client) ? GYRO_SIM_REFUSED : GYRO_SIM_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct run r = { .command = command,
			 .options = gy_options_default(),
			 .action = command->action,
			 .by_event = command->operation != PURCHASE ||
				     command->action == REFUND_ACCOUNT,
			 .priority = -1 };
	struct gy_client_setup setup;
	int rc = GYRO_SIM_NO_ANSWER;

	r.options.context = "cards@gyro";
	parse(&r, argc, argv);
	if (!*r.session_id)
		gy_session_id_new(r.session_id, sizeof(r.session_id), r.options.origin_host, "");
	r.frame = gy_options_frame(&r.options);
	r.frame.session_id = r.session_id;
	r.requests = json_array();
	setup = (struct gy_client_setup){ .origin_realm = r.options.origin_realm,
					  .answer_us = r.options.timeout_us,
					  .give_up_us = 2 * r.options.timeout_us,
					  .seed = r.options.seed };
	r.client = gy_options_client(&r.options, &setup);
	if (gy_options_connect(r.client, r.options.timeout_us)) {
		if (!r.options.json)
			printf("Session %s\n\n", r.session_id);
		if (r.by_event)
			ask(&r, 'E', -1);
		else
			buy(&r);
		rc = status(&r);
	}
	if (r.options.json) {
		json_t *all =
			json_pack("{s:s, s:O}", "session_id", r.session_id, "requests", r.requests);

		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(all);
	}
	json_decref(r.requests);
	gy_client_close(r.client);
	return rc;
}

/* ---- the commands ---- */

int gyro_sim_purchase(int argc, char **argv)
{
	static const struct option options[] = { ONE("product", OPTION_PRODUCT),
						 ONE("purchase-id", OPTION_PURCHASE_ID),
						 ONE("for", OPTION_FOR),
						 FLAG("event", OPTION_EVENT),
						 FLAG("check", OPTION_CHECK),
						 FLAG("price", OPTION_PRICE),
						 FLAG("update", OPTION_UPDATE),
						 FLAG("abandon", OPTION_ABANDON),
						 ONE("hold", OPTION_HOLD),
						 COMMON,
						 END };
	static const struct command command = {
		"purchase",
		PURCHASE,
		DIRECT_DEBITING,
		"paid",
		options,
		"usage: gyro-sim purchase --connect ADDRESS:PORT --imsi N --product CODE "
		"[options]\n"
		"Buys a traffic card: reserves its price, confirms, pays (CCR-I and CCR-T of one "
		"session).\n"
		"\n"
		"  --product CODE             Product-Id\n"
		"  --purchase-id TEXT         Purchase-Id: the same one buys once (a new one)\n"
		"  --for KIND:VALUE           for somebody else: imsi:..., e164:..., nai:...\n"
		"  --event                    all in one CCR-E\n"
		"  --check                    only asks whether it can be bought (CHECK_BALANCE)\n"
		"  --price                    only asks for the price (PRICE_ENQUIRY)\n"
		"  --update                   confirms by a CCR-U of its own\n"
		"  --hold DURATION            so long between request and confirmation\n"
		"  --abandon                  ends the session without confirming\n",
		"\n"
		"examples:\n"
		"  gyro-sim purchase --connect 127.0.0.1:3868 --imsi 001010000000001 --product "
		"day-pass\n"
		"  gyro-sim purchase --connect 127.0.0.1:3868 --imsi 001010000000001 --product "
		"day-pass "
		"--price\n",
	};

	return run(&command, argc, argv);
}

int gyro_sim_bind(int argc, char **argv)
{
	static const struct option options[] = { ONE("card", OPTION_CARD),
						 ONE("for", OPTION_FOR),
						 ONE("app", OPTION_APP),
						 ONE("url", OPTION_URL),
						 ONE("flow", OPTION_FLOW),
						 COMMON,
						 END };
	static const struct command command = {
		"bind",
		BIND,
		DIRECT_DEBITING,
		"paid",
		options,
		"usage: gyro-sim bind --connect ADDRESS:PORT --imsi N --card CARD-ID [options]\n"
		"Binds a card. Without directed info it serves every Rating-Group, for those whom "
		"its\n"
		"product names; with it, the Rating-Groups of that app.\n"
		"\n"
		"  --card TEXT                Card-Id\n"
		"  --for KIND:VALUE           to somebody else: imsi:..., e164:..., nai:...\n"
		"  --app NAME                 Directed-App-Id; these three may be repeated\n"
		"  --url URL                  Directed-URL\n"
		"  --flow RULE                Directed-Flow\n",
		"\n"
		"examples:\n"
		"  gyro-sim bind --connect 127.0.0.1:3868 --imsi 001010000000001 --card c1\n"
		"  gyro-sim bind --connect 127.0.0.1:3868 --imsi 001010000000001 --card c2 "
		"--url https://video.example/\n",
	};

	return run(&command, argc, argv);
}

int gyro_sim_unbind(int argc, char **argv)
{
	static const struct option options[] = { ONE("card", OPTION_CARD), ONE("for", OPTION_FOR),
						 COMMON, END };
	static const struct command command = {
		"unbind",
		UNBIND,
		DIRECT_DEBITING,
		"paid",
		options,
		"usage: gyro-sim unbind --connect ADDRESS:PORT --imsi N --card CARD-ID [options]\n"
		"Takes a card from a subscriber. What open sessions hold of it stays theirs.\n"
		"\n"
		"  --card TEXT                Card-Id\n"
		"  --for KIND:VALUE           from somebody else: imsi:..., e164:..., nai:...\n",
		"\n"
		"example:\n"
		"  gyro-sim unbind --connect 127.0.0.1:3868 --imsi 001010000000001 --card c1\n",
	};

	return run(&command, argc, argv);
}

int gyro_sim_priority(int argc, char **argv)
{
	static const struct option options[] = { ONE("card", OPTION_CARD), ONE("for", OPTION_FOR),
						 ONE("priority", OPTION_PRIORITY), COMMON, END };
	static const struct command command = {
		"priority",
		SET_PRIORITY,
		DIRECT_DEBITING,
		"paid",
		options,
		"usage: gyro-sim priority --connect ADDRESS:PORT --imsi N --card CARD-ID "
		"--priority N\n"
		"Says how soon a card is used: the higher, the sooner, among directed and among "
		"general\n"
		"cards.\n"
		"\n"
		"  --card TEXT                Card-Id\n"
		"  --priority N               Use-Priority, 0 to 4294967295\n"
		"  --for KIND:VALUE           of somebody else: imsi:..., e164:..., nai:...\n",
		"\n"
		"example:\n"
		"  gyro-sim priority --connect 127.0.0.1:3868 --imsi 001010000000001 --card c1 "
		"--priority 9\n",
	};

	return run(&command, argc, argv);
}

int gyro_sim_statistics(int argc, char **argv)
{
	static const struct option options[] = { ONE("card", OPTION_CARD), COMMON, END };
	static const struct command command = {
		"statistics",
		STATISTICS,
		DIRECT_DEBITING,
		"paid",
		options,
		"usage: gyro-sim statistics --connect ADDRESS:PORT --imsi N [--card CARD-ID] "
		"[options]\n"
		"Closes the window of each card of the subscriber, or of one, and shows what was "
		"used in\n"
		"it. The owner is debited for a window once, however often it is asked for.\n"
		"\n"
		"  --card TEXT                Card-Id; without it all\n",
		"\n"
		"example:\n"
		"  gyro-sim statistics --connect 127.0.0.1:3868 --imsi 001010000000001\n",
	};

	return run(&command, argc, argv);
}

int gyro_sim_cancel(int argc, char **argv)
{
	static const struct option options[] = { ONE("purchase-id", OPTION_PURCHASE_ID), COMMON,
						 END };
	static const struct command command = {
		"cancel",
		CANCEL,
		DIRECT_DEBITING,
		"paid",
		options,
		"usage: gyro-sim cancel --connect ADDRESS:PORT --imsi N --purchase-id TEXT "
		"[options]\n"
		"Gives up a purchase that is not confirmed: the price is released.\n"
		"\n"
		"  --purchase-id TEXT         Purchase-Id\n",
		"\n"
		"example:\n"
		"  gyro-sim cancel --connect 127.0.0.1:3868 --imsi 001010000000001 --purchase-id "
		"p-1\n",
	};

	return run(&command, argc, argv);
}

int gyro_sim_refund(int argc, char **argv)
{
	static const struct option options[] = { ONE("purchase-id", OPTION_PURCHASE_ID), COMMON,
						 END };
	static const struct command command = {
		"refund",
		PURCHASE,
		REFUND_ACCOUNT,
		"given back",
		options,
		"usage: gyro-sim refund --connect ADDRESS:PORT --imsi N --purchase-id TEXT "
		"[options]\n"
		"Gives a card back that nobody has used: its price is paid back.\n"
		"\n"
		"  --purchase-id TEXT         Purchase-Id\n",
		"\n"
		"example:\n"
		"  gyro-sim refund --connect 127.0.0.1:3868 --imsi 001010000000001 --purchase-id "
		"p-1\n",
	};

	return run(&command, argc, argv);
}
