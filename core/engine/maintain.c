/* The maintenance thread: what no request asks for.
 *
 * Supervision (G-67) and the ends that operators and restarted gateways ask for (G-92), the
 * outbox (outbox.c), the catalogue when it changes, and partitions for the records to come. It has
 * a connection of its own; without a database it does what needs none. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <talloc.h>
#include <unistd.h>

#include "core/engine/internal.h"

#define MS            INT64_C(1000000)
#define DUE_MAX       500u
#define PURCHASES_MAX 100u
#define TICK_MS       50
#define RECONNECT_NS  (500 * MS)
#define CATALOGUE_NS  (1000 * MS)
#define PURCHASES_NS  (1000 * MS)
#define PARTITIONS_NS (3600 * 1000 * MS)
/* After a failure: an audit may read all records for a long time, and what is to be made is for a
 * day in a week. */
#define PARTITIONS_AGAIN_NS (10 * 1000 * MS)
/* A session whose row can't be read is looked at again after this time. */
#define UNREADABLE_US (60 * GY_SECOND_US)
/* So long the sweeper goes on before it lets other work have its turn. */
#define SWEEP_NS (300 * MS)

struct maintenance {
	struct gy_engine *engine;
	struct gy_store *store;
	int64_t connect_at_ns, sweep_at_ns, catalogue_at_ns, partitions_at_ns, purchases_at_ns;
	int64_t catalogue_version, pushed_version;
};

void gy_maintenance_wake(struct gy_engine *engine)
{
	if (write(engine->wake_pipe[1], "", 1) < 0 && errno != EAGAIN)
		gy_engine_log(engine, GY_LOG_ERROR, "the maintenance thread can't be woken");
}

/* --- supervision
 * ------------------------------------------------------------------------------------ */

static int compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The accounts of the due sessions that are not just to be forgotten. */
static unsigned accounts_of(const struct gy_due *due, unsigned n, int64_t *ids)
{
	unsigned all = 0, distinct = 0;

	for (unsigned i = 0; i < n; i++)
		if (!due[i].ended)
			ids[all++] = due[i].account_id;
	qsort(ids, all, sizeof(*ids), compare_ids);
	for (unsigned i = 0; i < all; i++)
		if (distinct == 0 || ids[distinct - 1] != ids[i])
			ids[distinct++] = ids[i];
	return distinct;
}

/* The index knows who opened a session; the account, whether another gateway has had it since. */
static bool lives_elsewhere(const struct gy_account *account, struct gy_due *due)
{
	int found = gy_session_find(account, due->session);
	const struct gy_session *s = &account->sessions[found < 0 ? 0 : found];

	if (found < 0 || s->state != GY_SESSION_OPEN ||
	    (s->gateway_id == due->lost_by && !s->taken_over && s->opened_us < due->restarted_us))
		return false;
	due->looked = due->taken_over = true;
	due->look_at_us = s->deadline_us;
	return true;
}

/* Looks at one session; its record, if it was ended, goes to *record. */
static enum gy_rc look_at(struct gy_engine *engine, void *pool, struct gy_due *due,
			  struct gy_locked *locked, const struct gy_homes *homes, gy_time_us now,
			  const struct gy_record **record)
{
	int64_t late_us = (int64_t)engine->config.late_window_s * GY_SECOND_US;
	struct gy_plan *plan = talloc_zero(pool, struct gy_plan);

	*record = NULL;
	if (plan == NULL)
		return GY_NO_MEMORY;
	if (due->lost_by != 0 && lives_elsewhere(&locked->account, due))
		return GY_OK;
	plan->room = locked->account.n_reservations + 1;
	plan->parts = 1;
	plan->charges = talloc_array(pool, struct gy_charge, plan->room);
	if (plan->charges == NULL)
		return GY_NO_MEMORY;
	gy_charge_end(&locked->account, due->session, homes,
		      due->release_requested || due->lost_by != 0 ? GY_SESSION_RELEASED
								  : GY_SESSION_EXPIRED,
		      now, late_us, plan);
	due->looked = true;
	due->ended = plan->check_at_us == 0;
	due->look_at_us = due->ended ? now + late_us : plan->check_at_us;
	if (plan->changed) {
		gy_plan_check(&locked->account, plan);
		locked->changed = true;
		*record = &plan->record;
	}
	return GY_OK;
}

