/* Whose request it is, and from which gateway: steps before the lock. The cache answers nearly
 * always; what it says is proved by the account row's profile_version once that is locked. */
#include <inttypes.h>
#include <string.h>
#include <talloc.h>

#include "core/engine/batch.h"

/* Identities of one request, User-Name in its four readings. */
#define LOOKUPS_MAX (GY_IDENTITIES_MAX + 3)

/* --- who: identities to profiles --- */

static bool is_new(const struct gy_ccr *ccr)
{
	return ccr->type == GY_INITIAL || ccr->type == GY_EVENT;
}

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

/* A number has its plus or not; it is stored without. */
static struct gy_bytes as_stored(enum gy_identity_kind kind, struct gy_bytes value)
{
	if (kind == GY_IDENTITY_E164 && value.len > 1 && value.data[0] == '+')
		return (struct gy_bytes){ value.data + 1, value.len - 1 };
	return value;
}

static void add_lookups(struct work *w, struct gy_lookup *lookups, unsigned *n)
{
	const struct gy_ccr *ccr = &w->request->ccr;
	enum gy_identity_kind kinds[4];

	w->first_lookup = *n;
	for (unsigned i = 0; i < ccr->n_identities; i++) {
		unsigned k = readings(ccr->identities[i].kind, kinds);

		for (unsigned j = 0; j < k; j++)
			lookups[(*n)++] =
				(struct gy_lookup){ .kind = kinds[j],
						    .value = as_stored(kinds[j],
								       ccr->identities[i].value) };
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
			w->profile.found_by = l[i].kind;
			first = i;
		} else if (l[i].found.account_id != w->profile.account_id) {
			gy_work_refuse(w, GY_CONTRADICTING_AVPS, "identities of two subscribers");
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
		if (w->fate != UNDECIDED || w->card || w->profile.subscriber_id != 0 ||
		    is_new(&w->request->ccr))
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
		if (is_new(&w->request->ccr)) {
			gy_work_refuse(w, GY_USER_UNKNOWN, "no such subscriber");
		} else if (!w->card) { /* a purchase knows its buyer */
			gy_work_refuse(w, GY_UNKNOWN_SESSION_ID, "no such session");
			w->plan.unmatched = true;
		}
	}
}

/* Freshly found profiles get what dynamic tariffs and cards need, if there are any (S-11, Z-9).
 * Until the cache takes them, they are the pool's. */
static enum gy_rc find_parts(struct batch *b)
{
	struct gy_profile **fresh = talloc_array(b->pool, struct gy_profile *, 2 * b->n);
	struct gy_profile **bound = fresh + b->n;
	unsigned n = 0, n_bound = 0;
	enum gy_rc rc = GY_OK;

	if (fresh == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < b->n; i++) {
		if (b->work[i].fate != UNDECIDED || !b->work[i].fresh)
			continue;
		fresh[n++] = &b->work[i].profile;
		if (b->work[i].profile.has_cards)
			bound[n_bound++] = &b->work[i].profile;
	}
	if (n > 0 && b->catalogue->dynamic != NULL)
		rc = gy_store_attributes(b->lane->store, fresh, n);
	for (unsigned i = 0; rc == GY_OK && i < n; i++)
		talloc_steal(b->pool, fresh[i]->attributes);
	if (rc == GY_OK && n_bound > 0)
		rc = gy_store_bindings(b->lane->store, bound, n_bound);
	for (unsigned i = 0; rc == GY_OK && i < n_bound; i++)
		talloc_steal(b->pool, bound[i]->cards);
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
		talloc_steal(NULL, w->profile.cards);
		gy_cache_put(&b->lane->cache, w->request->who, &w->profile);
	}
}

enum gy_rc gy_batch_find_profiles(struct batch *b)
{
	bool all = true;
	enum gy_rc rc;

	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];
		const struct gy_profile *known = gy_cache_find(&b->lane->cache, w->request->who);

		/* No account row that is locked proves it: card operations look anew. And a session
		 * that is new is not whose it was before. */
		if (w->card || (w->request->ccr.n_identities == 0 && is_new(&w->request->ccr)))
			known = NULL;
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
	rc = find_parts(b);
	if (rc == GY_OK)
		remember(b);
	return rc;
}

