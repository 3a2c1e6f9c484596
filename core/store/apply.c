/* What a batch writes: one statement for all of it, and the COMMIT right behind. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/store/connection.h"
#include "core/store/row.h"

/* The numbers of batch_apply.sql's parameters. */
enum account_param {
	ACCOUNT_ID = 1,
	GROUP_ID,
	VERSION,
	BALANCE,
	RESERVED,
	S_FROM,
	S_TO,
	R_FROM,
	R_TO,
	A_FROM,
	A_TO,
	L_FROM,
	L_TO,
	C_FROM,
	C_TO,
	D_FROM,
	D_TO,
	K_FROM,
	K_TO,
	SESSIONS,
	RESERVATIONS,
	ANSWERS,
	SLICES,
	COUNTERS,
	DRAWS,
	CARD_USE,
};
enum record_param {
	R_AT = CARD_USE + 1,
	R_ACCOUNT,
	R_GROUP,
	R_SUBSCRIBER,
	R_GATEWAY,
	R_SESSION,
	R_OPENED,
	R_NUMBER,
	R_END_TO_END,
	R_CONTENT_HASH,
	R_DEBIT,
	R_BALANCE,
	R_RESERVED,
	R_RESULT,
	R_TYPE,
	R_FLAGS,
	R_CATALOGUE,
	R_INPUTS,
	R_C_FROM,
	R_C_TO,
	R_CHARGES,
};
enum index_param {
	X_SESSION = R_CHARGES + 1,
	X_SESSION_ID,
	X_SUB_SESSION,
	X_ACCOUNT,
	X_GROUP,
	X_SUBSCRIBER,
	X_GATEWAY,
	X_OPENED,
	X_CHECK_AT,
	X_KNOWN,
	X_OF_ACCOUNT,
	X_OF_OPENED,
	X_EXPECTED,
	R_CORRELATION, /* a column of the records, too */
};
_Static_assert(R_CORRELATION == GY_PARAMS_MAX, "batch_apply.sql's parameters");

/* A row's share of a batch's matrix: rows from..to, counted from 1; none: to = from - 1. */
static void put_slice(struct gy_params *p, unsigned from, unsigned to, unsigned *next,
		      unsigned rows)
{
	gy_array_int8(p, from, *next);
	*next += rows;
	gy_array_int8(p, to, (int64_t)*next - 1);
}

static unsigned put_accounts(struct gy_params *p, const struct gy_locked *locked, unsigned n)
{
	unsigned sessions = 1, reservations = 1, answers = 1, slices = 1, counters = 1, cards = 1,
		 draws = 1, changed = 0;

	for (unsigned i = ACCOUNT_ID; i <= K_TO; i++)
		gy_array_begin(p, i, GY_OID_INT8, 0);
	gy_array_begin(p, SESSIONS, GY_OID_INT8, GY_SESSION_COLUMNS);
	gy_array_begin(p, RESERVATIONS, GY_OID_INT8, GY_RESERVATION_COLUMNS);
	gy_array_begin(p, ANSWERS, GY_OID_INT8, GY_ANSWER_COLUMNS);
	gy_array_begin(p, SLICES, GY_OID_INT8, GY_SLICE_COLUMNS);
	gy_array_begin(p, COUNTERS, GY_OID_INT8, GY_COUNTER_COLUMNS);
	gy_array_begin(p, DRAWS, GY_OID_INT8, GY_DRAW_COLUMNS);
	gy_array_begin(p, CARD_USE, GY_OID_INT8, GY_CARD_USE_COLUMNS);
	for (unsigned i = 0; i < n; i++) {
		const struct gy_account *a = &locked[i].account;

		if (!locked[i].changed)
			continue;
		changed++;
		gy_array_int8(p, ACCOUNT_ID, a->account_id);
		gy_array_int8(p, GROUP_ID, a->group_id);
		gy_array_int8(p, VERSION, a->version);
		gy_array_int8(p, BALANCE, a->balance);
		gy_array_int8(p, RESERVED, a->reserved);
		put_slice(p, S_FROM, S_TO, &sessions, a->n_sessions);
		put_slice(p, R_FROM, R_TO, &reservations, a->n_reservations);
		put_slice(p, A_FROM, A_TO, &answers, a->n_answers);
		put_slice(p, L_FROM, L_TO, &slices, a->n_slices);
		put_slice(p, C_FROM, C_TO, &counters, a->n_counters);
		put_slice(p, D_FROM, D_TO, &draws, a->n_draws);
		put_slice(p, K_FROM, K_TO, &cards, a->n_cards);
		gy_sessions_put(p, SESSIONS, a);
		gy_reservations_put(p, RESERVATIONS, a);
		gy_answers_put(p, ANSWERS, a);
		gy_slices_put(p, SLICES, a);
		gy_counters_put(p, COUNTERS, a);
		gy_draws_put(p, DRAWS, a);
		gy_card_use_put(p, CARD_USE, a);
	}
	for (unsigned i = ACCOUNT_ID; i <= CARD_USE; i++)
		gy_array_end(p, i);
	return changed;
}