/* Rows that no node can read, of whatever hand: told, and left to the operator. */
static void complain_of_unreadable(struct gy_engine *engine, const struct gy_locked *locked,
				   unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (locked[i].unreadable)
			gy_engine_log(
				engine, GY_LOG_ERROR,
				"account %lld: its row makes no sense, its sessions can't end",
				(long long)locked[i].account.account_id);
}

/* Is it in such a row, or does it hold units of a card in one? */
static bool is_stuck(struct gy_locked *locked, unsigned n_locked, const struct gy_locked *l)
{
	for (unsigned i = 0; i < l->account.n_slices; i++) {
		const struct gy_locked *home =
			gy_locked_find(locked, n_locked, l->account.slices[i].home);

		if (home != NULL && home->unreadable)
			return true;
	}
	return l->unreadable;
}

/* One due session. *record: as look_at leaves it; *done counts it, unless somebody holds a row. */
static enum gy_rc end_one(struct maintenance *m, void *pool, struct gy_due *due,
			  struct gy_locked *locked, unsigned n_locked, gy_time_us now,
			  const struct gy_record **record, unsigned *done)
{
	struct gy_locked *l = gy_locked_find(locked, n_locked, due->account_id);
	struct gy_homes homes;
	enum gy_rc rc;

	*record = NULL;
	*done += due->ended || l != NULL;
	if (due->ended || l == NULL)
		return GY_OK;
	if (is_stuck(locked, n_locked, l)) {
		due->looked = true;
		due->look_at_us = now + UNREADABLE_US;
		due->release_requested |= due->lost_by != 0; /* from now on it is due by itself */
		return GY_OK;
	}
	rc = gy_homes_make(pool, locked, n_locked, &l->account, NULL, &homes);
	if (rc == GY_STORE_RETRY) { /* the next time */
		--*done;
		return GY_OK;
	}
	if (rc == GY_OK)
		rc = look_at(m->engine, pool, due, l, &homes, now, record);
	if (rc == GY_OK)
		gy_homes_changed(locked, n_locked, &homes);
	return rc;
}

static enum gy_rc end_due(struct maintenance *m, void *pool, struct gy_due *due, unsigned n,
			  unsigned *done)
{
	int64_t *ids = talloc_array(pool, int64_t, n);
	const struct gy_record **records = talloc_array(pool, const struct gy_record *, n);
	struct gy_locked *locked = NULL;
	unsigned n_locked = 0, n_records = 0, n_ids;
	gy_time_us now = 0;
	enum gy_rc rc = GY_OK;

	if (ids == NULL || records == NULL) {
		gy_store_rollback(m->store);
		return GY_NO_MEMORY;
	}
	n_ids = accounts_of(due, n, ids);
	if (n_ids > 0)
		rc = gy_store_lock_due(m->store, pool, ids, n_ids, true, &locked, &n_locked, &now);
	if (rc == GY_OK)
		rc = gy_homes_lock(m->store, pool, true, &locked, &n_locked);
	if (rc != GY_OK)
		return rc;
	complain_of_unreadable(m->engine, locked, n_locked);
	for (unsigned i = 0; rc == GY_OK && i < n; i++) {
		rc = end_one(m, pool, &due[i], locked, n_locked, now, &records[n_records], done);
		n_records += records[n_records] != NULL;
	}
	if (rc != GY_OK) {
		gy_store_rollback(m->store);
		return rc;
	}
	rc = gy_store_due_done(m->store, due, n);
	if (rc == GY_OK)
		rc = gy_store_apply(m->store, locked, n_locked, records, n_records, NULL, 0);
	if (rc == GY_OK && n_records > 0)
		gy_engine_log(m->engine, GY_LOG_INFO, "%u sessions ended without a request",
			      n_records);
	return rc;
}

