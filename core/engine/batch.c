/* One batch: who is meant, lock, decide, apply, answer. The path of every request (DESIGN 2, steps
 * 3 to 7), one function a step.
 *
 * A request of the batch ends in one of four ways: answered, refused, put into lane->retry, or
 * parked for the sweeper. Nothing leaves for work of this batch before gy_commit_barrier. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/engine/internal.h"

/* Identities of one request, User-Name in its four readings. */
#define LOOKUPS_MAX (GY_IDENTITIES_MAX + 3)

/* Octets that a record keeps of what dynamic rules looked at. */
#define INPUTS_MAX 4096

enum fate {
	UNDECIDED,
	ANSWERED,  /* without the database: a refusal, an unknown subscriber or session */
	DECIDED,   /* in this transaction */
	TRY_AGAIN, /* row held by somebody, or profile moved */
	PARKED,
};

/* One request's way through the batch. */
struct work {
	struct gy_request *request;
	enum fate fate;
	struct gy_profile profile; /* subscriber_id 0: not found */
	bool cacheable;
	bool fresh;      /* read in this batch, not from the cache */
	bool by_session; /* found through the session, not through identities */
	struct gy_locked *locked;
	bool session_known; /* CCR-I, CCR-E: the index has its Session-Id */
	struct gy_history history;
	struct gy_plan plan;
	unsigned first_lookup, n_lookups;
};

struct batch {
	struct gy_lane *lane;
	void *pool;
	bool wait;
	const struct gy_catalogue *catalogue;
	const struct gy_pushed *pushed;
	unsigned n;
	struct work *work;
	unsigned n_locked;
	struct gy_locked *locked;
	gy_time_us now;
};

static void refuse(struct work *w, enum gy_rc rc, const char *message)
{
	gy_answer_refuse(&w->request->answer, rc, message);
	w->fate = ANSWERED;
}

/* --- 1. who: identities to profiles
 * ---------------------------------------------------------------- */

/* User-Name holds whatever the network uses as a name (G-16). */
static unsigned readings(enum gy_identity_kind kind, enum gy_identity_kind *out)
{
	static const enum gy_identity_kind user_name[] = { GY_IDENTITY_USER_NAME, GY_IDENTITY_NAI,
							   GY_IDENTITY_IMSI, GY_IDENTITY_E164 };

	if (kind != GY_IDENTITY_USER_NAME) {
		out[0] = kind;
		return 1;
	}
	memcpy(out, user_name, sizeof(user_name));
	return 4;
}

static void add_lookups(struct work *w, struct gy_lookup *lookups, unsigned *n)
{
	const struct gy_ccr *ccr = &w->request->ccr;
	enum gy_identity_kind kinds[4];

	w->first_lookup = *n;
	for (unsigned i = 0; i < ccr->n_identities; i++) {
		unsigned k = readings(ccr->identities[i].kind, kinds);

		for (unsigned j = 0; j < k; j++)
			lookups[(*n)++] = (struct gy_lookup){ .kind = kinds[j],
							      .value = ccr->identities[i].value };
	}
	w->n_lookups = *n - w->first_lookup;
}

/* Which identity of the request a look-up belongs to. */
static const struct gy_identity *identity_of(const struct gy_ccr *ccr, unsigned lookup)
{
	enum gy_identity_kind kinds[4];

	for (unsigned i = 0; i < ccr->n_identities; i++) {
		unsigned k = readings(ccr->identities[i].kind, kinds);

		if (lookup < k)
			return &ccr->identities[i];
		lookup -= k;
	}
	return &ccr->identities[0];
}

/* The first that was found wins; two accounts in one request contradict each other. */
static void take_lookups(struct work *w, const struct gy_lookup *lookups)
{
	const struct gy_lookup *l = &lookups[w->first_lookup];
	const struct gy_ccr *ccr = &w->request->ccr;
	unsigned first = 0;

	w->profile = (struct gy_profile){ .subscriber_id = 0 };
	w->fresh = true;
	for (unsigned i = 0; i < w->n_lookups; i++) {
		if (l[i].found.subscriber_id == 0)
			continue;
		if (w->profile.subscriber_id == 0) {
			w->profile = l[i].found;
			first = i;
		} else if (l[i].found.account_id != w->profile.account_id) {
			refuse(w, GY_CONTRADICTING_AVPS, "identities of two subscribers");
			w->request->answer.n_failed = 2;
			w->request->answer.failed[0].avp = identity_of(ccr, first)->avp;
			w->request->answer.failed[1].avp = identity_of(ccr, i)->avp;
			return;
		}
	}
	/* A less specific name may be unknown without harm; the first decides whose request it is.
	 */
	w->cacheable = w->profile.subscriber_id != 0 && first == 0;
}

