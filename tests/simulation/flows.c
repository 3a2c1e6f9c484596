/* The flows in which each I/O point is made to fail, and those that race: what gateways do, step by
 * step. What must come of it is check.c's. */
#include "tests/simulation/sim.h"

#define LIMIT_MS 120000

static void all_answered(void)
{
	sim_until(sim_all_answered, LIMIT_MS, "an answer");
}

/* used < 0: no report; more: asks for units. */
static void service(struct sim_sent *s, uint32_t rating_group, int64_t used, bool more)
{
	enum gy_unit unit = rating_group == 13   ? GY_UNIT_SECONDS
			    : rating_group == 14 ? GY_UNIT_SERVICE
						 : GY_UNIT_OCTETS;

	request_service(&s->request, rating_group, 0);
	if (used >= 0)
		request_used(&s->request, unit, used);
	if (more)
		request_more(&s->request, unit, -1);
}

/* A request with one service. */
static struct sim_sent *ccr(int subscriber, enum gy_request_type type, uint64_t session,
			    uint32_t number, int64_t used)
{
	struct sim_sent *s = sim_new(subscriber, type, session, number);

	service(s, 10, used, type != GY_TERMINATION);
	return s;
}

static void initial(uint64_t session)
{
	sim_send(ccr(1, GY_INITIAL, session, 0, -1), 0);
	all_answered();
}

static void a_session(void)
{
	initial(1);
	sim_send(ccr(1, GY_UPDATE, 1, 1, 8 * MIB), 0);
	all_answered();
	sim_send(ccr(1, GY_TERMINATION, 1, 2, 4 * MIB + 1), 0);
	all_answered();
}

static void several_services(void)
{
	struct sim_sent *s = sim_new(1, GY_INITIAL, 1, 0);

	service(s, 10, -1, true);
	service(s, 11, -1, true);
	service(s, 13, -1, true);
	sim_send(s, 0);
	all_answered();
	s = sim_new(1, GY_UPDATE, 1, 1);
	service(s, 11, 999998, true);
	service(s, 10, 3 * MIB + 7, true);
	service(s, 15, -1, true);
	sim_send(s, 0);
	all_answered();
	s = sim_new(1, GY_TERMINATION, 1, 2);
	service(s, 13, 61, false);
	service(s, 10, 1, false);
	service(s, 11, 77777, false);
	service(s, 15, 500, false);
	sim_send(s, 0);
	all_answered();
}

/* The last money, more than it, and nothing left. */
static void over_use(void)
{
	sim_send(ccr(2, GY_INITIAL, 1, 0, -1), 0);
	all_answered();
	sim_send(ccr(2, GY_UPDATE, 1, 1, 25 * MIB), 0);
	all_answered();
	sim_send(ccr(2, GY_UPDATE, 1, 2, 45 * MIB), 0);
	all_answered();
	sim_send(ccr(2, GY_TERMINATION, 1, 3, MIB), 0);
	all_answered();
}

static struct sim_sent *event(uint64_t session, uint32_t number, enum gy_requested_action action,
			      int64_t units)
{
	struct sim_sent *s = sim_new(1, GY_EVENT, session, number);

	request_service(&s->request, 14, 0);
	request_more(&s->request, GY_UNIT_SERVICE, units);
	s->request.ccr.action = action;
	s->debit = action == GY_DIRECT_DEBITING ? units * 1000000 : -units * 1000000;
	return s;
}

static void debit_and_refund(void)
{
	struct sim_sent *s;

	sim_send(event(1, 0, GY_PRICE_ENQUIRY, 3), 0);
	all_answered();
	sim_send(event(2, 0, GY_CHECK_BALANCE, 3), 0);
	all_answered();
	sim_send(event(3, 0, GY_DIRECT_DEBITING, 3), 0);
	all_answered();
	sim_send(event(4, 0, GY_REFUND_ACCOUNT, 2), 0);
	all_answered();
	s = event(3, gy_refund_number(0, 0), GY_REFUND_ACCOUNT, 3);
	s->request.ccr.refund = (struct gy_refund){ .bound = true, .number = 0, .place = 0 };
	sim_send(s, 0);
	all_answered();
}

