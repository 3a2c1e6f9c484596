/* Card operations: one call of gyro.card_request each, and what it returned as an answer.
 *
 * It decides nothing: refusals are the function's, except that a result which is no Result-Code of
 * ours is a fault of the schema (GY_STORE_REFUSED). */
#include <string.h>
#include <talloc.h>

#include "core/store/connection.h"

/* Columns of gyro.card_reply. */
enum column {
	RESULT,
	MESSAGE,
	FAILED_CODE,
	FAILED_INDEX,
	PURCHASE,
	CARD,
	BINDING,
	USER_CLASS,
	PRIORITY,
	TARGETS,
	GRANTED,
	COST,
	CURRENCY,
	VALIDITY,
	CHECK_BALANCE,
	STATISTICS,
	CARDS,
	COLUMNS,
};

/* Columns of a row of statistics. */
enum usage_column {
	U_CARD,
	U_GROUP,
	U_USED,
	U_FROM,
	U_UNTIL,
	U_AMOUNT,
	U_WINDOW,
	U_UNIT,
	U_COLUMNS
};

/* Codes up to this are Gyro's own AVPs, others are of the IETF. */
#define OWN_CODES_MAX 20

/* --- the call ---- */

/* CC-Service-Specific-Units that the request reports: the confirmation of a purchase. */
static int64_t confirmed_units(const struct gy_ccr *ccr)
{
	int64_t sum = -1;

	for (unsigned i = 0; i < ccr->n_services; i++)
		for (unsigned k = 0; k < ccr->services[i].n_used; k++) {
			const struct gy_used *used = &ccr->services[i].used[k];
			int64_t units = used->count[GY_UNIT_SERVICE];

			if (!used->present[GY_UNIT_SERVICE])
				continue;
			sum = sum < 0 ? units : sum + units;
			if (sum > GY_AMOUNT_MAX)
				sum = GY_AMOUNT_MAX;
		}
	return sum;
}

static void put_directed(struct gy_params *p, const struct gy_card_order *order)
{
	for (unsigned i = 14; i <= 16; i++)
		gy_array_begin(p, i, GY_OID_TEXT, 0);
	for (unsigned i = 0; i < order->n_directed; i++) {
		gy_array_text(p, 14, order->directed[i].app);
		gy_array_text(p, 15, order->directed[i].url);
		gy_array_text(p, 16, order->directed[i].flow);
	}
	for (unsigned i = 14; i <= 16; i++)
		gy_array_end(p, i);
}

static void put_request(struct gy_params *p, const struct gy_ccr *ccr, int64_t requester)
{
	const struct gy_card_order *order = ccr->card_order;
	bool other = order->beneficiary.value.data != NULL;

	gy_params_begin(p, 20);
	gy_value_uuid(p, 1, ccr->session);
	gy_value_int2(p, 2, (int16_t)ccr->type);
	gy_value_int8(p, 3, ccr->number);
	gy_value_int2(p, 4, (int16_t)ccr->action);
	gy_value_int2(p, 5, (int16_t)order->operation);
	gy_value_int8(p, 6, requester);
	gy_value_text(p, 7, order->product);
	gy_value_text(p, 8, order->purchase);
	gy_value_text(p, 9, order->card);
	gy_value_int2(p, 10, other ? (int16_t)order->beneficiary.kind : 0);
	gy_value_text(p, 11, order->beneficiary.value);
	gy_value_int8(p, 12, order->priority);
	gy_value_int8(p, 13, confirmed_units(ccr));
	put_directed(p, order);
	gy_value_int8(p, 17, ccr->gateway_id);
	gy_value_int8(p, 18, ccr->end_to_end);
	gy_value_int8(p, 19, (int64_t)ccr->content_hash);
	gy_value_bool(p, 20, ccr->retransmitted);
}

/* --- the answer ---- */

static int64_t number(const PGresult *result, enum column column, int64_t absent)
{
	const char *value = PQgetvalue(result, 0, (int)column);

	if (PQgetisnull(result, 0, (int)column))
		return absent;
	switch (PQgetlength(result, 0, (int)column)) {
	case 2:
		return gy_get_int2(value);
	case 4:
		return gy_get_int4(value);
	default:
		return gy_get_int8(value);
	}
}

