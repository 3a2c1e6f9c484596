/* Duplicates: what a session has seen, what it keeps, what it replays. See duplicate.h. */
#include "core/charging/duplicate.h"

#include "core/base/assert.h"
#include "core/charging/direction.h"
#include "core/rating/dynamic.h"

static bool is_row_of(const struct gy_kept_answer *row, unsigned session, const struct gy_ccr *ccr)
{
	return row->session == session && row->type == ccr->type && row->number == ccr->number;
}

/* The second half of G-84: the gateway says that it sends again what it sent under this End-to-End
 * identifier, which is unique per Origin-Host (RFC 6733 §3), whatever number stands in there now.
 */
static bool is_resent(const struct gy_account *account, const struct gy_kept_answer *row,
		      unsigned session, const struct gy_ccr *ccr)
{
	return row->session == session && row->type == ccr->type &&
	       row->end_to_end == ccr->end_to_end &&
	       account->sessions[session].gateway_id == ccr->gateway_id;
}

/* Was there a CCR-U of this number, or may there have been? */
static bool update_seen(const struct gy_session *session, const struct gy_ccr *ccr)
{
	int64_t below = session->highest - (int64_t)ccr->number;

	return ccr->type == GY_UPDATE && below >= 0 &&
	       (below >= 64 || (session->seen >> below & 1) != 0);
}

/* The number goes first: the End-to-End identifier is asked only if that was never seen. */
static int first_kept(const struct gy_account *account, unsigned session, const struct gy_ccr *ccr)
{
	for (unsigned i = 0; i < account->n_answers; i++)
		if (is_row_of(&account->answers[i], session, ccr))
			return (int)i;
	if (!ccr->retransmitted || update_seen(&account->sessions[session], ccr))
		return -1;
	for (unsigned i = 0; i < account->n_answers; i++)
		if (is_resent(account, &account->answers[i], session, ccr))
			return (int)i;
	return -1;
}

enum gy_seen gy_request_seen(const struct gy_account *account, unsigned session,
			     const struct gy_ccr *ccr)
{
	const struct gy_session *s = &account->sessions[session];

	if (first_kept(account, session, ccr) >= 0)
		return GY_SEEN_KEPT;
	if (ccr->type == GY_INITIAL)
		return s->initial_number == (int64_t)ccr->number ? GY_SEEN_EARLIER : GY_SEEN_NEVER;
	if (ccr->type == GY_EVENT)
		return GY_SEEN_EARLIER;
	if (ccr->type == GY_TERMINATION)
		return s->state == GY_SESSION_OPEN ? GY_SEEN_NEVER : GY_SEEN_EARLIER;
	return update_seen(s, ccr) ? GY_SEEN_EARLIER : GY_SEEN_NEVER;
}

void gy_number_note(struct gy_session *session, uint32_t number)
{
	int64_t above = (int64_t)number - session->highest;

	if (above > 0) {
		session->seen = above < 64 ? session->seen << above : 0;
		session->seen |= 1;
		session->highest = number;
	} else if (above > -64) {
		session->seen |= UINT64_C(1) << -above;
	}
}

void gy_answer_keep(struct gy_account *account, unsigned session, const struct gy_ccr *ccr,
		    const struct gy_answer *answer)
{
	unsigned rows = answer->n_services > 0 ? answer->n_services : 1;

	gy_assert(account->n_answers + rows <= account->answers_room);
	for (unsigned i = 0; i < rows; i++) {
		struct gy_kept_answer row = {
			.session = session,
			.type = ccr->type,
			.number = ccr->number,
			.end_to_end = ccr->end_to_end,
			.content_hash = ccr->content_hash,
			.rc = answer->rc,
			.service_rc = GY_RC_COUNT,
			.final_unit = GY_FINAL_NONE,
			.rating_group = -1,
		};

		if (answer->n_services > 0) {
			const struct gy_service_answer *service = &answer->services[i];

			row.service_rc = service->rc;
			row.unit = service->unit;
			row.final_unit = service->final_unit;
			row.quota_holding_s = service->quota_holding_s;
			row.rating_group =
				service->has_rating_group ? (int64_t)service->rating_group : -1;
			row.service_key = ccr->services[i].service_key;
			row.granted = service->granted;
			row.validity_s = service->validity_s;
			row.threshold = service->threshold;
			row.switch_s = service->switch_s;
			row.redirect_rule = service->redirect_rule;
			row.pool = service->pool;
			row.directions = service->directions;
		}
		account->answers[account->n_answers++] = row;
	}
	gy_kept_answers_trim(account, session);
}