static enum gy_rc find_by_identity(struct batch *b)
{
	struct gy_lookup *lookups;
	unsigned n = 0;
	enum gy_rc rc;

	for (unsigned i = 0; i < b->n; i++)
		n += b->work[i].request->ccr.n_identities > 0 ? LOOKUPS_MAX : 0;
	lookups = talloc_array(b->pool, struct gy_lookup, n);
	if (lookups == NULL)
		return GY_NO_MEMORY;
	n = 0;
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		w->n_lookups = 0;
		if (w->fate == UNDECIDED && !w->by_session && w->profile.subscriber_id == 0)
			add_lookups(w, lookups, &n);
	}
	if (n == 0)
		return GY_OK;
	rc = gy_store_find_identities(b->lane->store, lookups, n);
	for (unsigned i = 0; rc == GY_OK && i < b->n; i++)
		if (b->work[i].n_lookups > 0)
			take_lookups(&b->work[i], lookups);
	return rc;
}

/* Requests that name nobody, or nobody known, are of their session (G-17). */
static enum gy_rc find_by_session(struct batch *b)
{
	struct gy_lookup *lookups = talloc_zero_array(b->pool, struct gy_lookup, b->n);
	unsigned n = 0;
	enum gy_rc rc;

	if (lookups == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		w->n_lookups = 0;
		if (w->fate != UNDECIDED || w->profile.subscriber_id != 0 ||
		    w->request->ccr.type == GY_INITIAL || w->request->ccr.type == GY_EVENT)
			continue;
		w->first_lookup = n;
		w->n_lookups = 1;
		w->by_session = true;
		lookups[n++].session = w->request->ccr.session;
	}
	if (n == 0)
		return GY_OK;
	rc = gy_store_find_sessions(b->lane->store, lookups, n);
	for (unsigned i = 0; rc == GY_OK && i < b->n; i++)
		if (b->work[i].n_lookups > 0) {
			b->work[i].profile = lookups[b->work[i].first_lookup].found;
			b->work[i].fresh = true;
		}
	return rc;
}

static void refuse_unknown(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != UNDECIDED || w->profile.subscriber_id != 0)
			continue;
		if (w->request->ccr.type == GY_INITIAL || w->request->ccr.type == GY_EVENT) {
			refuse(w, GY_USER_UNKNOWN, "no such subscriber");
		} else {
			refuse(w, GY_UNKNOWN_SESSION_ID, "no such session");
			w->plan.unmatched = true;
		}
	}
}

/* Freshly found profiles get the half that dynamic tariffs need, if there are any (S-11). Until the
 * cache takes them, attributes are the pool's. */
static enum gy_rc find_attributes(struct batch *b)
{
	struct gy_profile **fresh = talloc_array(b->pool, struct gy_profile *, b->n);
	unsigned n = 0;
	enum gy_rc rc;

	if (fresh == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < b->n; i++)
		if (b->work[i].fate == UNDECIDED && b->work[i].fresh)
			fresh[n++] = &b->work[i].profile;
	if (n == 0 || b->catalogue->dynamic == NULL)
		return GY_OK;
	rc = gy_store_attributes(b->lane->store, fresh, n);
	for (unsigned i = 0; rc == GY_OK && i < n; i++)
		talloc_steal(b->pool, fresh[i]->attributes);
	return rc;
}

static void remember(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];
		bool fresh = w->fresh;

		w->fresh = false;
		if (w->fate != UNDECIDED || !fresh ||
		    !(w->cacheable || (w->by_session && w->request->ccr.n_identities == 0)))
			continue;
		talloc_steal(NULL, w->profile.attributes);
		gy_cache_put(&b->lane->cache, w->request->who, &w->profile);
	}
}

