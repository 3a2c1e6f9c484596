/* What a batch reads: who is meant, the account rows with their locks, the history of a session. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/store/connection.h"
#include "core/store/row.h"

/* --- who ---- */

static void take_profiles(const PGresult *result, struct gy_lookup *lookups, unsigned n)
{
	for (int row = 0; row < PQntuples(result); row++) {
		int64_t position = gy_get_int8(PQgetvalue(result, row, 0));

		if (position < 1 || position > (int64_t)n)
			continue;
		lookups[position - 1].found = (struct gy_profile){
			.subscriber_id = gy_get_int8(PQgetvalue(result, row, 1)),
			.account_id = gy_get_int8(PQgetvalue(result, row, 2)),
			.group_id = gy_get_int8(PQgetvalue(result, row, 3)),
			.profile_version = gy_get_int8(PQgetvalue(result, row, 4)),
			.tariff_id = gy_get_int4(PQgetvalue(result, row, 5)),
			.state = (enum gy_state)gy_get_int2(PQgetvalue(result, row, 6)),
			.has_cards = *PQgetvalue(result, row, 7) != 0,
		};
	}
}

static enum gy_rc find(struct gy_store *store, enum gy_sql sql, struct gy_lookup *lookups,
		       unsigned n)
{
	enum gy_rc rc;

	if (store->find.out_of_memory)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++)
		lookups[i].found = (struct gy_profile){ .subscriber_id = 0 };
	gy_round_begin(store);
	gy_round_add(store, sql, &store->find);
	rc = gy_round_end(store);
	if (rc == GY_OK)
		take_profiles(store->result[0], lookups, n);
	return rc;
}

enum gy_rc gy_store_find_identities(struct gy_store *store, struct gy_lookup *lookups, unsigned n)
{
	struct gy_params *p = &store->find;

	gy_params_begin(p, 2);
	gy_array_begin(p, 1, GY_OID_INT2, 0);
	gy_array_begin(p, 2, GY_OID_TEXT, 0);
	for (unsigned i = 0; i < n; i++) {
		gy_array_int2(p, 1, (int16_t)lookups[i].kind);
		gy_array_text(p, 2, lookups[i].value);
	}
	gy_array_end(p, 1);
	gy_array_end(p, 2);
	return find(store, GY_SQL_PROFILE_BY_IDENTITY, lookups, n);
}

enum gy_rc gy_store_find_sessions(struct gy_store *store, struct gy_lookup *lookups, unsigned n)
{
	struct gy_params *p = &store->find;

	gy_params_begin(p, 1);
	gy_array_begin(p, 1, GY_OID_UUID, 0);
	for (unsigned i = 0; i < n; i++)
		gy_array_uuid(p, 1, lookups[i].session);
	gy_array_end(p, 1);
	return find(store, GY_SQL_PROFILE_BY_SESSION, lookups, n);
}

static void read_gateway(const PGresult *result, struct gy_gateway_state *state)
{
	*state = (struct gy_gateway_state){
		.gateway_id = gy_get_int8(PQgetvalue(result, 0, 0)),
		.origin_state = (uint32_t)gy_get_int8(PQgetvalue(result, 0, 1)),
	};
	if (!PQgetisnull(result, 0, 2))
		state->restart = (struct gy_restart){ gy_get_time(PQgetvalue(result, 0, 2)),
						      gy_get_uuid(PQgetvalue(result, 0, 3)) };
}

enum gy_rc gy_store_gateway(struct gy_store *store, struct gy_bytes origin_host,
			    struct gy_bytes origin_realm, struct gy_gateway_state *state)
{
	struct gy_params *p = &store->find;
	enum gy_rc rc;

	gy_params_begin(p, 2);
	gy_value_text(p, 1, origin_host);
	gy_value_text(p, 2, origin_realm);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_GATEWAY_FIND, p);
	rc = gy_round_end(store);
	if (rc != GY_OK)
		return rc;
	/* Made by another node at this very moment, and not yet visible here: the next try sees it.
	 */
	if (PQntuples(store->result[0]) != 1)
		return GY_STORE_RETRY;
	read_gateway(store->result[0], state);
	return GY_OK;
}

