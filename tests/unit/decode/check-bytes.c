/* See check-bytes.h. */
#include "tests/unit/decode/check-bytes.h"

#include <stdlib.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/charging/card_order.h"
#include "extensions/app_gyro/decode.h"
#include "extensions/app_gyro/encode.h"
#include "extensions/app_gyro/wire.h"

static const struct gy_node node = {
	.identity = { { (const uint8_t *)"ocs1.spec.test", 14 },
		      { (const uint8_t *)"spec.test", 9 } },
	.origin_state_id = 1,
};

static uint64_t sum_of(struct gy_bytes bytes)
{
	uint64_t sum = bytes.len;

	for (size_t i = 0; i < bytes.len; i++)
		sum += bytes.data[i];
	return sum;
}

static uint64_t read_order(const struct gy_card_order *order)
{
	uint64_t sum = sum_of(order->product) + sum_of(order->purchase) + sum_of(order->card) +
		       sum_of(order->beneficiary.value) + sum_of(order->request_type) +
		       sum_of(order->requested_action) + sum_of(order->used_unit);

	gy_assert(order->fault.rc == GY_OK || order->fault.message != NULL);
	gy_assert(order->n_directed <= GY_DIRECTED_MAX);
	for (unsigned i = 0; i < GY_OWN_AVPS; i++)
		sum += sum_of(order->own[i]);
	for (unsigned i = 0; i < order->n_directed; i++) {
		const struct gy_directed *d = &order->directed[i];

		sum += sum_of(d->app) + sum_of(d->url) + sum_of(d->flow) + sum_of(d->avp) +
		       sum_of(d->app_avp) + sum_of(d->url_avp) + sum_of(d->flow_avp);
	}
	return sum;
}

/* Reads all that the core would read, so that a sanitizer sees it. */
static uint64_t read_all(const struct gy_ccr *ccr)
{
	uint64_t sum = ccr->content_hash ^ ccr->session.hi;

	for (unsigned i = 0; i < ccr->n_identities; i++)
		for (size_t j = 0; j < ccr->identities[i].value.len; j++)
			sum += ccr->identities[i].value.data[j];
	for (unsigned i = 0; i < ccr->n_services; i++) {
		const struct gy_service *s = &ccr->services[i];

		for (unsigned j = 0; j < s->n_service_ids; j++)
			sum += s->service_ids[j];
		for (unsigned j = 0; j < s->n_used; j++)
			for (unsigned k = 0; k < GY_UNIT_COUNT; k++) {
				gy_assert(s->used[j].count[k] >= 0 &&
					  s->used[j].count[k] <= GY_AMOUNT_MAX);
				sum += (uint64_t)s->used[j].count[k];
			}
		for (size_t j = 0; j < s->avp.len; j++)
			sum += s->avp.data[j];
	}
	if (ccr->card_order != NULL)
		sum += read_order(ccr->card_order);
	return sum;
}

/* The answer is well-formed itself: every length in it is right, and adds up. */
static void check_answer(const uint8_t *bytes, size_t size)
{
	struct gy_avp_cursor cursor = { bytes + GY_HEADER_SIZE, bytes + size };
	enum gy_avp_step step;
	struct gy_avp avp;

	gy_assert(gy_get24(bytes + 1) == size && size % 4 == 0);
	while ((step = gy_avp_step(&cursor, &avp)) == GY_AVP_STEP_OK)
		;
	gy_assert(step == GY_AVP_STEP_END);
}

enum gy_rc check_bytes(const uint8_t *data, size_t size)
{
	struct gy_bytes raw = { data, size };
	void *pool = talloc_pool(NULL, 4096);
	struct gy_envelope envelope;
	struct gy_answer answer;
	struct gy_ccr ccr;
	volatile uint64_t sink;
	enum gy_rc rc;
	uint8_t *bytes;
	size_t n;

	rc = gy_envelope_read(pool, raw, &node.identity, &envelope, &answer);
	if (rc == GY_OK)
		rc = gy_ccr_decode(pool, raw, &envelope, &(struct gy_decode_terms){ 0 }, &ccr,
				   &answer);
	gy_assert(rc == answer.rc);
	gy_assert(rc == GY_OK || answer.message != NULL);
	if (rc == GY_OK) {
		gy_assert(ccr.type >= GY_INITIAL && ccr.type <= GY_EVENT);
		gy_assert(ccr.session_id.len > 0 && ccr.n_services <= GY_SERVICES_MAX);
		sink = read_all(&ccr);
		(void)sink;
		if (ccr.card_order != NULL) /* answered where card operations are asked for */
			answer = ccr.card_order->fault;
	}
	bytes = gy_answer_encode(&node, &envelope, &answer, &n);
	gy_assert(bytes != NULL);
	check_answer(bytes, n);
	free(bytes);
	talloc_free(pool);
	return rc;
}
