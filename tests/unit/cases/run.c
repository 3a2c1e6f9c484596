/* run-cases FIXTURE FILE...: the .case tables through the pure core, TAP on standard output.
 *
 * Each case runs in a child of its own, so that an assertion of the core fails one case and not the
 * run. After every step the in-memory store is audited. Cases marked wire-only are left to
 * gyro-sim; what only a wire can say in any other case is an error here, not ignored. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/charging/direction.h"
#include "tests/lib/case.h"
#include "tests/lib/fixture.h"
#include "tests/lib/world.h"

/* 2027-01-15 08:00:00 UTC */
#define START_US     (INT64_C(1800000000) * GY_SECOND_US)
#define SERVICES_MAX GY_SERVICES_MAX

static const char default_context[] = "32251@3gpp.org";

/* An answer with memory of its own, kept for `same`. */
struct kept_answer {
	bool given;
	struct gy_case_seen seen;
	struct gy_case_seen_service services[SERVICES_MAX];
	uint32_t service_ids[SERVICES_MAX][GY_SERVICE_IDS_MAX];
	uint32_t failed[2];
};

struct run {
	const char *file;
	const struct gy_case *c;
	const struct gy_fixture *fixture;
	struct gy_world world;
	struct gy_profile *profiles; /* by index in fixture.subscribers; bar changes them */
	uint32_t end_to_end;
	uint32_t last_end_to_end[64]; /* by session */
	struct kept_answer previous[64];
	struct kept_answer now;
};