static void card_use(void)
{
	sim_send(ccr(5, GY_INITIAL, 1, 0, -1), 0);
	all_answered();
	sim_send(ccr(5, GY_UPDATE, 1, 1, 8 * MIB), 0);
	all_answered();
	sim_send(ccr(5, GY_UPDATE, 1, 2, 10 * MIB), 0);
	all_answered();
	sim_send(ccr(5, GY_TERMINATION, 1, 3, 12 * MIB), 0);
	all_answered();
}

/* Requests that name nobody, and usage of a session that never was. */
static void by_session(void)
{
	struct sim_sent *s;

	initial(1);
	s = ccr(1, GY_UPDATE, 1, 1, 2 * MIB);
	s->request.ccr.n_identities = 0;
	sim_send(s, 1);
	all_answered();
	sim_send(ccr(1, GY_UPDATE, 99, 1, MIB), 1);
	all_answered();
	s = ccr(1, GY_TERMINATION, 1, 2, 2 * MIB);
	s->request.ccr.n_identities = 0;
	sim_send(s, 0);
	all_answered();
}

/* Each request at both nodes at once. */
static void copies_at_both(void)
{
	struct sim_sent *s = ccr(1, GY_INITIAL, 1, 0, -1);

	sim_send(s, 0);
	sim_copy(s, 1);
	all_answered();
	s = ccr(1, GY_UPDATE, 1, 1, 8 * MIB);
	sim_send(s, 0);
	sim_copy(s, 1);
	sim_copy(s, 0);
	all_answered();
	s = ccr(1, GY_TERMINATION, 1, 2, 4 * MIB);
	sim_send(s, 1);
	sim_copy(s, 0);
	all_answered();
}

static void debit_copies_at_both(void)
{
	struct sim_sent *s = event(3, 0, GY_DIRECT_DEBITING, 3);

	sim_send(s, 0);
	sim_copy(s, 1);
	all_answered();
	s = event(3, gy_refund_number(0, 0), GY_REFUND_ACCOUNT, 3);
	s->request.ccr.refund = (struct gy_refund){ .bound = true, .number = 0, .place = 0 };
	sim_send(s, 1);
	sim_copy(s, 0);
	all_answered();
}

/* Different numbers at the same time; the CCR-T is one of them. */
static void numbers_cross(void)
{
	initial(1);
	sim_send(ccr(1, GY_UPDATE, 1, 2, 3 * MIB), 1);
	sim_send(ccr(1, GY_UPDATE, 1, 1, 5 * MIB + 1), 0);
	all_answered();
	sim_send(ccr(1, GY_UPDATE, 1, 3, MIB), 0);
	sim_send(ccr(1, GY_TERMINATION, 1, 4, 2 * MIB), 1);
	all_answered();
}

/* Two sessions of one account, of two subscribers, with money for one grant. */
static void last_money(void)
{
	struct sim_sent *a = sim_new(2, GY_INITIAL, 1, 0), *b = sim_new(6, GY_INITIAL, 2, 0);

	request_service(&a->request, 10, 0);
	request_more(&a->request, GY_UNIT_OCTETS, 20 * MIB);
	request_service(&b->request, 10, 0);
	request_more(&b->request, GY_UNIT_OCTETS, 20 * MIB);
	sim_send(a, 0);
	sim_send(b, 1);
	all_answered();
	sim_send(ccr(2, GY_TERMINATION, 1, 1, 5 * MIB), 1);
	sim_send(ccr(6, GY_TERMINATION, 2, 1, 5 * MIB), 0);
	all_answered();
}

/* A user of a card and its owner, at two nodes. */
static void card_and_owner(void)
{
	sim_send(ccr(5, GY_INITIAL, 1, 0, -1), 0);
	sim_send(ccr(4, GY_INITIAL, 2, 0, -1), 1);
	all_answered();
	sim_send(ccr(5, GY_UPDATE, 1, 1, 9 * MIB), 0);
	sim_send(ccr(4, GY_UPDATE, 2, 1, 9 * MIB), 1);
	all_answered();
	sim_send(ccr(5, GY_TERMINATION, 1, 2, 9 * MIB), 1);
	sim_send(ccr(4, GY_TERMINATION, 2, 2, 0), 0);
	all_answered();
}

/* Supervision ends a session while its late CCR-T comes, at both nodes. */
static void sweeper_and_late_end(void)
{
	struct sim_sent *s;

	initial(1);
	sim_send(ccr(1, GY_UPDATE, 1, 1, 2 * MIB), 1);
	all_answered();
	sim_now_ns += 2 * VALIDITY_S * 1000 * MS - 40 * MS;
	s = ccr(1, GY_TERMINATION, 1, 2, 3 * MIB + 5);
	sim_send(s, 0);
	sim_copy(s, 1);
	all_answered();
	sim_for(300);
}

