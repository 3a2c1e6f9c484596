/* Random requests against the decision, each step checked against a second, naive charging model.
 *
 *   decide-fuzz [--seed N] [--steps N]      (or GYRO_SEED; the seed is printed first and last)
 *
 * The model knows no carry and no reservation rows: what a service has cost is the price of all it
 * ever used in its session, and what a grant holds is the dearer rounding of what it may use more.
 * Where rules leave the order of things open, the model asks for what must hold in any order. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core/request.h"
#include "tests/unit/core/shop.h"

#define SHOP_ACCOUNTS 4
#define SUBSCRIBERS   6
#define SESSIONS_MAX  4096
#define LINES_MAX     40
#define SENT_MAX      200000
#define VALIDITY_S    3600

/* ---- the model ---- */

struct line {
	uint32_t rating_group;
	int64_t service_key;
	int64_t used;    /* all units of this session's life */
	int64_t granted; /* now */
};

struct session {
	bool made, open, late_exact;
	int subscriber;
	uint32_t next_number;
	gy_time_us touched_us, ended_us;
	bool granted_ever;
	unsigned n_lines;
	struct line lines[LINES_MAX];
};

/* A request that was sent, with what must come back for its copies. */
struct sent {
	struct request request;
	int subscriber;
	uint64_t digest;
	bool replayable;
};

static struct session sessions[SESSIONS_MAX];
static unsigned n_sessions;
static struct sent *sent;
static unsigned n_sent;
static struct gy_world world;
static struct gy_profile profiles[SUBSCRIBERS];
static const int account_of[SUBSCRIBERS] = { 0, 1, 2, 3, 3, 0 };
static uint64_t seed;
static unsigned step, steps;

/* What happened, to see that the test reached it. */
static struct {
	unsigned initial, update, termination, duplicate, reused, late, unknown, barred, swept;
	unsigned partial, refused, overrun, histories, directed;
} count;

__attribute__((format(printf, 1, 2), noreturn)) static void broken(const char *format, ...)
{
	va_list args;

	printf("not ok 1 - invariants under random requests\n# step %u: ", step);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# seed %" PRIu64 ": run decide-fuzz --seed %" PRIu64 " --steps %u\n", seed, seed,
	       step + 1);
	exit(1);
}

static struct line *line_of(struct session *s, uint32_t rating_group, int64_t service_key)
{
	for (unsigned i = 0; i < s->n_lines; i++)
		if (s->lines[i].rating_group == rating_group &&
		    s->lines[i].service_key == service_key)
			return &s->lines[i];
	if (s->n_lines == LINES_MAX)
		broken("the model has too few lines");
	s->lines[s->n_lines] = (struct line){ rating_group, service_key, 0, 0 };
	return &s->lines[s->n_lines++];
}

/* What must be held so that units more can be paid after used: what both cost, rounded up, less
 * what used has cost already. */
static int64_t hold(const struct gy_specific_rule *rule, int64_t used, int64_t units)
{
	__int128 all = ((__int128)used + units) * rule->rate.price_micros;

	if (units == 0)
		return 0;
	return (int64_t)((all + rule->rate.block - 1) / rule->rate.block) - shop_cost(rule, used);
}

static int64_t held_by(const struct session *s)
{
	int64_t held = 0;

	for (unsigned i = 0; i < s->n_lines; i++) {
		const struct line *l = &s->lines[i];

		if (l->granted > 0)
			held += hold(shop_rule(l->rating_group), l->used, l->granted);
	}
	return held;
}

static int64_t held_on(int account)
{
	int64_t held = 0;

	for (unsigned i = 0; i < n_sessions; i++)
		if (sessions[i].open && account_of[sessions[i].subscriber] == account)
			held += held_by(&sessions[i]);
	return held;
}