__attribute__((format(printf, 3, 4), noreturn)) static void failed(const struct run *run,
								   const struct gy_case_step *step,
								   const char *format, ...)
{
	va_list args;

	printf("# %s:%u: %s\n#   ", run->file, step->line, step->text);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* ---- a request of the table as the core's struct ---- */

struct built {
	struct gy_ccr ccr;
	struct gy_identity identity;
	struct gy_service services[SERVICES_MAX];
	struct gy_used used[SERVICES_MAX][GY_USED_MAX];
};

static void count_units(const struct gy_case_units *units, bool *present, int64_t *count)
{
	static const struct {
		enum gy_case_quantity from;
		enum gy_unit to;
	} plain[] = {
		{ GY_CASE_TOTAL, GY_UNIT_OCTETS },
		{ GY_CASE_SECONDS, GY_UNIT_SECONDS },
		{ GY_CASE_SERVICE, GY_UNIT_SERVICE },
		{ GY_CASE_MONEY, GY_UNIT_MONEY },
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		present[plain[i].to] = units->present[plain[i].from];
		count[plain[i].to] = units->count[plain[i].from];
	}
	if (units->present[GY_CASE_TOTAL] ||
	    (!units->present[GY_CASE_INPUT] && !units->present[GY_CASE_OUTPUT]))
		return;
	present[GY_UNIT_OCTETS] = true; /* G-41: the sum, when there is no total */
	count[GY_UNIT_OCTETS] = units->count[GY_CASE_INPUT] + units->count[GY_CASE_OUTPUT];
}

static const int64_t *named(const struct gy_case_units *units, enum gy_case_quantity quantity)
{
	return units->present[quantity] ? &units->count[quantity] : NULL;
}

static uint32_t reason_bit(int reason)
{
	if (reason < 0)
		return 0;
	return UINT32_C(1) << (reason <= GY_REASON_UNUSED_QUOTA_TIMER ? reason : GY_REASON_OTHER);
}

static void build_service(const struct gy_case_service *from, struct gy_service *to,
			  struct gy_used *used)
{
	*to = (struct gy_service){
		.has_rating_group = from->has_rating_group,
		.rating_group = from->rating_group,
		.n_service_ids = from->n_service_ids,
		.service_ids = from->service_ids,
		.service_key = gy_service_key(from->service_ids, from->n_service_ids),
		.requested = from->requested,
		.n_used = from->n_used,
		.used = used,
		.reasons = reason_bit(from->reason),
	};
	count_units(&from->requested_units, to->requested_present, to->requested_count);
	if (!from->requested_units.present[GY_CASE_TOTAL])
		gy_directions_ask(to, named(&from->requested_units, GY_CASE_INPUT),
				  named(&from->requested_units, GY_CASE_OUTPUT));
	if (from->n_used > 0)
		to->reasons |= reason_bit(from->used_reason);
	for (unsigned i = 0; i < from->n_used; i++) {
		used[i] = (struct gy_used){
			.tariff_change = (enum gy_tariff_change_usage)from->used[i].tariff_change,
		};
		count_units(&from->used[i].units, used[i].present, used[i].count);
	}
}

static struct gy_session_key session_key(const char *name, const struct gy_case_request *r)
{
	struct gy_session_key key = { UINT64_C(0x9e3779b97f4a7c15), r->sub_session };

	for (; *name; name++)
		key.hi = (key.hi ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	if (r->has_sub_session)
		key.hi ^= UINT64_C(1) << 63;
	return key;
}

static const char *wire_word(const struct gy_case_request *r)
{
	for (unsigned i = 0; i < r->n_services; i++)
		if (r->services[i].n_raw > 0)
			return "mscc-raw=";
	return r->realm || r->host                              ? "realm= or host="
	       : r->n_raw > 0 || r->n_omit > 0                  ? "raw= or omit="
	       : r->n_proxies > 0                               ? "proxy="
	       : r->no_context || r->reverse || r->header_error ? "ctx=none, reverse or ebit"
	       : r->cc_type >= 0 || r->auth_application >= 0 || r->header_application >= 0 ||
			       r->header_command >= 0
		       ? "cc-type=, aaid=, app= or cmd="
	       : !r->subscriber || r->n_identities != 1 || r->identities[0].kind != GY_CASE_IMSI ||
			       r->identities[0].value
		       ? "id="
		       : NULL;
}

static enum gy_request_type request_type(char letter)
{
	return letter == 'I'   ? GY_INITIAL
	       : letter == 'U' ? GY_UPDATE
	       : letter == 'T' ? GY_TERMINATION
			       : GY_EVENT;
}

static void build(struct run *run, const struct gy_case_step *step, struct built *b)
{
	const struct gy_case_request *r = step->request;
	const char *context = r->context ? r->context : default_context;
	const char *name = run->c->sessions[r->session];
	const char *wire = wire_word(r);

	if (wire)
		failed(run, step, "%s can only be tried over the wire: mark the case wire-only",
		       wire);
	if (r->n_services > SERVICES_MAX)
		failed(run, step, "too many groups");
	b->identity = (struct gy_identity){ .kind = GY_IDENTITY_IMSI };
	b->ccr = (struct gy_ccr){
		.session = session_key(name, r),
		.session_id = { (const uint8_t *)name, strlen(name) },
		.has_sub_session = r->has_sub_session,
		.sub_session = r->sub_session,
		.type = request_type(r->type),
		.number = r->number,
		.end_to_end = r->e2e_same ? run->last_end_to_end[r->session] : ++run->end_to_end,
		.retransmitted = r->t_bit,
		.origin_host = { (const uint8_t *)"pgw1.spec.test", 14 },
		.origin_realm = { (const uint8_t *)"spec.test", 9 },
		.has_origin_state = r->origin_state >= 0,
		.origin_state = r->origin_state >= 0 ? (uint32_t)r->origin_state : 0,
		.gateway_id = 1,
		.service_context = { (const uint8_t *)context, strlen(context) },
		.action = (enum gy_requested_action)r->action,
		.multiple_services = r->multiple_services == 1,
		.termination_cause = r->termination_cause > 0 ? (int)r->termination_cause : 0,
		.n_identities = 1,
		.identities = &b->identity,
		.services_at_command_level = r->n_services == 0 || r->services[0].at_command_level,
		.n_services = r->n_services,
		.services = b->services,
	};
	run->last_end_to_end[r->session] = b->ccr.end_to_end;
	for (unsigned i = 0; i < r->n_services; i++) {
		if (r->services[i].n_used > GY_USED_MAX)
			failed(run, step, "too many usage reports in one group");
		build_service(&r->services[i], &b->services[i], b->used[i]);
	}
	b->ccr.content_hash = gy_world_content_hash(&b->ccr);
}

/* ---- the core's answer as the table sees it ---- */

static void see_amount(struct gy_case_units *units, enum gy_case_quantity quantity, int64_t count)
{
	units->present[quantity] = true;
	units->count[quantity] = count;
}

static void see_service(const struct gy_service_answer *from, bool at_command_level, int currency,
			struct gy_case_seen_service *to, uint32_t *ids)
{
	static const enum gy_case_quantity quantities[GY_UNIT_COUNT] = {
		[GY_UNIT_OCTETS] = GY_CASE_TOTAL,
		[GY_UNIT_SECONDS] = GY_CASE_SECONDS,
		[GY_UNIT_SERVICE] = GY_CASE_SERVICE,
		[GY_UNIT_MONEY] = GY_CASE_MONEY,
	};
	bool final = from->final_unit != GY_FINAL_NONE;

	*to = (struct gy_case_seen_service){
		.at_command_level = at_command_level,
		.has_rating_group = from->has_rating_group,
		.rating_group = from->rating_group,
		.n_service_ids = from->n_service_ids,
		.service_ids = ids,
		.code = gy_rc_result_code(from->rc),
		.has_grant = from->unit != GY_UNIT_NONE,
		.validity = from->validity_s > 0 ? (int64_t)from->validity_s : -1,
		.volume_threshold = -1,
		.time_threshold = -1,
		.unit_threshold = -1,
		.quota_holding = from->quota_holding_s > 0 ? (int64_t)from->quota_holding_s : -1,
		.final_unit = final ? (int64_t)from->final_unit : -1,
	};
	if (from->n_service_ids > 0)
		memcpy(ids, from->service_ids, from->n_service_ids * sizeof(*ids));
	if (from->unit == GY_UNIT_MONEY)
		to->currency = currency;
	if (to->has_grant && from->directions == 0)
		see_amount(&to->grant, quantities[from->unit], from->granted);
	if (from->directions & GY_DIRECTION_INPUT)
		see_amount(&to->grant, GY_CASE_INPUT, from->input);
	if (from->directions & GY_DIRECTION_OUTPUT)
		see_amount(&to->grant, GY_CASE_OUTPUT, from->granted - from->input);
	if (from->threshold > 0) {
		int64_t *threshold = from->unit == GY_UNIT_OCTETS    ? &to->volume_threshold
				     : from->unit == GY_UNIT_SECONDS ? &to->time_threshold
								     : &to->unit_threshold;

		*threshold = from->threshold;
	}
	if (final && from->policy && from->final_unit == GY_FINAL_REDIRECT)
		to->redirect = from->policy->redirect_address;
	if (final && from->policy && from->final_unit != GY_FINAL_TERMINATE) {
		to->n_filters = from->policy->n_filter_ids;
		to->filters = from->policy->filter_ids;
	}
}

static void see(const struct gy_answer *from, struct kept_answer *to)
{
	to->given = true;
	to->seen = (struct gy_case_seen){
		.code = gy_rc_result_code(from->rc),
		.message = from->message,
		.check_balance = from->check_balance == GY_CHECK_ABSENT
					 ? -1
					 : from->check_balance == GY_CHECK_NO_CREDIT,
		.n_failed = from->n_failed,
		.failed = to->failed,
		/* A failing command carries no services (G-32): the encoder leaves them out. */
		.n_services = from->rc == GY_OK ? from->n_services : 0,
		.services = to->services,
	};
	for (unsigned i = 0; i < from->n_failed; i++)
		to->failed[i] = from->failed[i].code;
	for (unsigned i = 0; i < to->seen.n_services; i++)
		see_service(&from->services[i], from->at_command_level, from->currency,
			    &to->services[i], to->service_ids[i]);
}

/* A copy whose pointers lead into itself. */
static void keep(const struct kept_answer *from, struct kept_answer *to)
{
	*to = *from;
	to->seen.failed = to->failed;
	to->seen.services = to->services;
	for (unsigned i = 0; i < to->seen.n_services; i++)
		to->services[i].service_ids = to->service_ids[i];
}

/* ---- steps ---- */

static unsigned subscriber_index(const struct run *run, const struct gy_case_step *step, int number)
{
	const struct gy_fixture_subscriber *s = gy_fixture_find(run->fixture, number);

	if (!s)
		failed(run, step, "S%d is not in the fixture", number);
	return (unsigned)(s - run->fixture->subscribers);
}

static void request_step(struct run *run, const struct gy_case_step *step)
{
	static struct built b;
	unsigned who = subscriber_index(run, step, step->request->subscriber);
	struct kept_answer *previous = &run->previous[step->request->session];
	const struct gy_answer *answer;
	char why[512];

	build(run, step, &b);
	answer = gy_world_request(&run->world, &b.ccr, run->fixture->subscribers[who].account,
				  &run->profiles[who]);
	if (answer->n_services > SERVICES_MAX)
		failed(run, step, "%u services in the answer", answer->n_services);
	see(answer, &run->now);
	if (!gy_case_matches(step->expect, &run->now.seen, previous->given ? &previous->seen : NULL,
			     why, sizeof(why)))
		failed(run, step, "%s", why);
	keep(&run->now, previous);
}

static void check_step(struct run *run, const struct gy_case_step *step)
{
	unsigned who = subscriber_index(run, step, step->subscriber);
	const struct gy_account *a =
		&run->world.accounts[run->fixture->subscribers[who].account].account;

	if (!gy_case_bound_holds(step->balance, true, a->balance))
		failed(run, step, "the balance is %lld micro-units, expected %lld",
		       (long long)a->balance, (long long)step->balance.value);
	if (!gy_case_bound_holds(step->reserved, true, a->reserved))
		failed(run, step, "reserved are %lld micro-units, expected %lld",
		       (long long)a->reserved, (long long)step->reserved.value);
}

static void one_step(struct run *run, const struct gy_case_step *step)
{
	unsigned who;

	switch (step->kind) {
	case GY_CASE_REQUEST:
		request_step(run, step);
		break;
	case GY_CASE_CHECK:
		check_step(run, step);
		break;
	case GY_CASE_AUDIT:
		break; /* done after every step */
	case GY_CASE_BAR:
	case GY_CASE_UNBAR:
		who = subscriber_index(run, step, step->subscriber);
		run->profiles[who].state = step->kind == GY_CASE_BAR ? GY_BARRED : GY_ACTIVE;
		break;
	case GY_CASE_TOPUP:
		who = subscriber_index(run, step, step->subscriber);
		gy_world_topup(&run->world, run->fixture->subscribers[who].account,
			       step->amount_micros);
		break;
	case GY_CASE_WAIT:
		run->world.now += step->wait_us;
		break;
	case GY_CASE_SWEEP:
		gy_world_sweep(&run->world);
		break;
	case GY_CASE_RESTART:
		failed(run, step, "restart needs a node: mark the case wire-only");
	}
}

static void run_case(const char *file, const struct gy_case *c, const struct gy_fixture *fixture)
{
	static struct run run;

	run.file = file;
	run.c = c;
	run.fixture = fixture;
	run.profiles = calloc(fixture->n_subscribers, sizeof(*run.profiles));
	if (!run.profiles)
		abort();
	for (unsigned i = 0; i < fixture->n_subscribers; i++)
		run.profiles[i] = fixture->subscribers[i].profile;
	gy_world_init(&run.world, &fixture->catalogue, fixture->accounts, fixture->n_accounts,
		      START_US);
	for (unsigned i = 0; i < c->n_steps; i++) {
		const char *wrong;

		/* Requests are milliseconds apart, as on a wire. */
		run.world.now += 1000;
		one_step(&run, &c->steps[i]);
		wrong = gy_world_audit(&run.world);
		if (wrong)
			failed(&run, &c->steps[i], "audit: %s", wrong);
	}
	gy_world_free(&run.world);
	free(run.profiles);
}

/* ---- the run ---- */

static bool in_child(const char *file, const struct gy_case *c, const struct gy_fixture *fixture)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		run_case(file, c, fixture);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	if (WIFSIGNALED(status))
		printf("# the core stopped with signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	unsigned n = 0, bad = 0, left = 0, total = 0;
	struct gy_case_file **files;
	struct gy_fixture *fixture;
	char error[512];

	if (argc < 3) {
		fprintf(stderr, "usage: run-cases FIXTURE FILE...\n");
		return 2;
	}
	fixture = gy_fixture_read(argv[1], error, sizeof(error));
	files = calloc((size_t)argc, sizeof(*files));
	if (!fixture || !files) {
		printf("Bail out! %s\n", error);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		files[i] = gy_case_read(argv[i], error, sizeof(error));
		if (!files[i]) {
			printf("Bail out! %s\n", error);
			return 1;
		}
		for (unsigned k = 0; k < files[i]->n_cases; k++)
			total += !files[i]->cases[k].wire_only;
	}
	printf("1..%u\n", total);
	for (int i = 2; i < argc; i++)
		for (unsigned k = 0; k < files[i]->n_cases; k++) {
			const struct gy_case *c = &files[i]->cases[k];
			bool good;

			if (c->wire_only) {
				left++;
				continue;
			}
			good = in_child(argv[i], c, fixture);
			bad += !good;
			printf("%sok %u - %s %s (%s)\n", good ? "" : "not ", ++n, c->id, c->title,
			       base_name(argv[i]));
		}
	printf("# %u cases, %u failed; %u more are wire-only, for gyro-sim\n", n, bad, left);
	for (int i = 2; i < argc; i++)
		gy_case_free(files[i]);
	free(files);
	gy_fixture_free(fixture);
	return bad == 0 && n > 0 ? 0 : 1;
}