/* The first grant comes later than the session; and then nothing more does. */
static void a_late_grant(void)
{
	sim_send(sim_new(1, GY_INITIAL, 1, 0), 0);
	all_answered();
	sim_send(ccr(1, GY_UPDATE, 1, 1, -1), 1);
	all_answered();
}

static void sweeper_alone(void)
{
	initial(1);
	sim_now_ns += 2 * VALIDITY_S * 1000 * MS;
	sim_for(700);
	sim_send(ccr(1, GY_TERMINATION, 1, 1, 3 * MIB), 1);
	all_answered();
}

/* A gateway restarts: its session ends, what it had used comes late (G-92). */
static void gateway_restarts(void)
{
	struct sim_sent *s = ccr(1, GY_INITIAL, 1, 0, -1);

	s->request.ccr.has_origin_state = true;
	s->request.ccr.origin_state = 1;
	sim_send(s, 0);
	all_answered();
	s = ccr(1, GY_INITIAL, 2, 0, -1);
	s->request.ccr.has_origin_state = true;
	s->request.ccr.origin_state = 2;
	sim_send(s, 0);
	s = ccr(1, GY_TERMINATION, 1, 1, MIB);
	sim_send(s, 1);
	all_answered();
	sim_send(ccr(1, GY_TERMINATION, 2, 1, MIB), 1);
	all_answered();
	sim_for(300);
}

/* Another price while a session is open. */
static void catalogue_changes(void)
{
	initial(1);
	sim_db.catalogue = 2;
	sim_send(ccr(1, GY_UPDATE, 1, 1, 4 * MIB + 3), 0);
	all_answered();
	sim_for(100);
	sim_send(ccr(1, GY_UPDATE, 1, 2, 4 * MIB + 3), 1);
	all_answered();
	sim_send(ccr(1, GY_TERMINATION, 1, 3, 4 * MIB + 3), 0);
	all_answered();
}

/* Two subscribers, one Session-Id: one of them has it. */
static void one_session_id(void)
{
	struct sim_sent *a = ccr(1, GY_INITIAL, 1, 0, -1), *b = ccr(2, GY_INITIAL, 1, 0, -1);

	sim_send(a, 0);
	sim_send(b, 1);
	all_answered();
	if ((a->rc == GY_OK) == (b->rc == GY_OK))
		sim_broken("two subscribers asked for one Session-Id: %s and %s", gy_rc_name(a->rc),
			   gy_rc_name(b->rc));
}

/* A row that has forgotten its answers: only the record tells copies. */
static void old_copies(void)
{
	struct sim_sent *first;

	initial(1);
	first = ccr(1, GY_UPDATE, 1, 1, MIB + 1);
	sim_send(first, 0);
	all_answered();
	for (uint32_t n = 2; n <= 6; n++) {
		sim_send(ccr(1, GY_UPDATE, 1, n, MIB + 1), n % NODES);
		all_answered();
	}
	sim_copy(first, 1);
	sim_copy(first, 0);
	sim_send(ccr(1, GY_TERMINATION, 1, 7, MIB), 1);
	all_answered();
	sim_copy(first, 1);
	sim_for(50);
}

const struct sim_flow sim_flows[] = {
	{ "session", a_session, 0 },
	{ "services", several_services, 0 },
	{ "over-use", over_use, 0 },
	{ "events", debit_and_refund, 0 },
	{ "card", card_use, 0 },
	{ "by-session", by_session, 0 },
	{ "copies", copies_at_both, 2 },
	{ "debit-copies", debit_copies_at_both, 2 },
	{ "crossing", numbers_cross, 2 },
	{ "last-money", last_money, 2 },
	{ "card-and-owner", card_and_owner, 2 },
	{ "sweeper", sweeper_alone, 1 },
	{ "late-grant", a_late_grant, 1 },
	{ "sweeper-and-end", sweeper_and_late_end, 2 },
	{ "gateway-restart", gateway_restarts, 2 },
	{ "catalogue", catalogue_changes, 1 },
	{ "one-id", one_session_id, 3 },
	{ "old-copies", old_copies, 1 },
};
const unsigned sim_n_flows = sizeof(sim_flows) / sizeof(sim_flows[0]);
