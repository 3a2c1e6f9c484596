/* Supervision's statements: due sessions, and when to look at them again (G-67). */
#include <talloc.h>

#include "core/store/connection.h"

/* BEGIN and a statement that locks up to max rows of the index; they stand in store->result[1]. */
static enum gy_rc begin(struct gy_store *store, void *pool, enum gy_sql sql, unsigned max,
			struct gy_due **due, unsigned *n)
{
	struct gy_params *p = &store->find;
	enum gy_rc rc;

	*n = 0;
	gy_params_begin(p, 1);
	gy_value_int4(p, 1, (int32_t)max);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add_command(store, "BEGIN");
	gy_round_add(store, sql, p);
	rc = gy_round_end(store);
	if (rc != GY_OK) {
		gy_store_rollback(store);
		return rc;
	}
	*n = (unsigned)PQntuples(store->result[1]);
	*due = talloc_zero_array(pool, struct gy_due, *n);
	if (*due == NULL) {
		gy_store_rollback(store);
		return GY_NO_MEMORY;
	}
	return GY_OK;
}

enum gy_rc gy_store_due(struct gy_store *store, void *pool, unsigned max, struct gy_due **due,
			unsigned *n)
{
	enum gy_rc rc = begin(store, pool, GY_SQL_SWEEP_DUE, max, due, n);
	const PGresult *result = store->result[1];

	for (unsigned i = 0; rc == GY_OK && i < *n; i++)
		(*due)[i] = (struct gy_due){
			.session = gy_get_uuid(PQgetvalue(result, (int)i, 0)),
			.account_id = gy_get_int8(PQgetvalue(result, (int)i, 1)),
			.release_requested = *PQgetvalue(result, (int)i, 2) != 0,
			.ended = *PQgetvalue(result, (int)i, 3) != 0,
		};
	return rc;
}

enum gy_rc gy_store_lost(struct gy_store *store, void *pool, unsigned max, struct gy_due **due,
			 unsigned *n)
{
	enum gy_rc rc = begin(store, pool, GY_SQL_SWEEP_LOST, max, due, n);
	const PGresult *result = store->result[1];

	for (unsigned i = 0; rc == GY_OK && i < *n; i++)
		(*due)[i] = (struct gy_due){
			.session = gy_get_uuid(PQgetvalue(result, (int)i, 0)),
			.account_id = gy_get_int8(PQgetvalue(result, (int)i, 1)),
			.lost_by = gy_get_int8(PQgetvalue(result, (int)i, 2)),
			.restarted_us = gy_get_time(PQgetvalue(result, (int)i, 3)),
		};
	return rc;
}

enum gy_rc gy_store_lost_done(struct gy_store *store)
{
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_SWEEP_LOST_DONE, NULL);
	return gy_round_end(store);
}

enum gy_rc gy_store_due_done(struct gy_store *store, const struct gy_due *due, unsigned n)
{
	struct gy_params *later = &store->find, *forget = &store->known;
	enum gy_rc rc;

	gy_params_begin(later, 5);
	gy_array_begin(later, 1, GY_OID_UUID, 0);
	gy_array_begin(later, 2, GY_OID_TIMESTAMPTZ, 0);
	gy_array_begin(later, 3, GY_OID_BOOL, 0);
	gy_array_begin(later, 4, GY_OID_BOOL, 0);
	gy_array_begin(later, 5, GY_OID_BOOL, 0);
	gy_params_begin(forget, 1);
	gy_array_begin(forget, 1, GY_OID_UUID, 0);
	for (unsigned i = 0; i < n; i++) {
		if (due[i].ended && !due[i].looked) {
			gy_array_uuid(forget, 1, due[i].session);
		} else if (due[i].looked) {
			gy_array_uuid(later, 1, due[i].session);
			gy_array_time(later, 2, due[i].look_at_us);
			gy_array_bool(later, 3, due[i].ended);
			gy_array_bool(later, 4,
				      due[i].lost_by != 0 &&
					      (due[i].ended || due[i].release_requested));
			gy_array_bool(later, 5, due[i].taken_over);
		}
	}
	for (unsigned number = 1; number <= 5; number++)
		gy_array_end(later, number);
	gy_array_end(forget, 1);
	if (later->out_of_memory || forget->out_of_memory) {
		gy_store_rollback(store);
		return GY_NO_MEMORY;
	}
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_SWEEP_LATER, later);
	gy_round_add(store, GY_SQL_SWEEP_FORGET, forget);
	rc = gy_round_end(store);
	if (rc != GY_OK)
		gy_store_rollback(store);
	return rc;
}

enum gy_rc gy_store_partitions(struct gy_store *store, bool *astray)
{
	enum gy_rc rc;

	gy_round_begin(store);
	gy_round_add(store, GY_SQL_RECORD_PARTITIONS, NULL);
	gy_round_add(store, GY_SQL_RECORD_ASTRAY, NULL);
	rc = gy_round_end(store);
	*astray = rc == GY_OK && *PQgetvalue(store->result[1], 0, 0) != 0;
	return rc;
}
