/* core/store/store.h over the simulated database, in place of libpq: see sim.h.
 *
 * Each function is a round trip with two I/O points, one before it takes effect and one before its
 * result is known. At both other threads may go on, and the node may crash or lose its connection.
 * What a node asks of the store between batches and finds nothing in is no round trip. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "tests/simulation/sim.h"

/* What a statement waits for a held row (lock_timeout). */
#define LOCK_TIMEOUT_NS (20 * MS)

struct gy_store {
	struct sim_node *node;
	struct sim_transaction *transaction; /* NULL: none is open */
	bool broken;                         /* the connection is gone */
	bool fails_after, fails_late;        /* the round trip under way */
	bool committing;                     /* it carries a COMMIT */
	int64_t catalogue;                   /* version that was read last */
};

unsigned sim_points, sim_failed;

/* --- I/O points ---- */

static void cut(struct gy_store *store, bool late, bool commits)
{
	if (store->transaction != NULL && late)
		sim_leave(store->transaction, commits);
	else if (store->transaction != NULL)
		sim_rollback(store->transaction);
	store->transaction = NULL;
	store->broken = true;
	sim_failed++;
}

/* Breaks the connection, and kills the node if it is to die. */
static void fail(struct gy_store *store, bool late, bool commits)
{
	enum sim_kind kind = sim_plan.seed != 0 ? sim_below(SIM_KINDS) : sim_plan.kind;

	cut(store, late, commits);
	if (kind == SIM_CRASH) {
		store->node->dead = true;
		sim_count.crashes++;
	} else {
		sim_count.losses++;
	}
	if (kind == SIM_AWAY) {
		sim_db.away_until_ns = sim_now_ns + 300 * MS + sim_below(1500) * MS;
		sim_count.outages++;
	}
	sim_say("node %u: %s", store->node->number,
		kind == SIM_CRASH  ? "crashes"
		: kind == SIM_LOSS ? "loses its connection"
				   : "the database is away");
}

static bool usable(struct gy_store *store)
{
	return !store->broken && !store->node->dead && sim_now_ns >= sim_db.away_until_ns;
}

/* The crash of a node ends the transactions of its other connections. */
static bool gone(struct gy_store *store)
{
	if (usable(store))
		return false;
	if (!store->broken)
		cut(store, sim_plan.seed != 0 && sim_chance(300), store->committing);
	return true;
}

/* A round trip begins. False: its request never arrives. */
static bool goes(struct gy_store *store, const char *what)
{
	enum sim_mode mode = sim_plan.mode;
	bool fails;

	if (gone(store))
		return false;
	sim_points++;
	sim_say("node %u: %s (point %u)", store->node->number, what, sim_points);
	sim_yield();
	if (gone(store))
		return false;
	fails = sim_points == sim_plan.fault_point;
	if (sim_plan.seed != 0) {
		fails = sim_chance(sim_plan.faults);
		mode = sim_below(SIM_MODES);
	}
	store->fails_after = fails && mode == SIM_AFTER;
	store->fails_late = fails && mode == SIM_LATE;
	if (fails && mode == SIM_BEFORE) {
		fail(store, false, false);
		return false;
	}
	return true;
}

/* It has taken effect. False: the result never arrives. */
static bool comes_back(struct gy_store *store)
{
	if (store->fails_after || store->fails_late) {
		fail(store, store->fails_late, false);
		return false;
	}
	sim_yield();
	return !gone(store);
}

/* --- the connection ---- */

/* The only thing that a node's conninfo says. */
static struct sim_node *node_of(const char *conninfo)
{
	return &sim_nodes[conninfo[0] - '0'];
}

