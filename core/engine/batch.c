/* One batch: who is meant, lock, decide, apply, answer. The path of every request (DESIGN 2, steps
 * 3 to 7), one function a step.
 *
 * A request of the batch ends in one of three ways: answered, refused, or put into lane->retry.
 * Card operations have transactions of their own, before the batch's.
 * Nothing leaves for work of this batch before gy_commit_barrier. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/engine/batch.h"

/* Octets that a record may keep of what dynamic rules looked at, for each four services: some fifty
 * lines a service. */
#define INPUTS_MAX 4096u
/* Histories that one batch reads, two round trips each while all its rows are locked. */
#define HISTORIES_MAX 16

void gy_work_refuse(struct work *w, enum gy_rc rc, const char *message)
{
	gy_answer_refuse(&w->request->answer, rc, message);
	w->fate = ANSWERED;
}

/* --- lock --- */

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

static unsigned cards_of(const struct work *w)
{
	return w->fate == UNDECIDED && w->profile.cards != NULL ? w->profile.cards->n : 0;
}

static enum gy_rc lock_accounts(struct batch *b)
{
	unsigned n_ids = 0;
	int64_t *ids;
	struct gy_session_key *keys = talloc_array(b->pool, struct gy_session_key, b->n);
	int64_t *known = talloc_zero_array(b->pool, int64_t, b->n);
	unsigned n = 0, distinct = 0, n_keys = 0;
	enum gy_rc rc;

	for (unsigned i = 0; i < b->n; i++)
		n_ids += 1 + cards_of(&b->work[i]);
	ids = talloc_array(b->pool, int64_t, n_ids);
	if (ids == NULL || keys == NULL || known == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < b->n; i++) {
		if (b->work[i].fate != UNDECIDED)
			continue;
		ids[n++] = b->work[i].profile.account_id;
		for (unsigned k = 0; k < cards_of(&b->work[i]); k++)
			ids[n++] = b->work[i].profile.cards->cards[k].account_id;
		if (opens(&b->work[i].request->ccr))
			keys[n_keys++] = b->work[i].request->ccr.session;
	}
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (unsigned i = 0; i < n; i++)
		if (distinct == 0 || ids[distinct - 1] != ids[i])
			ids[distinct++] = ids[i];
	rc = gy_store_lock(b->lane->store, b->pool, ids, distinct, b->wait, keys, n_keys, known,
			   &b->locked, &b->n_locked, &b->now);
	if (rc == GY_OK)
		rc = gy_homes_lock(b->lane->store, b->pool, false, &b->locked, &b->n_locked);
	n_keys = 0;
	for (unsigned i = 0; rc == GY_OK && i < b->n; i++)
		if (b->work[i].fate == UNDECIDED && opens(&b->work[i].request->ccr))
			b->work[i].indexed = known[n_keys++];
	return rc;
}

static void match_locked(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != UNDECIDED)
			continue;
		w->locked = gy_locked_find(b->locked, b->n_locked, w->profile.account_id);
		if (w->locked == NULL) {
			/* Held by somebody, or gone: the next try looks it up again. */
			gy_cache_drop(&b->lane->cache, w->request->who);
			w->fate = TRY_AGAIN;
		}
	}
}

/* --- decide --- */