/* False without memory. */
static bool copy(void *pool, struct gy_bytes bytes, struct gy_bytes *out)
{
	*out = (struct gy_bytes){ NULL, 0 };
	if (bytes.data == NULL)
		return true;
	/* An octet more than is there: also an empty text has an address. */
	uint8_t *data = talloc_size(pool, bytes.len + 1);
	if (data == NULL)
		return false;
	memcpy(data, bytes.data, bytes.len);
	data[bytes.len] = '\0';
	*out = (struct gy_bytes){ data, bytes.len };
	return true;
}

/* Where the request has an AVP that a refusal names; data NULL: nowhere. */
static struct gy_bytes find_avp(const struct gy_ccr *ccr, int64_t code, int64_t index)
{
	const struct gy_card_order *order = ccr->card_order;
	const struct gy_directed *directed = NULL;

	if (index >= 0 && index < (int64_t)order->n_directed)
		directed = &order->directed[index];
	switch (code) {
	case GY_OWN_DIRECTED:
		return directed != NULL ? directed->avp : order->own[GY_OWN_DIRECTED];
	case GY_OWN_APP:
		return directed != NULL ? directed->app_avp : (struct gy_bytes){ NULL, 0 };
	case GY_OWN_URL:
		return directed != NULL ? directed->url_avp : (struct gy_bytes){ NULL, 0 };
	case GY_OWN_FLOW:
		return directed != NULL ? directed->flow_avp : (struct gy_bytes){ NULL, 0 };
	case 415: /* CC-Request-Number */
		return ccr->number_avp;
	case 416: /* CC-Request-Type */
		return order->request_type;
	case 436: /* Requested-Action */
		return order->requested_action;
	case 446: /* Used-Service-Unit */
		return order->used_unit;
	default:
		return code > 0 && code < GY_OWN_AVPS ? order->own[code]
						      : (struct gy_bytes){ NULL, 0 };
	}
}

static void take_failed(const PGresult *result, const struct gy_ccr *ccr, struct gy_answer *answer)
{
	int64_t code = number(result, FAILED_CODE, 0);

	if (code == 0)
		return;
	answer->failed[0] = (struct gy_failed_avp){
		.code = (uint32_t)code,
		.vendor = code < OWN_CODES_MAX ? GY_VENDOR_OWN : 0,
		.avp = find_avp(ccr, code, number(result, FAILED_INDEX, 0)),
	};
	answer->n_failed = 1;
}

/* bigint[] of one dimension into numbers of 32 bits. */
static bool take_targets(void *pool, const PGresult *result, struct gy_card_reply *reply)
{
	struct gy_list list;
	uint32_t *targets;

	if (PQgetisnull(result, 0, TARGETS))
		return true;
	if (!gy_list_read(PQgetvalue(result, 0, TARGETS), PQgetlength(result, 0, TARGETS),
			  GY_OID_INT8, &list))
		return false;
	targets = talloc_array(pool, uint32_t, list.n);
	if (targets == NULL)
		return false;
	for (struct gy_bytes item; gy_list_next(&list, &item);)
		targets[reply->n_targets++] = (uint32_t)gy_get_int8((const char *)item.data);
	reply->targets = targets;
	return true;
}

/* The nth text of CARDS. */
static bool nth_card(void *pool, const PGresult *result, int64_t n, struct gy_bytes *card)
{
	struct gy_list list;
	struct gy_bytes item = { NULL, 0 };

	if (!gy_list_read(PQgetvalue(result, 0, CARDS), PQgetlength(result, 0, CARDS), GY_OID_TEXT,
			  &list))
		return false;
	for (int64_t i = 0; i <= n; i++)
		if (!gy_list_next(&list, &item))
			return false;
	return copy(pool, item, card);
}

static bool take_usage(void *pool, const PGresult *result, struct gy_card_reply *reply)
{
	struct gy_card_usage *usage;
	struct gy_matrix rows;

	if (PQgetisnull(result, 0, STATISTICS))
		return true;
	if (!gy_matrix_read(PQgetvalue(result, 0, STATISTICS), PQgetlength(result, 0, STATISTICS),
			    U_COLUMNS, &rows))
		return false;
	usage = talloc_array(pool, struct gy_card_usage, rows.rows);
	if (usage == NULL)
		return false;
	reply->n_usage = rows.rows;
	reply->usage = usage;
	for (unsigned i = 0; i < rows.rows; i++) {
		usage[i] = (struct gy_card_usage){
			.rating_group = (uint32_t)gy_matrix_at(&rows, i, U_GROUP),
			.unit = (enum gy_unit)gy_matrix_at(&rows, i, U_UNIT),
			.used = gy_matrix_at(&rows, i, U_USED),
			.from_us = gy_matrix_at(&rows, i, U_FROM),
			.until_us = gy_matrix_at(&rows, i, U_UNTIL),
			.amount = gy_matrix_at(&rows, i, U_AMOUNT),
			.window_id = (uint64_t)gy_matrix_at(&rows, i, U_WINDOW),
		};
		if (!nth_card(pool, result, gy_matrix_at(&rows, i, U_CARD), &usage[i].card))
			return false;
	}
	return true;
}