static enum gy_rc find_profiles(struct batch *b)
{
	bool all = true;
	enum gy_rc rc;

	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];
		const struct gy_profile *known = gy_cache_find(&b->lane->cache, w->request->who);

		/* One from the time before there were dynamic tariffs lacks its half of them. */
		if (known != NULL && (b->catalogue->dynamic == NULL || known->attributes != NULL))
			w->profile = *known;
		else
			all = false;
		w->by_session = w->request->ccr.n_identities == 0;
	}
	if (all)
		return GY_OK;
	rc = find_by_identity(b);
	if (rc == GY_OK)
		rc = find_by_session(b);
	if (rc != GY_OK)
		return rc;
	refuse_unknown(b);
	rc = find_attributes(b);
	if (rc == GY_OK)
		remember(b);
	return rc;
}

/* --- 2. which gateway, and has it restarted?
 * --------------------------------------------------------- */

/* True if it is this request that ends the gateway's older sessions (G-92). */
static enum gy_rc gateway_told_state(struct batch *b, struct work *w, struct gy_gateway *g)
{
	const struct gy_ccr *ccr = &w->request->ccr;
	uint32_t known = atomic_load(&g->origin_state);
	int64_t ended;
	enum gy_rc rc;

	do {
		if (ccr->origin_state <= known)
			return GY_OK;
	} while (!atomic_compare_exchange_weak(&g->origin_state, &known, ccr->origin_state));
	rc = gy_store_gateway_restarted(b->lane->store, g->gateway_id, ccr->origin_state,
					ccr->session, &ended);
	if (rc != GY_OK) {
		atomic_store(&g->origin_state, known);
		return rc;
	}
	if (ended > 0) {
		gy_engine_log(b->lane->engine, GY_LOG_NOTICE,
			      "gateway %.*s restarted (Origin-State-Id %" PRIu32 "): %" PRId64
			      " sessions of before end",
			      (int)g->len, g->host, ccr->origin_state, ended);
		w->fate = PARKED;
	}
	return GY_OK;
}

static enum gy_rc find_gateways(struct batch *b)
{
	struct gy_gateways *gateways = &b->lane->engine->gateways;
	enum gy_rc rc = GY_OK;

	for (unsigned i = 0; rc == GY_OK && i < b->n; i++) {
		struct work *w = &b->work[i];
		struct gy_ccr *ccr = &w->request->ccr;
		struct gy_gateway *g;
		uint32_t origin_state;

		if (w->fate != UNDECIDED)
			continue;
		g = gy_gateway_find(gateways, ccr->origin_host);
		if (g == NULL) {
			rc = gy_store_gateway(b->lane->store, ccr->origin_host, ccr->origin_realm,
					      &ccr->gateway_id, &origin_state);
			if (rc == GY_OK)
				g = gy_gateway_add(gateways, ccr->origin_host, ccr->gateway_id,
						   origin_state);
		}
		if (g != NULL) {
			ccr->gateway_id = g->gateway_id;
			gy_gateway_heard(gateways, g, w->request->ingress);
			if (ccr->has_origin_state)
				rc = gateway_told_state(b, w, g);
		}
	}
	return rc;
}

/* --- 3. lock
 * -------------------------------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* What may make a new index row. */
static bool opens(const struct gy_ccr *ccr)
{
	return ccr->type == GY_INITIAL || ccr->type == GY_EVENT;
}

static enum gy_rc lock_accounts(struct batch *b)
{
	int64_t *ids = talloc_array(b->pool, int64_t, b->n);
	struct gy_session_key *keys = talloc_array(b->pool, struct gy_session_key, b->n);
	bool *known = talloc_zero_array(b->pool, bool, b->n);
	unsigned n = 0, distinct = 0, n_keys = 0;
	enum gy_rc rc;

	if (ids == NULL || keys == NULL || known == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < b->n; i++) {
		if (b->work[i].fate != UNDECIDED)
			continue;
		ids[n++] = b->work[i].profile.account_id;
		if (opens(&b->work[i].request->ccr))
			keys[n_keys++] = b->work[i].request->ccr.session;
	}
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (unsigned i = 0; i < n; i++)
		if (distinct == 0 || ids[distinct - 1] != ids[i])
			ids[distinct++] = ids[i];
	rc = gy_store_lock(b->lane->store, b->pool, ids, distinct, b->wait, keys, n_keys, known,
			   &b->locked, &b->n_locked, &b->now);
	n_keys = 0;
	for (unsigned i = 0; rc == GY_OK && i < b->n; i++)
		if (b->work[i].fate == UNDECIDED && opens(&b->work[i].request->ccr))
			b->work[i].session_known = known[n_keys++];
	return rc;
}