static void begin_records(struct gy_params *p)
{
	for (unsigned i = R_ACCOUNT; i <= R_C_TO; i++)
		gy_array_begin(p, i, GY_OID_INT8, 0);
	gy_array_begin(p, R_AT, GY_OID_TIMESTAMPTZ, 0);
	gy_array_begin(p, R_SESSION, GY_OID_UUID, 0);
	gy_array_begin(p, R_OPENED, GY_OID_TIMESTAMPTZ, 0);
	gy_array_begin(p, R_RESULT, GY_OID_INT4, 0);
	gy_array_begin(p, R_TYPE, GY_OID_INT2, 0);
	gy_array_begin(p, R_FLAGS, GY_OID_INT2, 0);
	gy_array_begin(p, R_INPUTS, GY_OID_TEXT, 0);
	gy_array_begin(p, R_CORRELATION, GY_OID_TEXT, 0);
	gy_array_begin(p, R_CHARGES, GY_OID_INT8, GY_CHARGE_COLUMNS);
}

static void put_records(struct gy_params *p, const struct gy_record *const *records, unsigned n)
{
	unsigned charges = 1;

	begin_records(p);
	for (unsigned i = 0; i < n; i++) {
		const struct gy_record *r = records[i];

		gy_array_time(p, R_AT, r->at_us);
		gy_array_int8(p, R_ACCOUNT, r->account_id);
		gy_array_int8(p, R_GROUP, r->group_id);
		gy_array_int8(p, R_SUBSCRIBER, r->subscriber_id);
		gy_array_int8(p, R_GATEWAY, r->gateway_id);
		gy_array_uuid(p, R_SESSION, r->session);
		gy_array_time(p, R_OPENED, r->opened_us);
		gy_array_int8(p, R_NUMBER, r->number);
		gy_array_int8(p, R_END_TO_END, r->end_to_end);
		gy_array_int8(p, R_CONTENT_HASH, (int64_t)r->content_hash);
		gy_array_int8(p, R_DEBIT, r->debit);
		gy_array_int8(p, R_BALANCE, r->balance);
		gy_array_int8(p, R_RESERVED, r->reserved);
		gy_array_int4(p, R_RESULT, (int32_t)gy_rc_result_code(r->rc));
		gy_array_int2(p, R_TYPE, (int16_t)r->type);
		gy_array_int2(p, R_FLAGS, (int16_t)r->flags);
		gy_array_int8(p, R_CATALOGUE, r->catalogue);
		gy_array_text(p, R_INPUTS,
			      (struct gy_bytes){ (const uint8_t *)r->inputs.text, r->inputs.len });
		gy_array_text(p, R_CORRELATION, r->correlation);
		put_slice(p, R_C_FROM, R_C_TO, &charges, r->n_charges);
		gy_charges_put(p, R_CHARGES, r);
	}
	for (unsigned i = R_AT; i <= R_CHARGES; i++)
		gy_array_end(p, i);
	gy_array_end(p, R_CORRELATION);
}

static void put_sub_session(struct gy_params *p, const struct gy_ccr *ccr)
{
	char text[24] = "";
	int len = 0;

	if (ccr->has_sub_session)
		len = snprintf(text, sizeof(text), "%" PRIu64, ccr->sub_session);
	gy_array_text(p, X_SUB_SESSION, (struct gy_bytes){ (const uint8_t *)text, (size_t)len });
}

static void put_opened(struct gy_params *p, const struct gy_opened *opened, unsigned n)
{
	gy_array_begin(p, X_SESSION, GY_OID_UUID, 0);
	gy_array_begin(p, X_SESSION_ID, GY_OID_TEXT, 0);
	gy_array_begin(p, X_SUB_SESSION, GY_OID_TEXT, 0);
	for (unsigned i = X_ACCOUNT; i <= X_GATEWAY; i++)
		gy_array_begin(p, i, GY_OID_INT8, 0);
	gy_array_begin(p, X_OPENED, GY_OID_TIMESTAMPTZ, 0);
	gy_array_begin(p, X_CHECK_AT, GY_OID_TIMESTAMPTZ, 0);
	gy_array_begin(p, X_KNOWN, GY_OID_BOOL, 0);
	gy_array_begin(p, X_OF_ACCOUNT, GY_OID_INT8, 0);
	gy_array_begin(p, X_OF_OPENED, GY_OID_TIMESTAMPTZ, 0);
	for (unsigned i = 0; i < n; i++) {
		const struct gy_record *r = opened[i].record;

		gy_array_uuid(p, X_SESSION, r->session);
		gy_array_text(p, X_SESSION_ID, opened[i].ccr->session_id);
		put_sub_session(p, opened[i].ccr);
		gy_array_int8(p, X_ACCOUNT, r->account_id);
		gy_array_int8(p, X_GROUP, r->group_id);
		gy_array_int8(p, X_SUBSCRIBER, r->subscriber_id);
		gy_array_int8(p, X_GATEWAY, r->gateway_id);
		gy_array_time(p, X_OPENED, r->opened_us);
		gy_array_time(p, X_CHECK_AT, opened[i].check_at_us);
		gy_array_bool(p, X_KNOWN, opened[i].known);
		gy_array_int8(p, X_OF_ACCOUNT, opened[i].of_account);
		gy_array_time(p, X_OF_OPENED, opened[i].of_opened_us);
	}
	for (unsigned i = X_SESSION; i <= X_OF_OPENED; i++)
		gy_array_end(p, i);
}