/* What is granted is money, at command level, however the request was written. */
static bool take_grant(void *pool, const PGresult *result, struct gy_answer *answer)
{
	int64_t granted = number(result, GRANTED, -1);
	int64_t validity_s = number(result, VALIDITY, 0);

	answer->at_command_level = true;
	if (granted < 0)
		return true;
	answer->services = talloc_zero(pool, struct gy_service_answer);
	if (answer->services == NULL)
		return false;
	answer->n_services = 1;
	answer->services[0] = (struct gy_service_answer){
		.unit = GY_UNIT_MONEY,
		.granted = granted,
		.validity_s = (uint32_t)validity_s,
		.final_unit = GY_FINAL_NONE,
	};
	return true;
}

static enum gy_rc take_reply(void *pool, const PGresult *result, const struct gy_ccr *ccr,
			     struct gy_answer *answer)
{
	struct gy_card_reply *reply = talloc_zero(pool, struct gy_card_reply);
	struct gy_bytes message;

	if (PQntuples(result) != 1 || PQnfields(result) != COLUMNS)
		return GY_STORE_REFUSED;
	*answer = (struct gy_answer){
		.rc = gy_rc_from_result_code((uint32_t)number(result, RESULT, 0)),
		.check_balance = (enum gy_check_balance)number(result, CHECK_BALANCE, 0),
		.cost_micros = number(result, COST, 0),
		.has_cost = !PQgetisnull(result, 0, COST),
		.currency = (int)number(result, CURRENCY, 0),
		.card = reply,
	};
	if (answer->rc == GY_RC_COUNT)
		return GY_STORE_REFUSED;
	take_failed(result, ccr, answer);
	if (reply == NULL || !copy(pool, gy_result_bytes(result, 0, MESSAGE), &message) ||
	    !copy(pool, gy_result_bytes(result, 0, PURCHASE), &reply->purchase) ||
	    !copy(pool, gy_result_bytes(result, 0, CARD), &reply->card) ||
	    !take_targets(pool, result, reply) || !take_usage(pool, result, reply) ||
	    !take_grant(pool, result, answer))
		return GY_NO_MEMORY;
	answer->message = (const char *)message.data;
	reply->binding_id = number(result, BINDING, 0);
	reply->user_class = (int)number(result, USER_CLASS, -1);
	reply->priority = number(result, PRIORITY, -1);
	return GY_OK;
}

enum gy_rc gy_store_card(struct gy_store *store, void *pool, const struct gy_ccr *ccr,
			 int64_t requester, struct gy_answer *answer)
{
	unsigned card;
	enum gy_rc rc;

	put_request(&store->find, ccr, requester);
	if (store->find.out_of_memory)
		return GY_NO_MEMORY;
	store->sync_wait_cancelled = false;
	gy_round_begin(store);
	gy_round_add_command(store, "BEGIN");
	card = gy_round_add(store, GY_SQL_CARD_REQUEST, &store->find);
	gy_round_add_command(store, "COMMIT");
	rc = gy_round_committed(store, gy_round_end(store));
	if (rc != GY_OK)
		return rc;
	/* Committed, but not to be read: a copy finds the kept answer. */
	rc = take_reply(pool, store->result[card], ccr, answer);
	return rc == GY_NO_MEMORY ? GY_OUTCOME_UNKNOWN : rc;
}

enum gy_rc gy_store_purchase_sweep(struct gy_store *store, unsigned max, unsigned *done)
{
	struct gy_params *p = &store->find;
	enum gy_rc rc;

	*done = 0;
	gy_params_begin(p, 1);
	gy_value_int4(p, 1, (int32_t)max);
	if (p->out_of_memory)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_PURCHASE_SWEEP, p);
	rc = gy_round_end(store);
	if (rc == GY_OK)
		*done = (unsigned)gy_get_int4(PQgetvalue(store->result[0], 0, 0));
	return rc;
}