static struct gy_locked *locked_find(struct batch *b, int64_t account_id)
{
	unsigned low = 0, high = b->n_locked;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (b->locked[middle].account.account_id < account_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < b->n_locked && b->locked[low].account.account_id == account_id
		       ? &b->locked[low]
		       : NULL;
}

/* A profile that is older than its account row is read again, now that the row can't change. */
static enum gy_rc reload_stale(struct batch *b)
{
	unsigned stale = 0;
	enum gy_rc rc;

	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != UNDECIDED)
			continue;
		if (w->locked->account.profile_version == w->profile.profile_version)
			continue;
		gy_cache_drop(&b->lane->cache, w->request->who);
		w->profile.subscriber_id = 0;
		stale++;
	}
	if (stale == 0)
		return GY_OK;
	rc = find_by_identity(b);
	if (rc == GY_OK)
		rc = find_by_session(b);
	if (rc != GY_OK)
		return rc;
	refuse_unknown(b);
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		/* Moved to another account: that one isn't locked here. */
		if (w->fate == UNDECIDED && w->profile.account_id != w->locked->account.account_id)
			w->fate = TRY_AGAIN;
	}
	rc = find_attributes(b);
	if (rc == GY_OK)
		remember(b);
	return rc;
}

static void match_locked(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != UNDECIDED)
			continue;
		w->locked = locked_find(b, w->profile.account_id);
		if (w->locked == NULL) {
			/* Held by somebody, or gone: the next try looks it up again. */
			gy_cache_drop(&b->lane->cache, w->request->who);
			w->fate = TRY_AGAIN;
		}
	}
}

/* --- 4. decide
 * --------------------------------------------------------------------------------------- */

static enum gy_rc make_room(struct batch *b, struct work *w, const struct gy_history *history)
{
	struct gy_request *r = w->request;
	enum gy_rc rc = gy_account_reserve(b->pool, &w->locked->account, gy_account_room(&r->ccr));

	w->plan = (struct gy_plan){ .room = gy_plan_room(&r->ccr, &w->locked->account, history) };
	/* The answer outlives the batch, the charges don't. */
	w->plan.services = talloc_array(r->pool, struct gy_service_answer, w->plan.room);
	w->plan.charges = talloc_array(b->pool, struct gy_charge, GY_PARTS_MAX * w->plan.room);
	if (w->plan.services == NULL || w->plan.charges == NULL)
		rc = GY_NO_MEMORY;
	if (b->catalogue->dynamic != NULL) {
		w->plan.inputs.text = talloc_size(b->pool, INPUTS_MAX);
		w->plan.inputs.room = w->plan.inputs.text != NULL ? INPUTS_MAX : 0;
	}
	return rc;
}

/* Has this batch already changed the session of w? Its records cannot be read before the commit. */
static bool changed_in_batch(const struct batch *b, const struct work *w)
{
	const struct gy_session_key key = w->request->ccr.session;

	for (const struct work *earlier = b->work; earlier < w; earlier++)
		if (earlier->fate == DECIDED && earlier->plan.changed &&
		    earlier->request->ccr.session.hi == key.hi &&
		    earlier->request->ccr.session.lo == key.lo)
			return true;
	return false;
}

static enum gy_rc decide_one(struct batch *b, struct work *w)
{
	const struct gy_engine_config *config = &b->lane->engine->config;
	struct gy_view view = {
		.account = &w->locked->account,
		.profile = &w->profile,
		.session_indexed = w->session_known,
		.late_window_us = (int64_t)config->late_window_s * GY_SECOND_US,
		.pushed = b->pushed,
	};
	enum gy_rc rc = make_room(b, w, NULL);

