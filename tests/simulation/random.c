/* Random life: sessions of a few accounts at two nodes, everything that may go wrong on the way.
 * See sim.h; the seed repeats a run. */
#include "tests/simulation/sim.h"

#define SESSIONS_MAX 40
#define OPEN_MAX     6

struct session {
	int subscriber;
	uint32_t next_number;
	const struct sim_sent *initial;
	bool over; /* nothing more is sent */
	bool second_gateway;
};

static struct session sessions[SESSIONS_MAX];
static unsigned n_sessions;
static uint32_t origin_state;

static unsigned waiting(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sim_n_sent; i++)
		n += !sim_sent[i].answered;
	return n;
}

static void go(struct sim_sent *s)
{
	sim_send(s, sim_below(NODES));
}

static int64_t some_units(void)
{
	return sim_chance(100) ? 40 * MIB + sim_below(1000)
			       : (int64_t)sim_below(8 * 1048576) >> sim_below(20);
}

static void services(struct sim_sent *s, bool used, bool more)
{
	static const uint32_t rating_groups[] = { 10, 11, 15 };

	for (unsigned i = 0; i < 3; i++) {
		if (sim_chance(400))
			continue;
		request_service(&s->request, rating_groups[i], sim_chance(200) ? 1 : 0);
		if (used && sim_chance(800))
			request_used(&s->request, GY_UNIT_OCTETS,
				     rating_groups[i] == 15 ? sim_below(1500) : some_units());
		if (more && sim_chance(900))
			request_more(&s->request, GY_UNIT_OCTETS,
				     sim_chance(500) ? -1 : 1 + some_units());
	}
}

/* The second gateway tells its Origin-State-Id; the first never does. */
static void of_gateway(struct sim_sent *s, const struct session *session)
{
	static const struct gy_bytes pgw2 = { (const uint8_t *)"pgw2.spec.test", 14 };

	if (!session->second_gateway)
		return;
	s->request.ccr.origin_host = pgw2;
	s->request.ccr.has_origin_state = true;
	s->request.ccr.origin_state = origin_state;
}

static void open_one(void)
{
	struct session *session = &sessions[n_sessions];
	struct sim_sent *s;

	if (n_sessions == SESSIONS_MAX)
		return;
	*session = (struct session){ .subscriber = 1 + (int)sim_below(SUBSCRIBERS),
				     .second_gateway = sim_chance(300),
				     .next_number = 1 };
	n_sessions++;
	s = sim_new(session->subscriber, GY_INITIAL, n_sessions, 0);
	session->initial = s;
	of_gateway(s, session);
	services(s, false, true);
	go(s);
}

static void use_one(bool terminate)
{
	unsigned i = sim_below(SESSIONS_MAX);
	struct session *session = &sessions[i];
	struct sim_sent *s;

	if (i >= n_sessions || session->over || !session->initial->answered ||
	    session->initial->rc != GY_OK)
		return;
	s = sim_new(session->subscriber, terminate ? GY_TERMINATION : GY_UPDATE, i + 1,
		    session->next_number++);
	of_gateway(s, session);
	services(s, true, !terminate);
	if (sim_chance(200))
		s->request.ccr.n_identities = 0;
	session->over = terminate;
	go(s);
}

static void debit(void)
{
	int64_t units = 1 + sim_below(3);
	struct sim_sent *s =
		sim_new(1 + (int)sim_below(SUBSCRIBERS), GY_EVENT, 1000 + sim_n_sent, 0);

	request_service(&s->request, 14, 0);
	request_more(&s->request, GY_UNIT_SERVICE, units);
	s->request.ccr.action = sim_chance(700) ? GY_DIRECT_DEBITING : GY_REFUND_ACCOUNT;
	s->debit = s->request.ccr.action == GY_DIRECT_DEBITING ? units * 1000000 : -units * 1000000;
	go(s);
}

static void copy_one(void)
{
	struct sim_sent *s = &sim_sent[sim_below(REQUESTS_MAX)];

	if (s < sim_sent + sim_n_sent)
		sim_copy(s, sim_below(NODES));
}

/* A gateway that restarts knows its sessions no more. */
static void restart_gateway(void)
{
	origin_state++;
	for (unsigned i = 0; i < n_sessions; i++)
		sessions[i].over |= sessions[i].second_gateway;
}

static void something(void)
{
	unsigned what = sim_below(1000);

	if (what < 200)
		open_one();
	else if (what < 700)
		use_one(false);
	else if (what < 800)
		use_one(true);
	else if (what < 860)
		debit();
	else if (what < 980)
		copy_one();
	else if (what < 985)
		sim_now_ns += 2 * VALIDITY_S * 1000 * MS + sim_below(100) * MS;
	else if (what < 995)
		restart_gateway();
	else
		sim_db.catalogue = 2;
}

void sim_random_run(unsigned requests)
{
	n_sessions = 0;
	origin_state = 1;
	while (sim_n_sent < requests) {
		if (waiting() < OPEN_MAX)
			something();
		sim_for(sim_chance(100) ? 100 : 1 + sim_below(4));
	}
	/* Faults end; what is still on its way is answered. */
	sim_plan.loss = sim_plan.copies = sim_plan.faults = 0;
	sim_until(sim_all_answered, 60000, "an answer");
}