/* Where a dynamic rule redirected to. A rule that is gone leaves the policy's address. */
static void find_redirect(const struct gy_catalogue *catalogue, struct gy_service_answer *service)
{
	const struct gy_dynamic *dynamic = catalogue->dynamic;

	for (unsigned i = 0; dynamic != NULL && i < dynamic->n_rules; i++)
		if (dynamic->rules[i].rule_id == (int64_t)service->redirect_rule &&
		    dynamic->rules[i].effect.kind == GY_EFFECT_REDIRECT) {
			service->redirect_type = dynamic->rules[i].effect.redirect_type;
			service->redirect_address = dynamic->rules[i].effect.address;
		}
}

/* As when it was answered first: a service without Rating-Group counts as the context's (G-44). */
static const struct gy_policy *policy_of(const struct gy_service_answer *service,
					 const struct gy_ccr *ccr,
					 const struct gy_catalogue *catalogue)
{
	const struct gy_service_context *context;

	if (service->has_rating_group)
		return gy_policy_find(catalogue, service->rating_group);
	context = gy_context_find(catalogue, ccr->service_context);
	if (context == NULL || context->default_rating_group < 0)
		return NULL;
	return gy_policy_find(catalogue, (uint32_t)context->default_rating_group);
}

/* What the request says in this place, if that is what the kept row answers. Equal content says the
 * same; other content (T set, G-86) may not. */
static const struct gy_service *asked_by(const struct gy_kept_answer *row, unsigned place,
					 const struct gy_ccr *ccr)
{
	const struct gy_service *service = &ccr->services[place];
	int64_t group;

	if (place >= ccr->n_services)
		return NULL;
	group = service->has_rating_group ? (int64_t)service->rating_group : -1;
	return service->service_key == row->service_key && group == row->rating_group ? service
										      : NULL;
}

/* Fills the answer from its kept rows. The Service-Identifiers to echo are the request's own, and
 * so is what a grant in both directions is shared by. */
static void replay_rows(const struct gy_account *account, const struct gy_kept_answer *rows,
			unsigned n, const struct gy_ccr *ccr, const struct gy_catalogue *catalogue,
			struct gy_plan *plan)
{
	struct gy_answer *answer = &plan->answer;

	*answer = (struct gy_answer){
		.rc = rows[0].rc,
		.message = rows[0].rc == GY_OK ? NULL : gy_rc_text(rows[0].rc),
		.at_command_level = ccr->services_at_command_level,
		.services = plan->services,
		.currency = account->currency,
		.refundable = ccr->type == GY_EVENT && ccr->action == GY_DIRECT_DEBITING,
		.session = ccr->session,
		.number = ccr->number,
		.replayed = true,
	};
	for (unsigned i = 0; i < n; i++) {
		struct gy_service_answer *service = &plan->services[answer->n_services];
		const struct gy_kept_answer *row = &rows[i];
		const struct gy_service *asked = asked_by(row, i, ccr);

		if (row->service_rc == GY_RC_COUNT)
			continue;
		gy_assert(answer->n_services < plan->room);
		*service = (struct gy_service_answer){
			.rc = row->service_rc,
			.has_rating_group = row->rating_group >= 0,
			.rating_group = row->rating_group >= 0 ? (uint32_t)row->rating_group : 0,
			.unit = row->unit,
			.granted = row->granted,
			.validity_s = row->validity_s,
			.threshold = row->threshold,
			.quota_holding_s = row->quota_holding_s,
			.final_unit = row->final_unit,
			.switch_s = row->switch_s,
			.redirect_rule = row->redirect_rule,
			.pool = row->pool_rate.block != 0 ? row->pool : 0,
			.pool_rate = row->pool_rate,
		};
		gy_directions_grant(service, row->directions, asked);
		if (asked != NULL) {
			service->n_service_ids = asked->n_service_ids;
			service->service_ids = asked->service_ids;
			if (row->service_rc == GY_RATING_FAILED && answer->n_failed == 0)
				gy_answer_name_rating_group(answer, asked);
		}
		service->policy = policy_of(service, ccr, catalogue);
		if (service->redirect_rule != 0)
			find_redirect(catalogue, service);
		answer->n_services++;
	}
}