enum gy_rc gy_store_gateway_restarted(struct gy_store *store, int64_t gateway_id,
				      uint32_t origin_state, struct gy_session_key told_by,
				      bool ends, struct gy_gateway_state *state, bool *news)
{
	struct gy_params *p = &store->find;
	enum gy_rc rc;

	gy_params_begin(p, 4);
	gy_value_int8(p, 1, gateway_id);
	gy_value_int8(p, 2, origin_state);
	gy_value_uuid(p, 3, told_by);
	gy_value_bool(p, 4, ends);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_GATEWAY_RESTARTED, p);
	rc = gy_round_end(store);
	if (rc != GY_OK)
		return rc;
	read_gateway(store->result[0], state);
	*news = *PQgetvalue(store->result[0], 0, 4) != 0;
	return GY_OK;
}

/* --- locks ---- */

/* mark: a row that makes no sense is no failure, it is told from the others. */
static enum gy_rc take_accounts(void *pool, const PGresult *result, bool mark,
				struct gy_locked **locked, unsigned *n_locked)
{
	unsigned n = (unsigned)PQntuples(result);

	*n_locked = 0;
	*locked = talloc_zero_array(pool, struct gy_locked, n);
	if (*locked == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++) {
		struct gy_locked *l = &(*locked)[i];
		enum gy_rc rc = gy_account_read(pool, result, (int)i, &l->account);

		if (rc == GY_STORE_REFUSED && mark)
			*l = (struct gy_locked){ .account.account_id = l->account.account_id,
						 .unreadable = true };
		else if (rc != GY_OK)
			return rc;
	}
	*n_locked = n;
	return GY_OK;
}

static void put_ids(struct gy_params *p, const int64_t *account_ids, unsigned n)
{
	gy_params_begin(p, 1);
	gy_array_begin(p, 1, GY_OID_INT8, 0);
	for (unsigned i = 0; i < n; i++)
		gy_array_int8(p, 1, account_ids[i]);
	gy_array_end(p, 1);
}

static void put_keys(struct gy_params *p, const struct gy_session_key *keys, unsigned n)
{
	gy_params_begin(p, 1);
	gy_array_begin(p, 1, GY_OID_UUID, 0);
	for (unsigned i = 0; i < n; i++)
		gy_array_uuid(p, 1, keys[i]);
	gy_array_end(p, 1);
}

static void take_known(const PGresult *result, const struct gy_session_key *keys, unsigned n,
		       int64_t *known)
{
	for (unsigned i = 0; i < n; i++) {
		known[i] = 0;
		for (int row = 0; row < PQntuples(result) && known[i] == 0; row++) {
			struct gy_session_key key = gy_get_uuid(PQgetvalue(result, row, 0));

			if (key.hi == keys[i].hi && key.lo == keys[i].lo)
				known[i] = gy_get_int8(PQgetvalue(result, row, 1));
		}
	}
}