static void put_sooner(struct gy_params *p, const struct gy_sooner *sooner, unsigned n)
{
	gy_params_begin(p, 2);
	gy_array_begin(p, 1, GY_OID_UUID, 0);
	gy_array_begin(p, 2, GY_OID_TIMESTAMPTZ, 0);
	for (unsigned i = 0; i < n; i++) {
		gy_array_uuid(p, 1, sooner[i].session);
		gy_array_time(p, 2, sooner[i].check_at_us);
	}
	gy_array_end(p, 1);
	gy_array_end(p, 2);
}

enum gy_rc gy_round_committed(struct gy_store *store, enum gy_rc rc)
{
	if (rc == GY_STORE_UNAVAILABLE)
		return store->rolled_back ? rc : GY_OUTCOME_UNKNOWN;
	if (rc != GY_OK) {
		gy_store_rollback(store);
		return rc;
	}
	if (store->sync_wait_cancelled) {
		store->sync_wait_cancelled = false;
		snprintf(store->error, sizeof(store->error),
			 "the wait for the synchronous standby was cancelled: outcome unknown");
		return GY_OUTCOME_UNKNOWN;
	}
	return GY_OK;
}

enum gy_rc gy_store_apply(struct gy_store *store, const struct gy_locked *locked, unsigned n_locked,
			  const struct gy_record *const *records, unsigned n_records,
			  const struct gy_opened *opened, unsigned n_opened,
			  const struct gy_sooner *sooner, unsigned n_sooner)
{
	struct gy_params *p = &store->apply;
	unsigned changed;

	gy_params_begin(p, GY_PARAMS_MAX);
	changed = put_accounts(p, locked, n_locked);
	put_records(p, records, n_records);
	put_opened(p, opened, n_opened);
	gy_value_int8(p, X_EXPECTED, (int64_t)changed + n_records + n_opened);
	if (n_sooner > 0)
		put_sooner(&store->known, sooner, n_sooner);
	if (p->out_of_memory || store->known.out_of_memory) {
		gy_store_rollback(store);
		return GY_NO_MEMORY;
	}
	store->sync_wait_cancelled = false;
	gy_round_begin(store);
	if (changed + n_records + n_opened > 0)
		gy_round_add(store, GY_SQL_BATCH_APPLY, p);
	if (n_sooner > 0)
		gy_round_add(store, GY_SQL_SESSION_SOONER, &store->known);
	gy_round_add_command(store, "COMMIT");
	return gy_round_committed(store, gy_round_end(store));
}

/* Adds one request to the round. */
static enum gy_rc add_unmatched(struct gy_store *store, const struct gy_ccr *ccr)
{
	struct gy_params *p = &store->find;

	gy_params_begin(p, 7);
	gy_value_uuid(p, 1, ccr->session);
	gy_value_text(p, 2, ccr->session_id);
	gy_value_text(p, 3, ccr->origin_host);
	gy_value_int2(p, 4, (int16_t)ccr->type);
	gy_value_int8(p, 5, ccr->number);
	gy_value_int8(p, 6, (int64_t)ccr->content_hash);
	gy_array_begin(p, 7, GY_OID_INT8, 3);
	for (unsigned i = 0; i < ccr->n_services; i++)
		for (unsigned k = 0; k < ccr->services[i].n_used; k++)
			for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_COUNT; unit++) {
				const struct gy_service *s = &ccr->services[i];

				if (s->used[k].count[unit] <= 0)
					continue;
				gy_array_int8(p, 7,
					      s->has_rating_group ? (int64_t)s->rating_group : -1);
				gy_array_int8(p, 7, unit);
				gy_array_int8(p, 7, s->used[k].count[unit]);
			}
	gy_array_end(p, 7);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_add(store, GY_SQL_UNMATCHED_KEEP, p);
	return GY_OK;
}

enum gy_rc gy_store_keep_unmatched(struct gy_store *store, const struct gy_ccr *const *ccrs,
				   unsigned n)
{
	enum gy_rc rc = GY_OK;

	gy_round_begin(store);
	gy_round_add_command(store, "BEGIN");
	for (unsigned i = 0; rc == GY_OK && i < n; i++) {
		if (store->n_round == GY_ROUND_MAX - 1) { /* room for the COMMIT */
			rc = gy_round_end(store);
			gy_round_begin(store);
		}
		if (rc == GY_OK)
			rc = add_unmatched(store, ccrs[i]);
	}
	if (rc == GY_OK) {
		gy_round_add_command(store, "COMMIT");
		rc = gy_round_end(store);
	}
	if (rc != GY_OK)
		gy_store_rollback(store);
	return rc;
}