static enum gy_rc make_room(struct batch *b, struct work *w, const struct gy_homes *homes,
			    const struct gy_history *history)
{
	struct gy_request *r = w->request;
	struct gy_account *own = &w->locked->account;
	struct gy_room room = gy_account_room(&r->ccr, own, &w->profile);
	enum gy_rc rc = gy_account_reserve(b->pool, own, room);

	for (unsigned i = 0; rc == GY_OK && i < homes->n; i++)
		if (homes->accounts[i] != own)
			rc = gy_account_reserve(b->pool, homes->accounts[i],
						(struct gy_room){ .draws = room.draws });
	w->plan = (struct gy_plan){ .room = gy_plan_room(&r->ccr, own, history),
				    .parts = gy_plan_parts(own, &w->profile) };
	/* The answer outlives the batch, the charges don't. */
	w->plan.services = talloc_array(r->pool, struct gy_service_answer, w->plan.room);
	w->plan.charges = talloc_array(b->pool, struct gy_charge, w->plan.parts * w->plan.room);
	if (w->plan.services == NULL || w->plan.charges == NULL)
		rc = GY_NO_MEMORY;
	if (b->catalogue->dynamic != NULL) {
		size_t size = INPUTS_MAX * (1 + r->ccr.n_services / 4);

		w->plan.inputs.text = talloc_size(b->pool, size);
		w->plan.inputs.room = w->plan.inputs.text != NULL ? size : 0;
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
	for (unsigned i = 0; i < b->n_lost; i++)
		if (b->lost[i]->session.hi == key.hi && b->lost[i]->session.lo == key.lo)
			return true;
	return false;
}

static enum gy_rc note_lost(struct batch *b, const struct gy_record *record)
{
	if (b->n_lost == b->lost_room) {
		b->lost_room = b->lost_room * 2 + 8;
		b->lost = talloc_realloc(b->pool, b->lost, const struct gy_record *, b->lost_room);
		if (b->lost == NULL)
			return GY_NO_MEMORY;
	}
	b->lost[b->n_lost++] = record;
	return GY_OK;
}

/* Sessions of this account that the request's gateway lost when it restarted give back what they
 * hold before the request is decided: the sweeper may have many others to end first (G-92). What
 * the index says of them is left to it. */
static enum gy_rc end_lost(struct batch *b, struct work *w, const struct gy_homes *homes)
{
	int64_t late_us = (int64_t)b->lane->engine->config.late_window_s * GY_SECOND_US;
	struct gy_account *a = &w->locked->account;
	int lost;

	if (w->restart.at_us == 0)
		return GY_OK;
	while ((lost = gy_session_lost(a, w->request->ccr.gateway_id, w->restart.at_us,
				       w->restart.told_by)) >= 0) {
		struct gy_plan *plan = talloc_zero(b->pool, struct gy_plan);
		enum gy_rc rc;

		if (plan == NULL)
			return GY_NO_MEMORY;
		plan->room = a->n_reservations + 1;
		plan->parts = 1;
		plan->charges = talloc_array(b->pool, struct gy_charge, plan->room);
		if (plan->charges == NULL)
			return GY_NO_MEMORY;
		gy_charge_end(a, a->sessions[lost].key, homes, GY_SESSION_RELEASED, b->now, late_us,
			      plan);
		gy_plan_check(a, plan);
		rc = note_lost(b, &plan->record);
		if (rc != GY_OK)
			return rc;
		w->locked->changed = true;
		gy_homes_changed(b->locked, b->n_locked, homes);
	}
	return GY_OK;
}

static enum gy_rc decide_one(struct batch *b, struct work *w)
{
	const struct gy_engine_config *config = &b->lane->engine->config;
	struct gy_view view = {
		.account = &w->locked->account,
		.profile = &w->profile,
		.session_indexed = w->indexed != 0 || w->session_known,
		.session_elsewhere = w->indexed != 0 && w->indexed != w->profile.account_id,
		.late_window_us = (int64_t)config->late_window_s * GY_SECOND_US,
		.supervision = config->supervision,
		.pushed = b->pushed,
	};
	enum gy_rc rc = gy_homes_make(b->pool, b->locked, b->n_locked, &w->locked->account,
				      w->profile.cards, &view.homes);

	if (rc == GY_STORE_RETRY) { /* somebody holds a card's row */
		w->fate = TRY_AGAIN;
		return GY_OK;
	}
	if (rc == GY_OK)
		rc = end_lost(b, w, &view.homes);
	if (rc == GY_OK)
		rc = make_room(b, w, &view.homes, NULL);
	if (rc != GY_OK)
		return rc;
	rc = gy_charge_decide(&w->request->ccr, &view, b->catalogue, b->now, &w->plan);
	if (rc == GY_NEED_HISTORY && changed_in_batch(b, w)) {
		w->fate = TRY_AGAIN;
		return GY_OK;
	}
	if (rc == GY_NEED_HISTORY && b->histories == HISTORIES_MAX) {
		w->fate = PUT_OFF;
		return GY_OK;
	}
	if (rc == GY_NEED_HISTORY) {
		b->histories++;
		rc = gy_store_history(b->lane->store, b->pool, &w->request->ccr, &w->history);
		if (rc == GY_OK)
			rc = make_room(b, w, &view.homes, &w->history);
		if (rc != GY_OK)
			return rc;
		view.history = &w->history;
		rc = gy_charge_decide(&w->request->ccr, &view, b->catalogue, b->now, &w->plan);
	}
	gy_assert(rc == GY_OK);
	if (w->plan.changed) {
		gy_plan_check(&w->locked->account, &w->plan);
		w->locked->changed = true;
		gy_homes_changed(b->locked, b->n_locked, &view.homes);
	}
	if (config->trace)
		gy_answer_trace(w->request->pool, &w->request->ccr, &view, b->catalogue, b->now,
				&w->plan);
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

/* --- apply --- */

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
	const struct gy_record **records =
		talloc_array(b->pool, const struct gy_record *, b->n + b->n_lost);
	struct gy_opened *opened = talloc_array(b->pool, struct gy_opened, b->n);
	struct gy_sooner *sooner = talloc_array(b->pool, struct gy_sooner, b->n);
	unsigned n_records = 0, n_opened = 0, n_sooner = 0;

	if (records == NULL || opened == NULL || sooner == NULL) {
		gy_store_rollback(b->lane->store);
		return GY_NO_MEMORY;
	}
	for (unsigned i = 0; i < b->n_lost; i++)
		records[n_records++] = b->lost[i];
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (w->fate != DECIDED || !w->plan.changed)
			continue;
		records[n_records++] = &w->plan.record;
		if (w->plan.opened && !opened_again(b, i))
			opened[n_opened++] =
				(struct gy_opened){ &w->request->ccr,      &w->plan.record,
						    w->plan.check_at_us,   w->indexed != 0,
						    w->history.account_id, w->history.opened_us };
		else if (!w->plan.opened && w->plan.check_at_us != 0)
			sooner[n_sooner++] =
				(struct gy_sooner){ w->request->ccr.session, w->plan.check_at_us };
	}
	return gy_store_apply(b->lane->store, b->locked, b->n_locked, records, n_records, opened,
			      n_opened, sooner, n_sooner);
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

/* --- answer --- */

/* The one place between work and answers: what was decided is durable, or was not decided. Nothing
 * that leaves the process for new work may happen before it (I5, G-91). */
static void gy_commit_barrier(const struct batch *b)
{
	gy_assert(b->committed);
	for (unsigned i = 0; i < b->n; i++)
		gy_assert(b->work[i].fate != UNDECIDED);
}

static void try_again(struct batch *b, struct work *w)
{
	/* Its row was not in the way: no reason to wait for that alone some day (take_batch). */
	w->request->attempts += w->fate != PUT_OFF;
	atomic_fetch_add(&b->lane->engine->retries, 1);
	gy_queue_push(&b->lane->retry, w->request);
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
		case TRY_AGAIN:
		case PUT_OFF:
		case UNDECIDED:
			try_again(b, w);
			break;
		}
	}
}