enum gy_rc gy_store_lock(struct gy_store *store, void *pool, const int64_t *account_ids,
			 unsigned n_accounts, bool wait, const struct gy_session_key *initial_keys,
			 unsigned n_initial, int64_t *known, struct gy_locked **locked,
			 unsigned *n_locked, gy_time_us *now)
{
	enum gy_sql sql = wait ? GY_SQL_ACCOUNT_LOCK_WAIT : GY_SQL_ACCOUNT_LOCK;
	unsigned lock, clock, index = 0;
	enum gy_rc rc;

	*n_locked = 0;
	put_ids(&store->lock, account_ids, n_accounts);
	put_keys(&store->known, initial_keys, n_initial);
	if (store->lock.out_of_memory || store->known.out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add_command(store, "BEGIN");
	lock = gy_round_add(store, sql, &store->lock);
	clock = gy_round_add(store, GY_SQL_CLOCK, NULL);
	if (n_initial > 0)
		index = gy_round_add(store, GY_SQL_SESSION_KNOWN, &store->known);
	rc = gy_round_end(store);
	if (rc == GY_OK)
		rc = take_accounts(pool, store->result[lock], false, locked, n_locked);
	if (rc != GY_OK) {
		gy_store_rollback(store);
		return rc;
	}
	*now = gy_get_time(PQgetvalue(store->result[clock], 0, 0));
	if (n_initial > 0)
		take_known(store->result[index], initial_keys, n_initial, known);
	return GY_OK;
}

enum gy_rc gy_store_lock_due(struct gy_store *store, void *pool, const int64_t *account_ids,
			     unsigned n_accounts, bool mark, struct gy_locked **locked,
			     unsigned *n_locked, gy_time_us *now)
{
	enum gy_rc rc;

	*n_locked = 0;
	put_ids(&store->lock, account_ids, n_accounts);
	if (store->lock.out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_ACCOUNT_LOCK, &store->lock);
	gy_round_add(store, GY_SQL_CLOCK, NULL);
	rc = gy_round_end(store);
	if (rc == GY_OK)
		rc = take_accounts(pool, store->result[0], mark, locked, n_locked);
	if (rc == GY_OK)
		*now = gy_get_time(PQgetvalue(store->result[1], 0, 0));
	else
		gy_store_rollback(store);
	return rc;
}

/* --- room for what a request adds ---- */

static bool grow(void *pool, void **array, unsigned *room, unsigned need, size_t size)
{
	void *larger;
	unsigned n;

	if (need <= *room)
		return true;
	n = need + need / 2 + 4;
	larger = talloc_realloc_size(pool, *array, n * size);
	if (larger == NULL)
		return false;
	*array = larger;
	*room = n;
	return true;
}

enum gy_rc gy_account_reserve(void *pool, struct gy_account *a, struct gy_room room)
{
	void *s = a->sessions, *r = a->reservations, *w = a->answers, *l = a->slices,
	     *c = a->counters, *d = a->draws;
	bool ok = grow(pool, &s, &a->sessions_room, a->n_sessions + room.sessions,
		       sizeof(*a->sessions)) &&
		  grow(pool, &r, &a->reservations_room, a->n_reservations + room.reservations,
		       sizeof(*a->reservations)) &&
		  grow(pool, &w, &a->answers_room, a->n_answers + room.answers,
		       sizeof(*a->answers)) &&
		  grow(pool, &l, &a->slices_room, a->n_slices + room.slices, sizeof(*a->slices)) &&
		  grow(pool, &c, &a->counters_room, a->n_counters + room.counters,
		       sizeof(*a->counters)) &&
		  grow(pool, &d, &a->draws_room, a->n_draws + room.draws, sizeof(*a->draws));

	a->sessions = s;
	a->reservations = r;
	a->answers = w;
	a->slices = l;
	a->counters = c;
	a->draws = d;
	return ok ? GY_OK : GY_NO_MEMORY;
}

/* --- history ---- */

/* highest: of the session's numbers, if that is known to be so; else -1. */
static enum gy_rc history_record(struct gy_store *store, void *pool, const struct gy_ccr *ccr,
				 int64_t highest, struct gy_history *history)
{
	struct gy_params *p = &store->find;
	struct gy_kept_answer *rows;
	struct gy_matrix charges;
	const PGresult *result;
	enum gy_rc rc;

	gy_params_begin(p, 5);
	gy_value_uuid(p, 1, ccr->session);
	gy_value_time(p, 2, history->opened_us);
	gy_value_int2(p, 3, (int16_t)ccr->type);
	gy_value_int8(p, 4, ccr->number);
	gy_value_bool(p, 5, highest < 0 || ccr->number <= highest);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_HISTORY_RECORD, p);
	rc = gy_round_end(store);
	if (rc != GY_OK || PQntuples(store->result[0]) == 0)
		return rc;
	result = store->result[0];
	if (!gy_matrix_read(PQgetvalue(result, 0, 3), PQgetlength(result, 0, 3), GY_CHARGE_COLUMNS,
			    &charges))
		return GY_STORE_REFUSED;
	rows = talloc_array(pool, struct gy_kept_answer, charges.rows);
	if (rows == NULL)
		return GY_NO_MEMORY;
	history->found = true;
	history->content_hash = (uint64_t)gy_get_int8(PQgetvalue(result, 0, 0));
	history->end_to_end = (uint32_t)gy_get_int8(PQgetvalue(result, 0, 1));
	history->rc = gy_rc_from_result_code((uint32_t)gy_get_int4(PQgetvalue(result, 0, 2)));
	history->rows = rows;
	for (unsigned i = 0; i < charges.rows; i++) {
		struct gy_kept_answer *row = &rows[history->n_rows];

		if (gy_charge_is_part(&charges, i))
			continue;
		*row = gy_charge_as_answer(&charges, i);
		row->rc = history->rc;
		row->type = ccr->type;
		row->number = ccr->number;
		row->content_hash = history->content_hash;
		history->n_rows++;
	}
	return GY_OK;
}