/* The most units of at most wanted whose hold fits into money; by bisection. */
static int64_t affordable(const struct gy_specific_rule *rule, int64_t used, int64_t wanted,
			  int64_t money)
{
	int64_t low = 0, high = wanted;

	if (money < 0)
		return 0;
	while (low < high) {
		int64_t middle = low + (high - low + 1) / 2;

		if (hold(rule, used, middle) <= money)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* ---- checks after every request ---- */

struct before {
	int64_t balance, reserved;
	unsigned records;
};

static struct before before(int account)
{
	const struct gy_account *a = &world.accounts[account].account;

	return (struct before){ a->balance, a->reserved, world.n_records };
}

static void unchanged(struct before b, int account, const char *what)
{
	const struct gy_account *a = &world.accounts[account].account;

	if (a->balance != b.balance || a->reserved != b.reserved || world.n_records != b.records)
		broken("%s changed the account: balance %" PRId64 " to %" PRId64
		       ", reserved %" PRId64 " to %" PRId64 ", %u records",
		       what, b.balance, a->balance, b.reserved, a->reserved,
		       world.n_records - b.records);
}

/* The sum of what the new record says was debited, checked service by service. */
static int64_t recorded(struct before b)
{
	const struct gy_record *r;
	int64_t sum = 0;

	if (world.n_records == b.records)
		return 0;
	r = &world.records[world.n_records - 1].record;
	for (unsigned i = 0; i < r->n_charges; i++)
		sum += r->charges[i].debit;
	if (sum != r->debit)
		broken("a record's debit %" PRId64 ", its services' %" PRId64, r->debit, sum);
	return sum;
}

static void account_adds_up(int account, struct before b, int64_t debit)
{
	const struct gy_account *a = &world.accounts[account].account;
	int64_t held = held_on(account), sum = 0;

	if (b.balance - a->balance != debit)
		broken("debited %" PRId64 ", expected %" PRId64, b.balance - a->balance, debit);
	if (recorded(b) != debit)
		broken("recorded %" PRId64 ", debited %" PRId64, recorded(b), debit);
	for (unsigned i = 0; i < a->n_reservations; i++)
		sum += a->reservations[i].reserved;
	if (sum != a->reserved)
		broken("I3: reserved %" PRId64 ", reservations %" PRId64, a->reserved, sum);
	if (held != a->reserved)
		broken("reserved %" PRId64 ", the model holds %" PRId64, a->reserved, held);
}

static int64_t total_used(const struct gy_service *service, enum gy_unit unit)
{
	int64_t units = 0;

	for (unsigned k = 0; k < service->n_used; k++)
		units += service->used[k].count[unit];
	return units;
}

/* Octets go by the names that the request has for them (G-39); a threshold is below each amount. */
static void expect_directions(const struct gy_service *service, const struct gy_service_answer *got)
{
	int64_t amounts[2] = { got->input, got->granted - got->input };
	bool named = service->requested_present[GY_UNIT_OCTETS] && got->unit == GY_UNIT_OCTETS;
	int64_t asked[2] = { service->requested_input,
			     service->requested_count[GY_UNIT_OCTETS] - service->requested_input };

	if (named && got->directions != service->requested_directions)
		broken("directions %u for %u (G-39)", got->directions,
		       service->requested_directions);
	if (got->directions == 0) {
		amounts[0] = amounts[1] = got->granted;
		asked[0] = asked[1] = service->requested_count[GY_UNIT_OCTETS];
	}
	for (int i = 0; i < 2; i++) {
		bool given = got->directions == 0 || got->directions & 1U << i;

		if (amounts[i] < 0 || (!given && amounts[i] != 0) ||
		    (given && amounts[i] == 0 && got->granted > 1))
			broken("direction %d has %" PRId64 " of %" PRId64, i, amounts[i],
			       got->granted);
		if (named && asked[i] > 0 && amounts[i] > asked[i])
			broken("more than was asked for in direction %d (G-39)", i);
		if (given && got->threshold != 0 && got->threshold >= amounts[i])
			broken("a threshold of %u in a grant of %" PRId64 " (G-50)", got->threshold,
			       amounts[i]);
	}
	count.directed += got->directions != 0;
}

/* What one service of an answer must be, given the money there is for it. */
static void expect_service(const struct gy_ccr *ccr, const struct gy_service *service,
			   const struct gy_service_answer *got, struct line *line, int64_t money)
{
	const struct gy_specific_rule *rule = shop_rule(service->rating_group);
	const struct gy_policy *policy = shop_policy(service->rating_group);
	enum gy_final_unit_action final = GY_FINAL_NONE;
	int64_t wanted, granted = 0;
	enum gy_rc rc = GY_OK;

	if (got->rating_group != service->rating_group || !got->has_rating_group ||
	    got->n_service_ids != service->n_service_ids)
		broken("a service is answered out of order (G-42)");
	if (!rule)
		rc = GY_RATING_FAILED;
	else if (rule->kind != GY_RULE_PRICED)
		rc = rule->kind == GY_RULE_FREE ? GY_CREDIT_CONTROL_NOT_APPLICABLE
						: GY_END_USER_SERVICE_DENIED;
	else if (service->requested && ccr->type != GY_TERMINATION &&
		 !(service->reasons & 1U << GY_REASON_FINAL)) {
		wanted = service->requested_count[rule->unit];
		if (wanted == 0)
			wanted = policy->default_grant;
		if (wanted > policy->max_grant)
			wanted = policy->max_grant;
		granted = affordable(rule, line->used, wanted, money);
		if (granted < wanted)
			final = policy->final_unit;
		if (granted == 0 && final == GY_FINAL_TERMINATE) {
			rc = GY_CREDIT_LIMIT_REACHED;
			final = GY_FINAL_NONE;
		}
		count.partial += granted > 0 && granted < wanted;
		count.refused += granted == 0;
	}
	if (got->rc != rc)
		broken("Rating-Group %u: %s, expected %s", service->rating_group,
		       gy_rc_name(got->rc), gy_rc_name(rc));
	if ((got->unit == GY_UNIT_NONE ? 0 : got->granted) != granted)
		broken("Rating-Group %u: granted %" PRId64 ", expected %" PRId64 " (money %" PRId64
		       ", used %" PRId64 ")",
		       service->rating_group, got->granted, granted, money, line ? line->used : 0);
	if (granted > 0 && got->unit != rule->unit)
		broken("Rating-Group %u: another unit", service->rating_group);
	if (got->final_unit != final)
		broken("Rating-Group %u: final unit %d, expected %d", service->rating_group,
		       (int)got->final_unit, (int) final);
	if (got->unit != GY_UNIT_NONE && got->granted == 0 && final == GY_FINAL_NONE)
		broken("a grant of nothing without final units (G-48)");
	if (final != GY_FINAL_NONE && (got->threshold != 0 || got->validity_s == 0))
		broken("final units with a threshold or without Validity-Time (G-48, G-50)");
	if (granted > 0 && (got->validity_s == 0 || got->validity_s > policy->validity_s))
		broken("a grant valid for %u s (G-66)", got->validity_s);
	expect_directions(service, got);
	if (line)
		line->granted = granted;
}

/* The request goes to the core and, service by service, through the model. */
static void live(struct session *s, const struct gy_ccr *ccr, const struct gy_answer *a,
		 struct before b)
{
	int account = account_of[s->subscriber];
	const struct gy_account *now = &world.accounts[account].account;
	int64_t debit = 0, credit = now->credit_limit;
	bool overuse = b.balance + credit - b.reserved < 0;

	if (a->rc != GY_OK)
		broken("a live request was answered %s", gy_rc_name(a->rc));
	if (a->n_services != ccr->n_services)
		broken("%u services answered, %u asked", a->n_services, ccr->n_services);
	for (unsigned i = 0; i < ccr->n_services; i++) {
		const struct gy_service *service = &ccr->services[i];
		const struct gy_specific_rule *rule = shop_rule(service->rating_group);
		struct line *line = NULL;

		if (rule && rule->kind == GY_RULE_PRICED) {
			int64_t units = total_used(service, rule->unit);

			line = line_of(s, service->rating_group, service->service_key);
			overuse |= units > line->granted;
			debit += shop_cost(rule, line->used + units) - shop_cost(rule, line->used);
			line->used += units;
			line->granted = 0;
		}
		expect_service(ccr, service, &a->services[i], line,
			       b.balance + credit - debit - held_on(account));
		s->granted_ever |= line && line->granted > 0;
	}
	if (ccr->type == GY_TERMINATION) {
		for (unsigned i = 0; i < s->n_lines; i++)
			s->lines[i].granted = 0;
		s->open = false;
		s->ended_us = world.now;
	}
	s->touched_us = world.now;
	account_adds_up(account, b, debit);
	if (gy_account_available(now) < 0 && !overuse)
		broken("available %" PRId64 " without over-use", gy_account_available(now));
	if (now->balance + credit < 0 && b.balance + credit >= 0) {
		const struct gy_record *r = &world.records[world.n_records - 1].record;
		unsigned flags = r->flags;

		for (unsigned i = 0; i < r->n_charges; i++)
			flags |= r->charges[i].flags;
		if (!(flags & GY_CHARGE_OVERRUN))
			broken("over-use is not flagged (G-37)");
		count.overrun++;
	}
}

static const struct gy_answer *submit(const struct request *r, int subscriber)
{
	return gy_world_request(&world, &r->ccr, account_of[subscriber], &profiles[subscriber]);
}

/* Keeps the request for later copies. */
static void remember(const struct request *r, int subscriber, const struct gy_answer *a,
		     bool replayable)
{
	struct sent *s;

	if (n_sent == SENT_MAX)
		return;
	s = &sent[n_sent++];
	s->request = *r;
	request_end(&s->request);
	s->subscriber = subscriber;
	s->digest = gy_world_answer_digest(a);
	s->replayable = replayable;
}

/* ---- what is done at random ---- */

static void random_services(struct request *r, bool with_usage, bool with_more)
{
	unsigned n = shop_below(4) + (shop_below(20) == 0 ? shop_below(6) : 0);
	uint32_t taken[REQUEST_SERVICES_MAX];
	unsigned ids[REQUEST_SERVICES_MAX];

	for (unsigned i = 0; i < n; i++) {
		uint32_t rg = shop_rating_groups[shop_below(shop_n_rating_groups)];
		unsigned n_ids = shop_below(6) == 0 ? shop_below(3) : 0;
		const struct gy_specific_rule *rule = shop_rule(rg);
		enum gy_unit unit = rule ? rule->unit : GY_UNIT_OCTETS;
		const struct gy_policy *policy = shop_policy(rg);
		int64_t most = policy ? policy->max_grant : 1000;
		bool again = false;

		/* Now and then the same key twice in one request (G-42). */
		for (unsigned k = 0; k < r->ccr.n_services; k++)
			again |= taken[k] == rg && ids[k] == n_ids;
		if (again && shop_below(4) != 0)
			continue;
		taken[r->ccr.n_services] = rg;
		ids[r->ccr.n_services] = n_ids;
		request_service(r, rg, n_ids);
		if (with_usage)
			for (unsigned k = shop_below(10) == 0 ? shop_below(4) : shop_below(2);
			     k > 0; k--)
				request_used(r, unit,
					     shop_wide(shop_below(50) == 0 ? 4 * most : most / 4));
		if (with_more && unit == GY_UNIT_OCTETS && shop_below(8) == 0)
			request_directions(r, shop_below(3) == 0 ? -1 : shop_wide(most),
					   shop_wide(most));
		else if (with_more && shop_below(8) != 0)
			request_more(r, unit, shop_below(3) == 0 ? shop_wide(2 * most) + 1 : -1);
		if (with_usage && shop_below(10) == 0)
			request_reason(r, (enum gy_reporting_reason)shop_below(10));
	}
}

static void begin_session(void)
{
	struct session *s = &sessions[n_sessions];
	struct request r;
	const struct gy_answer *a;
	struct before b;

	if (n_sessions == SESSIONS_MAX)
		return;
	*s = (struct session){ .made = true, .subscriber = (int)shop_below(SUBSCRIBERS) };
	s->next_number = shop_below(2);
	request_begin(&r, GY_INITIAL, n_sessions + 1, s->next_number++);
	random_services(&r, shop_below(10) == 0, true);
	request_end(&r);
	b = before(account_of[s->subscriber]);
	a = submit(&r, s->subscriber);
	n_sessions++;
	s->open = true;
	live(s, &r.ccr, a, b);
	remember(&r, s->subscriber, a, true);
	count.initial++;
}

static struct session *some_session(bool open)
{
	for (unsigned tries = 0; n_sessions > 0 && tries < 40; tries++) {
		unsigned recent = n_sessions > 200 ? n_sessions - 200 : 0;
		struct session *s = &sessions[recent + shop_below(n_sessions - recent)];

		if (s->open == open)
			return s;
	}
	return NULL;
}

static void use_session(bool terminate)
{
	struct session *s = some_session(true);
	const struct gy_answer *a;
	struct request r;
	struct before b;
	uint32_t number;

	if (!s)
		return;
	/* Steps other than 1 and, sometimes, a number that was left out before (G-25). */
	number = s->next_number;
	s->next_number += 1 + (shop_below(5) == 0 ? shop_below(80) : 0);
	request_begin(&r, terminate ? GY_TERMINATION : GY_UPDATE, (uint64_t)(s - sessions) + 1,
		      number);
	random_services(&r, true, true);
	request_end(&r);
	b = before(account_of[s->subscriber]);
	a = submit(&r, s->subscriber);
	live(s, &r.ccr, a, b);
	remember(&r, s->subscriber, a, true);
	if (terminate)
		count.termination++;
	else
		count.update++;
}

/* Usage of an ended session: charged once within the late window, answered 5002 (G-24, G-28). */
static void late_usage(void)
{
	struct session *s = some_session(false);
	const struct gy_answer *a;
	struct request r;
	int64_t low = 0, high = 0, debit;
	struct before b;

	if (!s)
		return;
	request_begin(&r, shop_below(4) == 0 ? GY_TERMINATION : GY_UPDATE,
		      (uint64_t)(s - sessions) + 1, s->next_number++);
	random_services(&r, true, true);
	request_end(&r);
	b = before(account_of[s->subscriber]);
	a = submit(&r, s->subscriber);
	if (a->rc != GY_UNKNOWN_SESSION_ID)
		broken("late usage was answered %s", gy_rc_name(a->rc));
	for (unsigned i = 0; i < r.ccr.n_services; i++) {
		const struct gy_specific_rule *rule = shop_rule(r.services[i].rating_group);
		int64_t units;

		if (!rule || rule->kind != GY_RULE_PRICED)
			continue;
		units = total_used(&r.services[i], rule->unit);
		low += shop_cost(rule, units);
		high += shop_cost(rule, units) + (units > 0 && rule->rate.block > 1);
	}
	/* The session's remainder may be gone with it: up to a micro-unit for each service. */
	debit = b.balance - world.accounts[account_of[s->subscriber]].account.balance;
	if (world.now - s->ended_us > world.late_window_us)
		low = high = 0;
	if (debit < low || debit > high)
		broken("late usage was debited %" PRId64 ", expected %" PRId64 " to %" PRId64,
		       debit, low, high);
	account_adds_up(account_of[s->subscriber], b, debit);
	remember(&r, s->subscriber, a, true);
	count.late++;
}

/* Answers are kept for the late window after a session's end (G-89), an hour less to be sure. */
static bool forgotten(const struct sent *s)
{
	const struct session *session = &sessions[s->request.ccr.session.lo - 1];

	return !session->open &&
	       world.now - session->ended_us > world.late_window_us - 3600 * GY_SECOND_US;
}

static void copy_something(void)
{
	unsigned recent = n_sent > 60 && shop_below(3) != 0 ? n_sent - 60 : 0;
	struct sent *s;
	const struct gy_answer *a;
	struct before b;

	if (n_sent == 0)
		return;
	s = &sent[recent + shop_below(n_sent - recent)];
	if (!s->replayable || forgotten(s))
		return;
	request_end(&s->request);
	s->request.ccr.retransmitted = shop_below(2) == 0;
	s->request.ccr.end_to_end ^= shop_below(2) << 31; /* nobody else's */
	b = before(account_of[s->subscriber]);
	/* A CCR-I of an ended session with T clear and another End-to-End-Id would be a new
	 * session. */
	if (s->request.ccr.type == GY_INITIAL)
		s->request.ccr.retransmitted = true;
	a = submit(&s->request, s->subscriber);
	unchanged(b, account_of[s->subscriber], "a duplicate");
	if (gy_world_answer_digest(a) != s->digest)
		broken("a duplicate of %d/%u was answered otherwise: %s, %u services",
		       (int)s->request.ccr.type, s->request.ccr.number, gy_rc_name(a->rc),
		       a->n_services);
	count.duplicate++;
}

/* The number of an earlier request with other content (G-86). */
static void reuse_number(void)
{
	struct sent *s;
	struct request r;
	const struct gy_answer *a;
	struct before b;
	bool t_bit = shop_below(2) == 0;

	if (n_sent == 0)
		return;
	s = &sent[shop_below(n_sent)];
	if (!s->replayable || s->request.ccr.type == GY_INITIAL || forgotten(s))
		return;
	request_begin(&r, s->request.ccr.type, s->request.ccr.session.lo, s->request.ccr.number);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_OCTETS, 123456789 + step);
	request_end(&r);
	r.ccr.retransmitted = t_bit;
	b = before(account_of[s->subscriber]);
	a = submit(&r, s->subscriber);
	unchanged(b, account_of[s->subscriber], "a reused number");
	if (!t_bit &&
	    (a->rc != GY_INVALID_AVP_VALUE || a->n_failed != 1 || a->failed[0].code != 415))
		broken("a reused number was answered %s", gy_rc_name(a->rc));
	count.reused++;
}

static void unknown_session(void)
{
	int subscriber = (int)shop_below(SUBSCRIBERS);
	struct before b = before(account_of[subscriber]);
	const struct gy_answer *a;
	struct request r;

	request_begin(&r, shop_below(2) ? GY_UPDATE : GY_TERMINATION,
		      1000000 + shop_random() % 1000000, shop_below(10));
	random_services(&r, true, true);
	request_end(&r);
	a = submit(&r, subscriber);
	if (a->rc != GY_UNKNOWN_SESSION_ID)
		broken("an unknown session was answered %s", gy_rc_name(a->rc));
	unchanged(b, account_of[subscriber], "an unknown session");
	count.unknown++;
}

static void second_initial(void)
{
	struct session *s = some_session(true);
	const struct gy_answer *a;
	struct request r;
	struct before b;

	if (!s)
		return;
	b = before(account_of[s->subscriber]);
	request_begin(&r, GY_INITIAL, (uint64_t)(s - sessions) + 1, s->next_number + 1000000);
	random_services(&r, false, true);
	request_end(&r);
	a = submit(&r, s->subscriber);
	if (a->rc != GY_UNABLE_TO_COMPLY)
		broken("a second CCR-I was answered %s (G-23)", gy_rc_name(a->rc));
	unchanged(b, account_of[s->subscriber], "a second CCR-I");
}

/* A barred subscriber opens nothing. */
static void barred_initial(void)
{
	int subscriber = (int)shop_below(SUBSCRIBERS);
	struct before b = before(account_of[subscriber]);
	const struct gy_answer *a;
	struct request r;

	request_begin(&r, GY_INITIAL, 5000000 + step, 0);
	random_services(&r, false, true);
	request_end(&r);
	profiles[subscriber].state = GY_BARRED;
	a = submit(&r, subscriber);
	profiles[subscriber].state = GY_ACTIVE;
	if (a->rc != GY_END_USER_SERVICE_DENIED)
		broken("a barred subscriber was answered %s (G-21)", gy_rc_name(a->rc));
	unchanged(b, account_of[subscriber], "a barred subscriber's CCR-I");
	count.barred++;
}

/* Time passes, and the sweeper comes (G-67): no sooner than twice the Validity-Time, and then. */
static void pass_time(void)
{
	int64_t balances[SHOP_ACCOUNTS];

	world.now += shop_wide(3 * SHOP_VALIDITY_S) * GY_SECOND_US;
	for (int i = 0; i < SHOP_ACCOUNTS; i++)
		balances[i] = world.accounts[i].account.balance;
	gy_world_sweep(&world);
	for (int i = 0; i < SHOP_ACCOUNTS; i++)
		if (world.accounts[i].account.balance != balances[i])
			broken("supervision debited");
	for (unsigned i = 0; i < n_sessions; i++) {
		struct session *s = &sessions[i];
		struct gy_session_key key = { (i + 1) * UINT64_C(0x9e3779b97f4a7c15), i + 1 };
		const struct gy_account *a = &world.accounts[account_of[s->subscriber]].account;
		gy_time_us idle = world.now - s->touched_us;
		int found;

		if (!s->open)
			continue;
		found = gy_session_find(a, key);
		if (found >= 0 && a->sessions[found].state == GY_SESSION_OPEN) {
			if (s->granted_ever && idle > 2 * SHOP_VALIDITY_S * GY_SECOND_US)
				broken("a session silent for %" PRId64 " s is still open (G-67)",
				       idle / GY_SECOND_US);
			continue;
		}
		if (s->granted_ever && idle < 2 * SHOP_VALIDITY_S * GY_SECOND_US)
			broken("a session silent for %" PRId64 " s was ended (G-67)",
			       idle / GY_SECOND_US);
		s->open = false;
		s->ended_us = world.now;
		for (unsigned k = 0; k < s->n_lines; k++)
			s->lines[k].granted = 0;
		count.swept++;
	}
	for (int i = 0; i < SHOP_ACCOUNTS; i++)
		if (world.accounts[i].account.reserved != held_on(i))
			broken("after supervision %" PRId64 " are reserved, expected %" PRId64,
			       world.accounts[i].account.reserved, held_on(i));
}

static void random_step(void)
{
	unsigned kind = shop_below(100);

	world.now += 1000 + shop_below(100000);
	if (kind < 12)
		begin_session();
	else if (kind < 60)
		use_session(false);
	else if (kind < 68)
		use_session(true);
	else if (kind < 84)
		copy_something();
	else if (kind < 87)
		reuse_number();
	else if (kind < 90)
		late_usage();
	else if (kind < 92)
		unknown_session();
	else if (kind < 93)
		second_initial();
	else if (kind < 94)
		barred_initial();
	else if (kind < 95)
		pass_time();
	else
		gy_world_topup(&world, (int)shop_below(SHOP_ACCOUNTS), shop_wide(20000000));
}

/* Over-use empties every account sooner or later: somebody pays, to little or to plenty. */
static void random_topup(void)
{
	int account = (int)shop_below(SHOP_ACCOUNTS);
	int64_t lacking = -world.accounts[account].account.balance;

	gy_world_topup(&world, account,
		       (lacking > 0 ? lacking : 0) +
			       shop_wide(shop_below(2) == 0 ? 1000000 : 100000000));
}

static void random_requests(void)
{
	static const int64_t balances[SHOP_ACCOUNTS] = { 100000000, 300000, 0, 7777777 };
	const char *wrong;

	shop_open(&world, balances);
	for (step = 0; step < steps; step++) {
		random_step();
		if (step % 50 == 49)
			random_topup();
		if (step % 2000 == 1999 && (wrong = gy_world_audit(&world)))
			broken("audit: %s", wrong);
	}
	wrong = gy_world_audit(&world);
	if (wrong)
		broken("audit: %s", wrong);
	count.histories = world.n_histories;
	gy_world_free(&world);
}

int main(int argc, char **argv)
{
	struct shop_options o = shop_options(argc, argv, 20000);

	seed = o.seed;
	steps = o.steps;
	printf("# seed %" PRIu64 "\n1..2\n", seed);
	sent = calloc(SENT_MAX, sizeof(*sent));
	if (!sent)
		return 1;
	for (int i = 0; i < SUBSCRIBERS; i++)
		profiles[i] = (struct gy_profile){
			.subscriber_id = i + 1,
			.account_id = account_of[i] + 1,
			.group_id = account_of[i] + 1,
			.profile_version = 1,
			.tariff_id = 1,
			.state = GY_ACTIVE,
		};
	random_requests();
	printf("ok 1 - invariants under %u random requests\n", steps);
	printf("# %u CCR-I, %u CCR-U, %u CCR-T, %u duplicates (%u by history), %u reused numbers,\n"
	       "# %u late, %u unknown, %u barred, %u ended by supervision, %u partial, %u refused, "
	       "%u over-uses, %u by direction\n",
	       count.initial, count.update, count.termination, count.duplicate, count.histories,
	       count.reused, count.late, count.unknown, count.barred, count.swept, count.partial,
	       count.refused, count.overrun, count.directed);
	printf("%sok 2 - every kind of event was reached\n",
	       count.termination && count.duplicate && count.histories && count.reused &&
			       count.late && count.unknown && count.barred && count.swept &&
			       count.partial && count.refused && count.overrun && count.directed
		       ? ""
		       : "not ");
	printf("# seed %" PRIu64 "\n", seed);
	free(sent);
	return count.histories && count.swept ? 0 : 1;
}