/* The transaction did not happen, or nobody knows. Alone, a request that the database refuses gets
 * its answer here; but what may have come through before is never said not to have. */
static void give_back_failed(struct batch *b, enum gy_rc rc)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (rc == GY_OUTCOME_UNKNOWN && w->fate == DECIDED)
			w->request->unsettled = true;
		if (rc == GY_STORE_REFUSED && b->n == 1 && w->request->unsettled) {
			gy_request_done(b->lane->engine, w->request, GY_NO_ANSWER);
		} else if (rc == GY_STORE_REFUSED && b->n == 1) {
			gy_work_refuse(w, GY_UNABLE_TO_COMPLY, "this request cannot be stored");
			gy_request_done(b->lane->engine, w->request, GY_ANSWER);
		} else {
			try_again(b, w);
		}
	}
}

/* The batch is durable, the usage of unknown sessions is not: these alone come again. */
static void put_off_unmatched(struct batch *b, enum gy_rc rc)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];

		if (!w->plan.unmatched || (w->fate != ANSWERED && w->fate != DECIDED))
			continue;
		if (rc == GY_STORE_REFUSED && b->n == 1)
			gy_work_refuse(w, GY_UNABLE_TO_COMPLY, "this request cannot be stored");
		else
			w->fate = TRY_AGAIN;
	}
}

static bool any_undecided(const struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->work[i].fate == UNDECIDED)
			return true;
	return false;
}

/* --- the whole --- */

static enum gy_rc in_transaction(struct batch *b)
{
	enum gy_rc rc = lock_accounts(b);

	if (rc != GY_OK)
		return rc;
	match_locked(b);
	rc = gy_batch_reload_stale(b);
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
	enum gy_rc rc;

	gy_batch_sort_cards(b);
	rc = gy_batch_find_profiles(b);
	if (rc == GY_OK)
		rc = gy_batch_find_gateways(b);
	if (rc == GY_OK)
		rc = gy_batch_run_cards(b);
	if (rc == GY_OK && any_undecided(b))
		rc = in_transaction(b);
	b->committed = rc == GY_OK;
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
	if (b.committed) {
		gy_commit_barrier(&b);
		if (rc != GY_OK)
			put_off_unmatched(&b, rc);
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