/* How far a transaction of supervision got: sessions found, looked at or forgotten. */
struct swept {
	unsigned found, done;
};

static enum gy_rc sweep_once(struct maintenance *m,
			     enum gy_rc (*find)(struct gy_store *, void *, unsigned,
						struct gy_due **, unsigned *),
			     struct swept *swept)
{
	void *pool = talloc_new(NULL);
	struct gy_due *due = NULL;
	enum gy_rc rc;

	swept->done = 0;
	rc = find(m->store, pool, DUE_MAX, &due, &swept->found);
	if (rc == GY_OK && swept->found == 0)
		gy_store_rollback(m->store);
	else if (rc == GY_OK)
		rc = end_due(m, pool, due, swept->found, &swept->done);
	talloc_free(pool);
	return rc;
}

static enum gy_rc sweep(struct maintenance *m)
{
	int64_t until_ns = gy_engine_now_ns() + SWEEP_NS;
	struct swept due, lost;
	enum gy_rc rc;

	/* Until nothing is due; what others hold is left for the next time. Portions of both kinds
	 * in turn: many of one don't keep the other waiting. */
	do {
		rc = sweep_once(m, gy_store_due, &due);
		if (rc == GY_OK)
			rc = sweep_once(m, gy_store_lost, &lost);
		if (rc == GY_OK && due.done + lost.done > 0 && gy_engine_now_ns() >= until_ns) {
			gy_maintenance_wake(m->engine); /* and then at once again */
			return GY_OK;
		}
	} while (rc == GY_OK && due.done + lost.done > 0 && !atomic_load(&m->engine->stopping));
	if (rc == GY_OK && lost.found == 0)
		rc = gy_store_lost_done(m->store);
	m->sweep_at_ns = gy_engine_now_ns() + (int64_t)m->engine->config.sweep_ms * MS;
	return rc;
}

/* Purchases that nobody confirmed in time; the sweeper's rules for turns. */
static enum gy_rc sweep_purchases(struct maintenance *m)
{
	int64_t until_ns = gy_engine_now_ns() + SWEEP_NS;
	unsigned done, all = 0;
	enum gy_rc rc;

	do {
		rc = gy_store_purchase_sweep(m->store, PURCHASES_MAX, &done);
		all += done;
	} while (rc == GY_OK && done == PURCHASES_MAX && gy_engine_now_ns() < until_ns);
	if (all > 0)
		gy_engine_log(m->engine, GY_LOG_INFO, "%u purchases ended without a request", all);
	m->purchases_at_ns = gy_engine_now_ns() + (done == PURCHASES_MAX ? 0 : PURCHASES_NS);
	return rc;
}

/* --- the catalogue
 * ---------------------------------------------------------------------------------- */

/* A catalogue that isn't sound is told, and the one in force stays (S-12). */
static enum gy_rc refresh_catalogue(struct maintenance *m)
{
	struct gy_catalogue *catalogue;
	struct gy_pushed *pushed;
	int64_t version = 0, pushed_version = 0;
	enum gy_rc rc = gy_store_catalogue_version(m->store, &version, &pushed_version);

	m->catalogue_at_ns = gy_engine_now_ns() + CATALOGUE_NS;
	if (rc != GY_OK || (version == m->catalogue_version && pushed_version == m->pushed_version))
		return rc;
	rc = gy_store_catalogue(m->store, &catalogue, &pushed);
	if (rc == GY_STORE_REFUSED) {
		gy_engine_log(m->engine, GY_LOG_ERROR,
			      "catalogue version %lld is refused, the one before stays: %s",
			      (long long)version, gy_store_error(m->store));
		rc = GY_OK;
	} else if (rc != GY_OK) {
		return rc;
	} else if (!gy_snapshot_swap(m->engine, catalogue, pushed)) {
		return GY_NO_MEMORY;
	} else if (m->catalogue_version != 0 && version != m->catalogue_version) {
		gy_engine_log(m->engine, GY_LOG_NOTICE, "catalogue version %lld is in force",
			      (long long)version);
	}
	m->catalogue_version = version;
	m->pushed_version = pushed_version;
	return rc;
}