	if (rc != GY_OK)
		return rc;
	rc = gy_charge_decide(&w->request->ccr, &view, b->catalogue, b->now, &w->plan);
	if (rc == GY_NEED_HISTORY && changed_in_batch(b, w)) {
		w->fate = TRY_AGAIN;
		return GY_OK;
	}
	if (rc == GY_NEED_HISTORY) {
		rc = gy_store_history(b->lane->store, b->pool, &w->request->ccr, &w->history);
		if (rc == GY_OK)
			rc = make_room(b, w, &w->history);
		if (rc != GY_OK)
			return rc;
		view.history = &w->history;
		rc = gy_charge_decide(&w->request->ccr, &view, b->catalogue, b->now, &w->plan);
	}
	gy_assert(rc == GY_OK);
	if (w->plan.changed) {
		gy_plan_check(&w->locked->account, &w->plan);
		w->locked->changed = true;
	}
	w->request->answer = w->plan.answer;
	w->fate = DECIDED;
	return GY_OK;
}

/* A Session-Id that an earlier CCR-I of this batch opened is known to the later ones: with another
 * account they see it in the next batch, with the same one even if its row has forgotten it by
 * then. */
static void note_opened(struct batch *b, unsigned opener)
{
	const struct gy_session_key key = b->work[opener].request->ccr.session;

	for (unsigned i = opener + 1; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != UNDECIDED || w->request->ccr.session.hi != key.hi ||
		    w->request->ccr.session.lo != key.lo)
			continue;
		w->session_known = true;
		if (w->profile.account_id != b->work[opener].profile.account_id)
			w->fate = TRY_AGAIN;
	}
}

static enum gy_rc decide_all(struct batch *b)
{
	enum gy_rc rc = GY_OK;

	for (unsigned i = 0; rc == GY_OK && i < b->n; i++) {
		if (b->work[i].fate != UNDECIDED)
			continue;
		rc = decide_one(b, &b->work[i]);
		if (rc == GY_OK && b->work[i].fate == DECIDED && b->work[i].plan.opened)
			note_opened(b, i);
	}
	return rc;
}

/* --- 5. apply
 * ------------------------------------------------------------------------------------------ */

/* Two requests of one batch may open one Session-Id, the second after the first has ended: the
 * index keeps the last. */
static bool opened_again(const struct batch *b, unsigned i)
{
	const struct gy_session_key key = b->work[i].request->ccr.session;

	for (unsigned k = i + 1; k < b->n; k++)
		if (b->work[k].fate == DECIDED && b->work[k].plan.opened &&
		    b->work[k].request->ccr.session.hi == key.hi &&
		    b->work[k].request->ccr.session.lo == key.lo)
			return true;
	return false;
}

static enum gy_rc apply(struct batch *b)
{
	const struct gy_record **records = talloc_array(b->pool, const struct gy_record *, b->n);
	struct gy_opened *opened = talloc_array(b->pool, struct gy_opened, b->n);
	unsigned n_records = 0, n_opened = 0;

	if (records == NULL || opened == NULL) {
		gy_store_rollback(b->lane->store);
		return GY_NO_MEMORY;
	}
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != DECIDED || !w->plan.changed)
			continue;
		records[n_records++] = &w->plan.record;
		if (w->plan.opened && !opened_again(b, i))
			opened[n_opened++] = (struct gy_opened){ &w->request->ccr, &w->plan.record,
								 w->plan.check_at_us };
	}
	return gy_store_apply(b->lane->store, b->locked, b->n_locked, records, n_records, opened,
			      n_opened);
}

static bool reports_usage(const struct gy_ccr *ccr)
{
	for (unsigned k = 0; k < ccr->n_services; k++)
		if (ccr->services[k].n_used > 0)
			return true;
	return false;
}

