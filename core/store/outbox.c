/* The outbox's statements: rows to be sent, claimed, settled (G-80 to G-83).
 *
 * Only what a node needs; rows are written by their causes, with the functions of
 * schema/005_outbox.sql. It decides nothing about sending. */
#include <string.h>
#include <talloc.h>

#include "core/store/connection.h"

/* A copy that outlives the result. */
static bool copy_bytes(void *pool, const PGresult *result, int row, int column,
		       struct gy_bytes *out)
{
	struct gy_bytes bytes = gy_result_bytes(result, row, column);

	*out = (struct gy_bytes){ NULL, 0 };
	if (bytes.len == 0)
		return true;
	out->data = talloc_memdup(pool, bytes.data, bytes.len);
	out->len = bytes.len;
	return out->data != NULL;
}

enum gy_rc gy_store_outbox_spread(struct gy_store *store, int64_t at_most, int64_t *spread,
				  int64_t *due_in_ms)
{
	struct gy_params *p = &store->find;
	enum gy_rc rc;

	gy_params_begin(p, 1);
	gy_value_int8(p, 1, at_most);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_OUTBOX_SPREAD, p);
	rc = gy_round_end(store);
	if (rc == GY_OK) {
		*spread = gy_get_int8(PQgetvalue(store->result[0], 0, 0));
		*due_in_ms = gy_get_int8(PQgetvalue(store->result[0], 0, 1));
	}
	return rc;
}

enum gy_rc gy_store_outbox_gateways(struct gy_store *store, void *pool,
				    struct gy_outbox_gateway **gateways, unsigned *n)
{
	const PGresult *result;
	enum gy_rc rc;

	*n = 0;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_OUTBOX_GATEWAYS, NULL);
	rc = gy_round_end(store);
	if (rc != GY_OK)
		return rc;
	result = store->result[0];
	*gateways = talloc_zero_array(pool, struct gy_outbox_gateway, (unsigned)PQntuples(result));
	if (*gateways == NULL)
		return GY_NO_MEMORY;
	for (int i = 0; i < PQntuples(result); i++) {
		struct gy_outbox_gateway *g = &(*gateways)[i];

		g->gateway_id = gy_get_int8(PQgetvalue(result, i, 0));
		g->due_in_ms = gy_get_int8(PQgetvalue(result, i, 3));
		if (!copy_bytes(pool, result, i, 1, &g->host) ||
		    !copy_bytes(pool, result, i, 2, &g->realm))
			return GY_NO_MEMORY;
	}
	*n = (unsigned)PQntuples(result);
	return GY_OK;
}

static bool take_row(void *pool, const PGresult *result, int i, struct gy_outbox_row *row)
{
	*row = (struct gy_outbox_row){
		.outbox_id = gy_get_int8(PQgetvalue(result, i, 0)),
		.group_id = gy_get_int8(PQgetvalue(result, i, 1)),
		.gateway_id = gy_get_int8(PQgetvalue(result, i, 2)),
		.attempt = (unsigned)gy_get_int2(PQgetvalue(result, i, 4)),
		.kind = gy_get_int2(PQgetvalue(result, i, 5)),
		.rating_group = gy_get_int8(PQgetvalue(result, i, 6)),
	};
	return copy_bytes(pool, result, i, 7, &row->session_id) &&
	       copy_bytes(pool, result, i, 8, &row->sub_session);
}

enum gy_rc gy_store_outbox_claim(struct gy_store *store, void *pool,
				 const struct gy_outbox_gateway *gateways, unsigned n_gateways,
				 struct gy_bytes node, int64_t claim_ms, unsigned tries,
				 struct gy_outbox_row **rows, unsigned *n, unsigned *taken)
{
	struct gy_params *p = &store->find;
	const PGresult *result;
	enum gy_rc rc;

	*n = *taken = 0;
	gy_params_begin(p, 6);
	for (unsigned i = 1; i <= 3; i++)
		gy_array_begin(p, i, GY_OID_INT8, 0);
	for (unsigned i = 0; i < n_gateways; i++) {
		if (gateways[i].room == 0)
			continue;
		gy_array_int8(p, 1, gateways[i].gateway_id);
		gy_array_int8(p, 2, gateways[i].leave_ms);
		gy_array_int8(p, 3, gateways[i].room);
	}
	for (unsigned i = 1; i <= 3; i++)
		gy_array_end(p, i);
	gy_value_text(p, 4, node);
	gy_value_int8(p, 5, claim_ms);
	gy_value_int8(p, 6, tries);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_OUTBOX_CLAIM, p);
	rc = gy_round_end(store);
	if (rc != GY_OK)
		return rc;
	result = store->result[0];
	*taken = (unsigned)PQntuples(result);
	*rows = talloc_array(pool, struct gy_outbox_row, *taken);
	if (*rows == NULL)
		return GY_NO_MEMORY;
	for (int i = 0; i < PQntuples(result); i++) {
		if (gy_get_int2(PQgetvalue(result, i, 3)) != 2)
			continue; /* finished instead */
		if (!take_row(pool, result, i, &(*rows)[*n]))
			return GY_NO_MEMORY;
		(*n)++;
	}
	return GY_OK;
}

enum gy_rc gy_store_outbox_told(struct gy_store *store, const struct gy_outbox_told *told,
				unsigned n, struct gy_bytes node, unsigned tries, int64_t *released)
{
	struct gy_params *p = &store->find;
	enum gy_rc rc;

	*released = 0;
	gy_params_begin(p, 8);
	for (unsigned i = 1; i <= 6; i++)
		gy_array_begin(p, i, GY_OID_INT8, 0);
	for (unsigned i = 0; i < n; i++) {
		gy_array_int8(p, 1, told[i].outbox_id);
		gy_array_int8(p, 2, told[i].group_id);
		gy_array_int8(p, 3, told[i].attempt);
		gy_array_int8(p, 4, told[i].told);
		gy_array_int8(p, 5, told[i].code);
		gy_array_int8(p, 6, told[i].pause_ms);
	}
	for (unsigned i = 1; i <= 6; i++)
		gy_array_end(p, i);
	gy_value_text(p, 7, node);
	gy_value_int8(p, 8, tries);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_OUTBOX_TOLD, p);
	rc = gy_round_end(store);
	if (rc == GY_OK)
		*released = gy_get_int8(PQgetvalue(store->result[0], 0, 0));
	return rc;
}

enum gy_rc gy_store_outbox_tidy(struct gy_store *store)
{
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_OUTBOX_GIVE_UP, NULL);
	gy_round_add(store, GY_SQL_OUTBOX_FORGET, NULL);
	return gy_round_end(store);
}