/* --- partitions
 * ------------------------------------------------------------------------------------ */

static enum gy_rc make_partitions(struct maintenance *m)
{
	bool astray = false;
	enum gy_rc rc = gy_store_partitions(m->store, &astray);

	m->partitions_at_ns =
		gy_engine_now_ns() + (rc == GY_OK ? PARTITIONS_NS : PARTITIONS_AGAIN_NS);
	if (astray)
		gy_engine_log(m->engine, GY_LOG_ERROR,
			      "gyro.record_default holds records of days without a partition: see "
			      "gyro.record_default_keep()");
	return rc;
}

/* --- the thread
 * ---------------------------------------------------------------------------------------- */

static void connect_store(struct maintenance *m)
{
	char error[512];

	if (gy_store_open(m->engine->database, m->engine->store_timeout_ms, &m->store, error,
			  sizeof(error)) == GY_OK &&
	    gy_store_listen(m->store) == GY_OK) {
		m->catalogue_at_ns = 0;
		return;
	}
	gy_store_close(m->store);
	m->store = NULL;
	m->connect_at_ns = gy_engine_now_ns() + RECONNECT_NS;
}

static enum gy_rc with_database(struct maintenance *m)
{
	bool news = gy_store_notified(m->store), released = false;
	enum gy_rc rc = GY_OK;

	if (news || gy_engine_now_ns() >= m->catalogue_at_ns)
		rc = refresh_catalogue(m);
	if (rc == GY_OK)
		rc = gy_outbox_run(m->engine, m->store, news, &released);
	if (released || atomic_exchange(&m->engine->sweep_soon, false))
		m->sweep_at_ns = 0;
	if (rc == GY_OK && gy_engine_now_ns() >= m->partitions_at_ns)
		rc = make_partitions(m);
	if (rc == GY_OK && gy_engine_now_ns() >= m->sweep_at_ns)
		rc = sweep(m);
	if (rc == GY_OK && gy_engine_now_ns() >= m->purchases_at_ns)
		rc = sweep_purchases(m);
	return rc;
}

static void wait_for_work(struct maintenance *m)
{
	struct pollfd fds[2] = { { .fd = m->engine->wake_pipe[0], .events = POLLIN },
				 { .fd = m->store != NULL ? gy_store_socket(m->store) : -1,
				   .events = POLLIN } };
	char drained[64];

	if (poll(fds, 2, TICK_MS) > 0 && (fds[0].revents & POLLIN) != 0)
		while (read(m->engine->wake_pipe[0], drained, sizeof(drained)) ==
		       (ssize_t)sizeof(drained))
			;
}

void *gy_maintenance_run(void *data)
{
	struct maintenance m = { .engine = data };
	enum gy_rc rc;

	prctl(PR_SET_NAME, "maintenance");
	fcntl(m.engine->wake_pipe[0], F_SETFL, O_NONBLOCK);
	fcntl(m.engine->wake_pipe[1], F_SETFL, O_NONBLOCK);
	while (!atomic_load(&m.engine->stopping)) {
		if (m.store == NULL && gy_engine_now_ns() >= m.connect_at_ns)
			connect_store(&m);
		rc = GY_OK;
		if (m.store != NULL)
			rc = with_database(&m);
		if (rc != GY_OK && m.store != NULL) {
			gy_engine_log(m.engine, gy_rc_log_level(rc), "maintenance: %s: %s",
				      gy_rc_text(rc), gy_store_error(m.store));
			if (rc != GY_STORE_RETRY && rc != GY_ROW_BUSY) {
				gy_store_close(m.store);
				m.store = NULL;
				m.connect_at_ns = gy_engine_now_ns() + RECONNECT_NS;
			}
		}
		wait_for_work(&m);
	}
	gy_store_close(m.store);
	return NULL;
}