static int compare_sessions(const void *a, const void *b)
{
	const struct gy_session_key *x = &(*(const struct gy_ccr *const *)a)->session;
	const struct gy_session_key *y = &(*(const struct gy_ccr *const *)b)->session;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Usage of unknown sessions is kept before it is answered: the operator can count on it (G-24). */
static enum gy_rc keep_unmatched(struct batch *b)
{
	const struct gy_ccr **ccrs = talloc_array(b->pool, const struct gy_ccr *, b->n);
	unsigned n = 0;

	if (ccrs == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < b->n; i++)
		if (b->work[i].plan.unmatched && reports_usage(&b->work[i].request->ccr))
			ccrs[n++] = &b->work[i].request->ccr;
	if (n == 0)
		return GY_OK;
	qsort(ccrs, n, sizeof(*ccrs), compare_sessions);
	return gy_store_keep_unmatched(b->lane->store, ccrs, n);
}

/* --- 6. answer
 * ----------------------------------------------------------------------------------------- */

/* The one place between work and answers: what was decided is durable, or was not decided. Nothing
 * that leaves the process for new work may happen before it (I5, G-91). */
static void gy_commit_barrier(struct batch *b, enum gy_rc committed)
{
	gy_assert(committed == GY_OK);
	for (unsigned i = 0; i < b->n; i++)
		gy_assert(b->work[i].fate != UNDECIDED);
}

static void try_again(struct batch *b, struct work *w)
{
	w->request->attempts++;
	atomic_fetch_add(&b->lane->engine->retries, 1);
	gy_queue_push(&b->lane->retry, w->request);
}

static void park(struct gy_engine *engine, struct gy_request *request)
{
	pthread_mutex_lock(&engine->parked_lock);
	gy_queue_push(&engine->parked, request);
	pthread_mutex_unlock(&engine->parked_lock);
	gy_maintenance_wake(engine);
}

static void give_back(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		switch (w->fate) {
		case ANSWERED:
		case DECIDED:
			gy_request_done(b->lane->engine, w->request, GY_ANSWER);
			break;
		case PARKED:
			park(b->lane->engine, w->request);
			break;
		case TRY_AGAIN:
		case UNDECIDED:
			try_again(b, w);
			break;
		}
	}
}

/* The transaction did not happen, or nobody knows. Alone, a request that the database refuses gets
 * its answer here. */
static void give_back_failed(struct batch *b, enum gy_rc rc)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (rc == GY_OUTCOME_UNKNOWN && w->fate == DECIDED)
			w->request->unsettled = true;
		if (w->fate == PARKED) {
			park(b->lane->engine, w->request);
		} else if (rc == GY_STORE_REFUSED && b->n == 1) {
			refuse(w, GY_UNABLE_TO_COMPLY, "this request cannot be stored");
			gy_request_done(b->lane->engine, w->request, GY_ANSWER);
		} else {
			try_again(b, w);
		}
	}
}

static bool any_undecided(const struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->work[i].fate == UNDECIDED)
			return true;
	return false;
}

/* --- the whole
 * ------------------------------------------------------------------------------------------ */

static enum gy_rc in_transaction(struct batch *b)
{
	enum gy_rc rc = lock_accounts(b);

	if (rc != GY_OK)
		return rc;
	match_locked(b);
	rc = reload_stale(b);
	if (rc == GY_OK)
		rc = decide_all(b);
	if (rc != GY_OK) {
		gy_store_rollback(b->lane->store);
		return rc;
	}
	return apply(b);
}

static enum gy_rc run(struct batch *b)
{
	enum gy_rc rc = find_profiles(b);

	if (rc == GY_OK)
		rc = find_gateways(b);
	if (rc == GY_OK && any_undecided(b))
		rc = in_transaction(b);
	if (rc == GY_OK)
		rc = keep_unmatched(b);
	return rc;
}

enum gy_rc gy_batch_run(struct gy_lane *lane, struct gy_queue *queue, bool wait)
{
	struct gy_snapshot *snapshot = gy_snapshot_hold(lane->engine);
	struct batch b = { .lane = lane,
			   .pool = talloc_new(NULL),
			   .wait = wait,
			   .catalogue = snapshot->catalogue,
			   .pushed = snapshot->pushed,
			   .n = queue->n };
	struct gy_request *request;
	enum gy_rc rc = GY_NO_MEMORY;

	b.work = talloc_zero_array(b.pool, struct work, b.n);
	if (b.work == NULL) {
		while ((request = gy_queue_pop(queue)) != NULL)
			gy_request_refuse(lane->engine, request, "out of memory");
		goto done;
	}
	for (unsigned i = 0; (request = gy_queue_pop(queue)) != NULL; i++)
		b.work[i].request = request;
	rc = run(&b);
	if (rc == GY_OK) {
		gy_commit_barrier(&b, rc);
		give_back(&b);
	} else {
		give_back_failed(&b, rc);
	}
	/* Answers point into the snapshot; they are on their way now. */
done:
	gy_snapshot_release(snapshot);
	gy_cache_sweep(&lane->cache);
	talloc_free(b.pool);
	return rc;
}