bool gy_answer_outdated(const struct gy_account *account, unsigned session,
			const struct gy_ccr *ccr)
{
	const struct gy_session *s = &account->sessions[session];
	int first = first_kept(account, session, ccr);

	for (int i = first; i >= 0 && i < (int)account->n_answers; i++) {
		const struct gy_kept_answer *row = &account->answers[i];

		if (row->session != session || row->type != ccr->type ||
		    row->number != account->answers[first].number)
			break;
		if (row->pool != 0)
			return s->highest > (row->type == GY_UPDATE ? (int64_t)row->number : -1);
	}
	return false;
}

/* The price of a pool's units isn't kept: it is the grant's, if that still stands. */
static void find_pools(const struct gy_account *account, unsigned session,
		       const struct gy_kept_answer *rows, struct gy_answer *answer)
{
	for (unsigned i = 0; i < answer->n_services; i++)
		for (unsigned k = 0; rows[i].pool != 0 && k < account->n_reservations; k++) {
			const struct gy_reservation *r = &account->reservations[k];

			if (r->session != session || r->pool != rows[i].pool ||
			    (int64_t)r->rating_group != rows[i].rating_group ||
			    r->service_key != rows[i].service_key)
				continue;
			answer->services[i].pool = r->pool;
			answer->services[i].pool_rate = r->rate;
		}
}

static void refuse_reused_number(const struct gy_ccr *ccr, struct gy_plan *plan)
{
	gy_answer_refuse(&plan->answer, GY_INVALID_AVP_VALUE,
			 "CC-Request-Number was used for another request of this session");
	plan->answer.n_failed = 1;
	plan->answer.failed[0] = (struct gy_failed_avp){ .code = 415, /* CC-Request-Number */
							 .avp = ccr->number_avp };
}

void gy_answer_replay(const struct gy_account *account, unsigned session, const struct gy_ccr *ccr,
		      const struct gy_catalogue *catalogue, struct gy_plan *plan)
{
	int first = first_kept(account, session, ccr);
	const struct gy_kept_answer *row;
	unsigned n = 0;

	gy_assert(first >= 0);
	row = &account->answers[first];
	while ((unsigned)first + n < account->n_answers && row[n].session == session &&
	       row[n].type == row->type && row[n].number == row->number)
		n++;
	if (account->answers[first].content_hash != ccr->content_hash && !ccr->retransmitted)
		refuse_reused_number(ccr, plan);
	else
		replay_rows(account, &account->answers[first], n, ccr, catalogue, plan);
	if (plan->answer.replayed)
		find_pools(account, session, &account->answers[first], &plan->answer);
}

void gy_history_replay(const struct gy_account *account, const struct gy_history *history,
		       const struct gy_ccr *ccr, const struct gy_catalogue *catalogue,
		       struct gy_plan *plan)
{
	static const struct gy_kept_answer no_service = { .service_rc = GY_RC_COUNT };

	gy_assert(history->found);
	if (history->content_hash != ccr->content_hash && !ccr->retransmitted) {
		refuse_reused_number(ccr, plan);
	} else if (history->n_rows > 0) {
		replay_rows(account, history->rows, history->n_rows, ccr, catalogue, plan);
	} else {
		struct gy_kept_answer row = no_service;

		row.rc = history->rc;
		replay_rows(account, &row, 1, ccr, catalogue, plan);
	}
}