enum gy_rc gy_store_open(const char *conninfo, unsigned timeout_ms, struct gy_store **store,
			 char *error, size_t error_size)
{
	struct sim_node *node = node_of(conninfo);

	(void)timeout_ms;
	*store = NULL;
	snprintf(error, error_size, "nobody is there");
	if (node->dead || sim_now_ns < sim_db.away_until_ns)
		return GY_STORE_UNAVAILABLE;
	*store = calloc(1, sizeof(**store));
	if (*store == NULL)
		abort();
	(*store)->node = node;
	return GY_OK;
}

void gy_store_close(struct gy_store *store)
{
	if (store == NULL)
		return;
	if (store->transaction != NULL)
		sim_rollback(store->transaction);
	free(store);
}

const char *gy_store_error(const struct gy_store *store)
{
	return store->broken ? "the connection is gone" : "something else";
}

int gy_store_socket(struct gy_store *store)
{
	(void)store;
	return -1;
}

bool gy_store_notified(struct gy_store *store)
{
	return usable(store) && store->catalogue != sim_db.catalogue;
}

void gy_store_rollback(struct gy_store *store)
{
	if (store->transaction != NULL)
		sim_rollback(store->transaction);
	store->transaction = NULL;
}

static void begin(struct gy_store *store)
{
	if (store->transaction != NULL)
		sim_broken("a transaction is begun in another one");
	store->transaction = sim_transaction_begin();
}

/* --- who ---- */

static struct gy_profile profile_now(const struct gy_profile *profile)
{
	struct gy_profile now = { .subscriber_id = 0 };

	if (profile == NULL)
		return now;
	now = *profile;
	now.profile_version =
		sim_db.world.accounts[profile->account_id - 1].account.profile_version;
	return now;
}

enum gy_rc gy_store_find_identities(struct gy_store *store, struct gy_lookup *lookups, unsigned n)
{
	if (!goes(store, "find identities"))
		return GY_STORE_UNAVAILABLE;
	for (unsigned i = 0; i < n; i++)
		lookups[i].found = profile_now(lookups[i].kind == GY_IDENTITY_IMSI
						       ? sim_subscriber(lookups[i].value)
						       : NULL);
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

enum gy_rc gy_store_find_sessions(struct gy_store *store, struct gy_lookup *lookups, unsigned n)
{
	if (!goes(store, "find sessions"))
		return GY_STORE_UNAVAILABLE;
	for (unsigned i = 0; i < n; i++) {
		int at = sim_index_find(lookups[i].session);

		lookups[i].found = profile_now(
			at < 0 ? NULL : sim_subscriber_of(sim_db.world.index[at].subscriber_id));
	}
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

enum gy_rc gy_store_attributes(struct gy_store *store, struct gy_profile *const *profiles,
			       unsigned n)
{
	(void)store, (void)profiles, (void)n;
	sim_broken("attributes are read, and no rule is dynamic");
}

enum gy_rc gy_store_bindings(struct gy_store *store, struct gy_profile *const *profiles, unsigned n)
{
	if (!goes(store, "bindings"))
		return GY_STORE_UNAVAILABLE;
	for (unsigned i = 0; i < n; i++) {
		struct gy_bound_cards *cards = talloc_zero(NULL, struct gy_bound_cards);
		struct gy_bound_card *card = talloc_zero(cards, struct gy_bound_card);

		if (card == NULL)
			abort();
		*card = (struct gy_bound_card){ .card_id = 77,
						.account_id = 4,
						.priority = 1,
						.window_from = -1,
						.window_until = -1 };
		*cards = (struct gy_bound_cards){ .n = 1, .cards = card };
		profiles[i]->cards = cards;
	}
	if (comes_back(store))
		return GY_OK;
	for (unsigned i = 0; i < n; i++) {
		talloc_free((void *)(uintptr_t)profiles[i]->cards);
		profiles[i]->cards = NULL;
	}
	return GY_STORE_UNAVAILABLE;
}

static void tell_gateway(unsigned at, struct gy_gateway_state *state)
{
	*state = (struct gy_gateway_state){ .gateway_id = at + 1,
					    .origin_state = sim_db.gateways[at].origin_state,
					    .restart = sim_db.gateways[at].restart };
}

enum gy_rc gy_store_gateway(struct gy_store *store, struct gy_bytes origin_host,
			    struct gy_bytes origin_realm, struct gy_gateway_state *state)
{
	unsigned at = 0;

