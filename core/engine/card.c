/* Card operations (spec/cards.md): requests of the cards' Service-Context.
 *
 * They leave the way of the others after it is known whose they are: each is one transaction of the
 * store's, before the batch takes its locks, and is answered through the barrier like any other. A
 * copy finds the answer that was kept in the same transaction, so whatever happens to a batch, its
 * card operations may simply run again. */
#include <talloc.h>

#include "core/engine/batch.h"

/* So long a batch's card operations keep its other requests waiting; the rest of them comes with
 * the next batch. */
#define CARDS_NS INT64_C(50000000)

void gy_batch_sort_cards(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct work *w = &b->work[i];
		const struct gy_ccr *ccr = &w->request->ccr;
		const struct gy_service_context *context =
			gy_context_find(b->catalogue, ccr->service_context);

		w->card = context != NULL && context->cards;
		if (!w->card)
			continue;
		if (ccr->card_order == NULL) {
			gy_work_refuse(w, GY_MISSING_AVP, "Card-Operation is missing");
			w->request->answer.failed[0] =
				(struct gy_failed_avp){ .code = GY_OWN_OPERATION,
							.vendor = GY_VENDOR_OWN };
			w->request->answer.n_failed = 1;
		} else if (ccr->card_order->fault.rc != GY_OK) {
			w->request->answer = ccr->card_order->fault;
			w->fate = ANSWERED;
		}
	}
}

static enum gy_rc run_one(struct batch *b, struct work *w)
{
	struct gy_request *r = w->request;
	bool unsettled = r->unsettled;
	enum gy_rc rc;

	/* What has come through, or may have, is no longer refused for want of time (P8), also if
	 * the rest of the batch fails and it has to run again. */
	r->unsettled = true;
	rc = gy_store_card(b->lane->store, r->pool, &r->ccr, w->profile.subscriber_id, &r->answer);
	if (rc == GY_OK)
		w->fate = ANSWERED;
	if (rc == GY_OK || rc == GY_OUTCOME_UNKNOWN)
		return rc;
	r->unsettled = unsettled;
	switch (rc) {
	case GY_ROW_BUSY:
	case GY_STORE_RETRY:
		w->fate = TRY_AGAIN;
		return GY_OK;
	case GY_STORE_REFUSED: /* alone by nature: nobody else has to go singly for it */
		gy_engine_log(b->lane->engine, GY_LOG_ERROR, "a card operation was refused: %s",
			      gy_store_error(b->lane->store));
		gy_work_refuse(w, GY_UNABLE_TO_COMPLY, "this request cannot be stored");
		return GY_OK;
	default:
		return rc;
	}
}

/* Requests of one session keep their order. */
static bool waits_for_earlier(const struct batch *b, const struct work *w)
{
	const struct gy_session_key key = w->request->ccr.session;

	for (const struct work *earlier = b->work; earlier < w; earlier++)
		if (earlier->fate == TRY_AGAIN && earlier->request->ccr.session.hi == key.hi &&
		    earlier->request->ccr.session.lo == key.lo)
			return true;
	return false;
}

enum gy_rc gy_batch_run_cards(struct batch *b)
{
	int64_t until_ns = gy_engine_now_ns() + CARDS_NS;
	enum gy_rc rc = GY_OK;
	unsigned n = 0;

	for (unsigned i = 0; rc == GY_OK && i < b->n; i++) {
		struct work *w = &b->work[i];

		if (!w->card || w->fate != UNDECIDED)
			continue;
		if (n++ > 0 && gy_engine_now_ns() >= until_ns)
			w->fate = PUT_OFF;
		else if (waits_for_earlier(b, w))
			w->fate = TRY_AGAIN;
		else
			rc = run_one(b, w);
	}
	return rc;
}