/* Does the locked row prove what is known of whose request it is? The session's own request is
 * proved by the session: one that isn't open there may have become another account's. */
static bool is_proved(const struct work *w)
{
	const struct gy_account *a = &w->locked->account;
	int session;

	if (a->profile_version != w->profile.profile_version || !w->by_session)
		return a->profile_version == w->profile.profile_version;
	session = gy_session_find(a, w->request->ccr.session);
	return session >= 0 && a->sessions[session].state == GY_SESSION_OPEN;
}

/* A profile that its account row doesn't prove is read again, now that the row can't change. */
enum gy_rc gy_batch_reload_stale(struct batch *b)
{
	unsigned stale = 0;
	enum gy_rc rc;

	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != UNDECIDED)
			continue;
		if (is_proved(w))
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
	rc = find_parts(b);
	if (rc == GY_OK)
		remember(b);
	return rc;
}

/* --- which gateway, and has it restarted? --- */

/* A greater Origin-State-Id is written down before anything is decided by it, and before other
 * lanes may take it as known: what is opened after the restart is younger than the time that is
 * noted (G-92).
 */
static enum gy_rc gateway_told_state(struct batch *b, struct work *w, struct gy_gateway *g)
{
	struct gy_gateways *gateways = &b->lane->engine->gateways;
	const struct gy_ccr *ccr = &w->request->ccr;
	const struct gy_peer_profile *peer;
	struct gy_gateway_state state;
	bool news;
	enum gy_rc rc;

	if (ccr->origin_state <= atomic_load(&g->origin_state) ||
	    !gy_gateway_may_restart(gateways, g, w->request->ingress, gy_engine_now_ns()))
		return GY_OK;
	peer = gy_peer_profile_find(b->catalogue, ccr->origin_host);
	rc = gy_store_gateway_restarted(b->lane->store, g->gateway_id, ccr->origin_state,
					ccr->session, peer == NULL || !peer->keeps_sessions, &state,
					&news);
	if (rc != GY_OK)
		return rc;
	gy_gateway_told(gateways, g, &state);
	w->restart = state.restart;
	if (news) {
		gy_engine_log(b->lane->engine, GY_LOG_NOTICE,
			      "gateway %.*s restarted (Origin-State-Id %" PRIu32
			      "): its sessions of before end",
			      (int)g->len, g->host, ccr->origin_state);
		atomic_store(&b->lane->engine->sweep_soon, true);
		gy_maintenance_wake(b->lane->engine);
	}
	return GY_OK;
}

static enum gy_rc find_gateway(struct batch *b, struct work *w, struct gy_gateway **g)
{
	struct gy_gateways *gateways = &b->lane->engine->gateways;
	struct gy_ccr *ccr = &w->request->ccr;
	struct gy_gateway_state state;
	enum gy_rc rc;

	*g = gy_gateway_find(gateways, ccr->origin_host, &w->restart);
	/* What may have happened is not refused. */
	if (*g == NULL && !w->request->unsettled &&
	    !gy_gateway_may_ask(gateways, w->request->ingress, gy_engine_now_ns())) {
		gy_work_refuse(w,
			       b->lane->engine->config.alternate_node ? GY_TOO_BUSY
								      : GY_UNABLE_TO_COMPLY,
			       "too many new gateways");
		return GY_OK;
	}
	if (*g == NULL) {
		rc = gy_store_gateway(b->lane->store, ccr->origin_host, ccr->origin_realm, &state);
		if (rc != GY_OK)
			return rc;
		ccr->gateway_id = state.gateway_id;
		w->restart = state.restart;
		*g = gy_gateway_add(gateways, ccr->origin_host, &state);
	}
	if (*g != NULL)
		ccr->gateway_id = (*g)->gateway_id;
	return GY_OK;
}

enum gy_rc gy_batch_find_gateways(struct batch *b)
{
	struct gy_gateway *g;
	enum gy_rc rc = GY_OK;

	for (unsigned i = 0; rc == GY_OK && i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != UNDECIDED)
			continue;
		rc = find_gateway(b, w, &g);
		if (rc != GY_OK || g == NULL)
			continue;
		gy_gateway_heard(&b->lane->engine->gateways, g, w->request->ingress);
		if (w->request->ccr.has_origin_state)
			rc = gateway_told_state(b, w, g);
	}
	return rc;
}