/* The debit that a bound refund gives back: its service, paid from however many sources. */
static enum gy_rc history_debit(struct gy_store *store, const struct gy_ccr *ccr,
				struct gy_history *history)
{
	struct gy_params *p = &store->find;
	struct gy_matrix charges;
	const PGresult *result;
	unsigned service = 0;
	enum gy_rc rc;

	gy_params_begin(p, 5);
	gy_value_uuid(p, 1, ccr->session);
	gy_value_time(p, 2, history->opened_us);
	gy_value_int2(p, 3, (int16_t)ccr->type);
	gy_value_int8(p, 4, ccr->refund.number);
	gy_value_bool(p, 5, true);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_HISTORY_RECORD, p);
	rc = gy_round_end(store);
	if (rc != GY_OK || PQntuples(store->result[0]) == 0)
		return rc;
	result = store->result[0];
	if (!gy_matrix_read(PQgetvalue(result, 0, 3), PQgetlength(result, 0, 3), GY_CHARGE_COLUMNS,
			    &charges))
		return GY_STORE_REFUSED;
	for (unsigned i = 0; i < charges.rows; i++) {
		struct gy_kept_answer answer = gy_charge_as_answer(&charges, i);

		if (!gy_charge_is_part(&charges, i) && service++ == ccr->refund.place &&
		    answer.service_rc == GY_OK) {
			history->debit_found = true;
			history->debit_unit = answer.unit;
			history->debit_units = answer.granted;
		}
		if (service != ccr->refund.place + 1)
			continue;
		history->debit_micros += gy_charge_debit(&charges, i);
		history->debit_took_cards |= gy_charge_from(&charges, i) == GY_FROM_CARD;
	}
	return GY_OK;
}

static enum gy_rc history_session(struct gy_store *store, const struct gy_ccr *ccr,
				  struct gy_history *history, int64_t *highest)
{
	struct gy_params *p = &store->find;
	const PGresult *result;
	enum gy_rc rc;

	gy_params_begin(p, 1);
	gy_value_uuid(p, 1, ccr->session);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_HISTORY_SESSION, p);
	rc = gy_round_end(store);
	if (rc != GY_OK || PQntuples(store->result[0]) == 0)
		return rc;
	result = store->result[0];
	history->known = true;
	history->account_id = gy_get_int8(PQgetvalue(result, 0, 0));
	history->subscriber_id = gy_get_int8(PQgetvalue(result, 0, 1));
	history->gateway_id = gy_get_int8(PQgetvalue(result, 0, 2));
	history->opened_us = gy_get_time(PQgetvalue(result, 0, 3));
	history->ended_us = PQgetisnull(result, 0, 4) ? history->opened_us
						      : gy_get_time(PQgetvalue(result, 0, 4));
	if (!PQgetisnull(result, 0, 5))
		history->realm = gy_realm_key(gy_result_bytes(result, 0, 5));
	if (!PQgetisnull(result, 0, 6))
		*highest = gy_get_int8(PQgetvalue(result, 0, 6));
	return GY_OK;
}

enum gy_rc gy_store_history(struct gy_store *store, void *pool, const struct gy_ccr *ccr,
			    struct gy_history *history)
{
	int64_t highest = -1;
	enum gy_rc rc;

	*history = (struct gy_history){ .known = false };
	rc = history_session(store, ccr, history, &highest);
	if (rc == GY_OK && history->known)
		rc = history_record(store, pool, ccr, highest, history);
	if (rc == GY_OK && history->known && ccr->refund.bound)
		rc = history_debit(store, ccr, history);
	if (rc != GY_OK)
		gy_store_rollback(store);
	return rc;
}