	(void)origin_realm;
	if (!goes(store, "gateway"))
		return GY_STORE_UNAVAILABLE;
	while (strncmp(sim_db.gateways[at].host, (const char *)origin_host.data, origin_host.len) !=
	       0)
		at++;
	tell_gateway(at, state);
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

enum gy_rc gy_store_gateway_restarted(struct gy_store *store, int64_t gateway_id,
				      uint32_t origin_state, struct gy_session_key told_by,
				      bool ends, struct gy_gateway_state *state, bool *news)
{
	struct sim_gateway *g = &sim_db.gateways[gateway_id - 1];

	if (!goes(store, "gateway restarted"))
		return GY_STORE_UNAVAILABLE;
	*news = ends && g->origin_state > 0 && g->origin_state < origin_state;
	if (*news) {
		g->restart = (struct gy_restart){ sim_database_now(), told_by };
		g->restart_open = true;
		sim_count.restarts++;
	}
	if (g->origin_state < origin_state)
		g->origin_state = origin_state;
	tell_gateway((unsigned)gateway_id - 1, state);
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

/* --- one batch ---- */

/* Locks and reads rows into *locked. False: one is held, and that was not to be waited for. */
static bool take_rows(struct gy_store *store, void *pool, const int64_t *account_ids, unsigned n,
		      bool wait, struct gy_locked **locked, unsigned *n_locked)
{
	int64_t until_ns = sim_now_ns + LOCK_TIMEOUT_NS;

	*n_locked = 0;
	*locked = talloc_zero_array(pool, struct gy_locked, n + 1);
	for (unsigned i = 0; i < n; i++) {
		struct gy_account *a;

		while (!sim_lock_account(store->transaction, account_ids[i])) {
			if (!wait)
				break;
			sim_wait(sim_now_ns + MS, NULL);
			if (gone(store) || sim_now_ns > until_ns)
				return false;
		}
		if (sim_db.owner[account_ids[i] - 1] != store->transaction &&
		    sim_spoil != SIM_NO_LOCK)
			continue;
		a = &(*locked)[(*n_locked)++].account;
		sim_account_copy(pool, &sim_db.world.accounts[account_ids[i] - 1].account, a);
		if (sim_spoil == SIM_FORGETS)
			a->n_answers = 0;
	}
	return true;
}

enum gy_rc gy_store_lock(struct gy_store *store, void *pool, const int64_t *account_ids,
			 unsigned n_accounts, bool wait, const struct gy_session_key *initial_keys,
			 unsigned n_initial, int64_t *known, struct gy_locked **locked,
			 unsigned *n_locked, gy_time_us *now)
{
	if (!goes(store, wait ? "lock, waiting" : "lock"))
		return GY_STORE_UNAVAILABLE;
	begin(store);
	if (!take_rows(store, pool, account_ids, n_accounts, wait, locked, n_locked)) {
		gy_store_rollback(store);
		return usable(store) ? GY_ROW_BUSY : GY_STORE_UNAVAILABLE;
	}
	*now = sim_database_now();
	sim_yield(); /* each statement has a snapshot of its own */
	if (gone(store))
		return GY_STORE_UNAVAILABLE;
	for (unsigned i = 0; i < n_initial; i++) {
		int at = sim_index_find(initial_keys[i]);

		known[i] = at < 0 ? 0 : sim_db.world.index[at].account + 1;
	}
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

static void *grown(void *pool, void *array, unsigned *room, unsigned need, size_t size)
{
	*room = need;
	return talloc_realloc_size(pool, array, (need + 1) * size);
}

#define GROW(what) \
	a->what = grown(pool, a->what, &a->what##_room, a->n_##what + room.what, sizeof(*a->what))

/* Exactly the promised room, so that a core that takes more is caught. */
enum gy_rc gy_account_reserve(void *pool, struct gy_account *a, struct gy_room room)
{
	GROW(sessions);
	GROW(reservations);
	GROW(answers);
	GROW(slices);
	GROW(counters);
	GROW(draws);
	return GY_OK;
}

enum gy_rc gy_store_history(struct gy_store *store, void *pool, const struct gy_ccr *ccr,
			    struct gy_history *history)
{
	*history = (struct gy_history){ .known = false };
	if (!goes(store, "history"))
		return GY_STORE_UNAVAILABLE;
	gy_world_history(&sim_db.world, ccr, history);
	if (sim_spoil == SIM_FORGETS)
		history->found = false;
	if (history->n_rows > 0)
		history->rows = talloc_memdup(pool, history->rows,
					      history->n_rows * sizeof(*history->rows));
	if (history->known)
		history->realm = gy_realm_key(ccr->origin_realm);
	sim_count.histories++;
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

/* The message that a request of the engine's came with. */
static struct sim_arrived *arrived_as(const struct gy_ccr *ccr)
{
	const char *request = (const char *)ccr - offsetof(struct gy_request, ccr);

	return ((const struct gy_request *)(const void *)request)->host;
}

/* COMMIT is sent with what it commits: from here on the outcome may be unknown. */
static enum gy_rc commit(struct gy_store *store, const struct gy_opened *opened, unsigned n_opened)
{
	enum gy_rc unknown =
		sim_spoil == SIM_DOUBTS_NOTHING ? GY_STORE_UNAVAILABLE : GY_OUTCOME_UNKNOWN;
	enum gy_rc rc;

	if (store->fails_late) {
		for (unsigned i = 0; i < n_opened; i++)
			arrived_as(opened[i].ccr)->committed = true;
		fail(store, true, true);
		return unknown;
	}
	rc = sim_commit(store->transaction);
	store->transaction = NULL;
	for (unsigned i = 0; rc == GY_OK && i < n_opened; i++)
		arrived_as(opened[i].ccr)->committed = true;
	return comes_back(store) ? rc : unknown;
}

enum gy_rc gy_store_apply(struct gy_store *store, const struct gy_locked *locked, unsigned n_locked,
			  const struct gy_record *const *records, unsigned n_records,
			  const struct gy_opened *opened, unsigned n_opened,
			  const struct gy_sooner *sooner, unsigned n_sooner)
{
	bool arrives;

	if (store->transaction != NULL)
		sim_transaction_write(store->transaction, locked, n_locked, records, n_records,
				      opened, n_opened, sooner, n_sooner);
	store->committing = true;
	arrives = goes(store, "apply and commit");
	store->committing = false;
	if (!arrives)
		return sim_spoil == SIM_LIES ? GY_OK : GY_OUTCOME_UNKNOWN;
	return commit(store, opened, n_opened);
}

enum gy_rc gy_store_keep_unmatched(struct gy_store *store, const struct gy_ccr *const *ccrs,
				   unsigned n)
{
	if (!goes(store, "keep unmatched usage"))
		return GY_STORE_UNAVAILABLE;
	for (unsigned i = 0; i < n; i++) {
		struct sim_unmatched *u = &sim_db.unmatched[sim_db.n_unmatched];
		unsigned k = 0;

		while (k < sim_db.n_unmatched &&
		       !(sim_same_key(sim_db.unmatched[k].session, ccrs[i]->session) &&
			 sim_db.unmatched[k].type == (int)ccrs[i]->type &&
			 sim_db.unmatched[k].number == ccrs[i]->number))
			k++;
		if (k < sim_db.n_unmatched)
			continue;
		if (sim_db.n_unmatched == sizeof(sim_db.unmatched) / sizeof(*u))
			abort();
		*u = (struct sim_unmatched){ ccrs[i]->session, (int)ccrs[i]->type,
					     ccrs[i]->number };
		sim_db.n_unmatched++;
	}
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

/* --- supervision ---- */

static bool is_due(unsigned i)
{
	const struct sim_index *x = &sim_db.index[i];

	return sim_db.world.index[i].check_at_us <= sim_database_now() && x->owner == NULL;
}

static const struct sim_gateway *lost_by(unsigned i)
{
	const struct gy_world_index *w = &sim_db.world.index[i];
	const struct sim_gateway *g = &sim_db.gateways[w->gateway_id - 1];
	const struct sim_index *x = &sim_db.index[i];

	return g->restart_open && w->opened_us < g->restart.at_us && !x->ended && !x->taken_over &&
			       !x->release_requested && !sim_same_key(w->key, g->restart.told_by) &&
			       x->owner == NULL
		       ? g
		       : NULL;
}

static bool wanted(unsigned i, bool lost)
{
	return lost ? lost_by(i) != NULL : is_due(i);
}

static enum gy_rc find_due(struct gy_store *store, void *pool, unsigned max, bool lost,
			   struct gy_due **due, unsigned *n)
{
	unsigned all = 0;

	*n = 0;
	*due = NULL;
	if (gone(store))
		return GY_STORE_UNAVAILABLE;
	for (unsigned i = 0; i < sim_db.world.n_index; i++)
		all += wanted(i, lost);
	if (all == 0) { /* nothing to see: no round trip */
		begin(store);
		return GY_OK;
	}
	if (!goes(store, lost ? "lost sessions" : "due sessions"))
		return GY_STORE_UNAVAILABLE;
	begin(store);
	*due = talloc_zero_array(pool, struct gy_due, sim_db.world.n_index + 1);
	for (unsigned i = 0; i < sim_db.world.n_index && *n < max; i++) {
		const struct gy_world_index *w = &sim_db.world.index[i];
		struct gy_due *d = &(*due)[*n];

		if (!wanted(i, lost))
			continue;
		*d = (struct gy_due){ .session = w->key, .account_id = w->account + 1 };
		if (lost) {
			d->lost_by = w->gateway_id;
			d->restarted_us = lost_by(i)->restart.at_us;
		} else {
			d->release_requested = sim_db.index[i].release_requested;
			d->ended = sim_db.index[i].ended;
		}
		sim_db.index[i].owner = store->transaction;
		(*n)++;
	}
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

enum gy_rc gy_store_due(struct gy_store *store, void *pool, unsigned max, struct gy_due **due,
			unsigned *n)
{
	return find_due(store, pool, max, false, due, n);
}

enum gy_rc gy_store_lost(struct gy_store *store, void *pool, unsigned max, struct gy_due **due,
			 unsigned *n)
{
	return find_due(store, pool, max, true, due, n);
}

enum gy_rc gy_store_lost_done(struct gy_store *store)
{
	if (gone(store))
		return GY_STORE_UNAVAILABLE;
	for (unsigned g = 0; g < GATEWAYS; g++) {
		struct sim_gateway *gateway = &sim_db.gateways[g];
		bool left = gateway->restart.at_us > sim_database_now() - 60 * GY_SECOND_US;

		for (unsigned i = 0; i < sim_db.world.n_index; i++)
			left |= lost_by(i) == gateway;
		gateway->restart_open &= left;
	}
	return GY_OK;
}

enum gy_rc gy_store_lock_due(struct gy_store *store, void *pool, const int64_t *account_ids,
			     unsigned n_accounts, bool mark, struct gy_locked **locked,
			     unsigned *n_locked, gy_time_us *now)
{
	(void)mark;
	if (!goes(store, "lock for supervision or cards"))
		return GY_STORE_UNAVAILABLE;
	if (!take_rows(store, pool, account_ids, n_accounts, false, locked, n_locked))
		return GY_STORE_UNAVAILABLE;
	*now = sim_database_now();
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

enum gy_rc gy_store_due_done(struct gy_store *store, const struct gy_due *due, unsigned n)
{
	if (!goes(store, "due sessions done"))
		return GY_STORE_UNAVAILABLE;
	store->transaction->due = talloc_memdup(store->transaction, due, n * sizeof(*due));
	store->transaction->n_due = n;
	return comes_back(store) ? GY_OK : GY_STORE_UNAVAILABLE;
}

/* --- catalogue ---- */

enum gy_rc gy_store_listen(struct gy_store *store)
{
	return gone(store) ? GY_STORE_UNAVAILABLE : GY_OK;
}

enum gy_rc gy_store_catalogue_version(struct gy_store *store, int64_t *version, int64_t *pushed)
{
	*version = store->catalogue = sim_db.catalogue;
	*pushed = 0;
	return gone(store) ? GY_STORE_UNAVAILABLE : GY_OK;
}

enum gy_rc gy_store_catalogue(struct gy_store *store, int64_t held, struct gy_catalogue **catalogue,
			      struct gy_pushed **pushed)
{
	*catalogue = NULL;
	*pushed = NULL;
	if (!goes(store, "catalogue"))
		return GY_STORE_UNAVAILABLE;
	if (sim_db.catalogue != held)
		*catalogue = talloc_memdup(NULL, &sim_catalogues[sim_db.catalogue - 1],
					   sizeof(**catalogue));
	store->catalogue = sim_db.catalogue;
	if (comes_back(store))
		return GY_OK;
	TALLOC_FREE(*catalogue);
	return GY_STORE_UNAVAILABLE;
}

/* --- what no flow here uses: card operations are decided in SQL, the outbox has tests of its own
 */

enum gy_rc gy_store_card(struct gy_store *store, void *pool, const struct gy_ccr *ccr,
			 int64_t requester, struct gy_answer *answer)
{
	(void)store, (void)pool, (void)ccr, (void)requester, (void)answer;
	sim_broken("a card operation");
}

static enum gy_rc nothing(struct gy_store *store)
{
	return gone(store) ? GY_STORE_UNAVAILABLE : GY_OK;
}

enum gy_rc gy_store_purchase_sweep(struct gy_store *store, unsigned max, unsigned *done)
{
	(void)max;
	*done = 0;
	return nothing(store);
}

enum gy_rc gy_store_outbox_spread(struct gy_store *store, int64_t at_most, int64_t *spread,
				  int64_t *due_in_ms)
{
	(void)at_most;
	*spread = 0;
	*due_in_ms = -1;
	return nothing(store);
}

enum gy_rc gy_store_outbox_gateways(struct gy_store *store, void *pool,
				    struct gy_outbox_gateway **gateways, unsigned *n)
{
	(void)pool;
	*gateways = NULL;
	*n = 0;
	return nothing(store);
}

enum gy_rc gy_store_outbox_claim(struct gy_store *store, void *pool,
				 const struct gy_outbox_gateway *gateways, unsigned n_gateways,
				 struct gy_bytes node, int64_t claim_ms, unsigned tries,
				 struct gy_outbox_row **rows, unsigned *n, unsigned *taken)
{
	(void)pool, (void)gateways, (void)n_gateways, (void)node, (void)claim_ms, (void)tries;
	*rows = NULL;
	*n = *taken = 0;
	return nothing(store);
}

enum gy_rc gy_store_outbox_told(struct gy_store *store, const struct gy_outbox_told *told,
				unsigned n, struct gy_bytes node, unsigned tries, int64_t *released)
{
	(void)told, (void)n, (void)node, (void)tries;
	*released = 0;
	return nothing(store);
}

enum gy_rc gy_store_outbox_tidy(struct gy_store *store)
{
	return nothing(store);
}

enum gy_rc gy_store_partitions(struct gy_store *store, bool *astray)
{
	*astray = false;
	return nothing(store);
}
