/* The decision on one request: see decide.h.
 *
 * Order of things: is it a duplicate, may it open or use a session, then service by service
 * (service.c), then what the session and the record remember of it. Until the first service is
 * charged nothing is changed, so every refusal leaves no trace (G-21, G-86). */
#include "core/charging/decide.h"

#include "core/base/assert.h"
#include "core/charging/duplicate.h"
#include "core/charging/event.h"
#include "core/charging/pool.h"
#include "core/charging/service.h"
#include "core/rating/network.h"
#include "core/rating/price.h"

/* Supervision of a session that has never been granted anything (G-67), seconds. */
#define VALIDITY_DEFAULT_S 3600

/* Copies of an event may come so late (G-89). */
#define EVENT_MEMORY_US (INT64_C(86400) * GY_SECOND_US)

enum {
	CURRENCY_CODE = 425,
	RATING_GROUP = 432,
	SUBSCRIPTION_ID = 443,
	SERVICE_CONTEXT_ID = 461,
	REFUND_INFORMATION = 2022
};
enum { VENDOR_3GPP = 10415 };

unsigned gy_plan_room(const struct gy_ccr *ccr, const struct gy_account *account,
		      const struct gy_history *history)
{
	unsigned room = ccr->n_services > 0 ? ccr->n_services : 1;
	unsigned kept = 0;

	for (unsigned i = 0; i < account->n_answers; i++)
		kept += account->answers[i].type == ccr->type &&
			(account->answers[i].number == ccr->number ||
			 account->answers[i].end_to_end == ccr->end_to_end);
	if (kept > room)
		room = kept;
	if (history != NULL && history->n_rows > room)
		room = history->n_rows;
	return room + gy_pooled(account);
}

unsigned gy_plan_parts(const struct gy_account *account, const struct gy_profile *profile)
{
	bool cards = profile->cards != NULL;

	for (unsigned i = 0; i < account->n_slices && !cards; i++)
		cards = account->slices[i].from == GY_FROM_CARD;
	return cards ? GY_PARTS_MAX_CARDS : GY_PARTS_MAX;
}

struct gy_room gy_account_room(const struct gy_ccr *ccr, const struct gy_account *account,
			       const struct gy_profile *profile)
{
	/* Two phases of cards, free units and money. */
	unsigned slices = 4 + (profile->cards != NULL ? 2 * GY_CARDS_PER_GRANT : 0);

	return (struct gy_room){
		.sessions = 1,
		.reservations = ccr->n_services + 1,
		.answers = ccr->n_services + 1,
		.slices = slices * ccr->n_services,
		/* Of the group, of all, of free units before and after a Tariff-Time-Change. */
		.counters = 4 * ccr->n_services,
		.draws = gy_draws_room(ccr->n_services, account, profile->cards),
	};
}

void gy_answer_refuse(struct gy_answer *answer, enum gy_rc rc, const char *message)
{
	*answer = (struct gy_answer){ .rc = rc, .message = message };
}

static void name_failed(struct gy_answer *answer, uint32_t code, struct gy_bytes avp)
{
	answer->failed[0] = (struct gy_failed_avp){ .code = code, .avp = avp };
	answer->n_failed = 1;
}

void gy_answer_name_rating_group(struct gy_answer *answer, const struct gy_service *service)
{
	name_failed(answer, RATING_GROUP, service->rating_group_avp);
}

/* An amount in another currency than the account's is no amount (G-74). */
static bool refuse_currency(const struct gy_ccr *ccr, const struct gy_account *account,
			    struct gy_plan *plan)
{
	const struct gy_currency *other = gy_currency_other(ccr, account->currency);

	if (other == NULL)
		return false;
	gy_answer_refuse(&plan->answer, GY_INVALID_AVP_VALUE, "Currency-Code is not the account's");
	name_failed(&plan->answer, CURRENCY_CODE, other->avp);
	return true;
}

static bool reports_usage(const struct gy_ccr *ccr)
{
	for (unsigned i = 0; i < ccr->n_services; i++)
		for (unsigned k = 0; k < ccr->services[i].n_used; k++)
			for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_COUNT; unit++)
				if (ccr->services[i].used[k].count[unit] > 0)
					return true;
	return false;
}

static void refuse_unknown_session(const struct gy_ccr *ccr, struct gy_plan *plan)
{
	gy_answer_refuse(&plan->answer, GY_UNKNOWN_SESSION_ID, "no such session");
	plan->unmatched = reports_usage(ccr);
}

/* Why this subscriber gets nothing new now; GY_OK: no reason. */
static enum gy_rc denied(const struct gy_view *view, gy_time_us now, const char **why)
{
	if (view->profile->state != GY_ACTIVE)
		*why = "subscriber is barred";
	else if (view->account->state != GY_ACTIVE)
		*why = "account is barred";
	else if (view->account->valid_until_us <= now)
		*why = "account is no longer valid";
	else
		return GY_OK;
	return GY_END_USER_SERVICE_DENIED;
}

/* Tcc: a multiple of the largest Validity-Time of the session (G-67). */
static gy_time_us supervised_until(const struct gy_view *view, unsigned session, gy_time_us now)
{
	const struct gy_account *account = view->account;
	int64_t times = view->supervision > 0 ? view->supervision : 2;
	uint32_t largest = 0;

	for (unsigned i = 0; i < account->n_reservations; i++)
		if (account->reservations[i].session == session &&
		    account->reservations[i].validity_s > largest)
			largest = account->reservations[i].validity_s;
	if (largest == 0)
		largest = VALIDITY_DEFAULT_S;
	return now + times * (int64_t)largest * GY_SECOND_US;
}

static void release_all(struct gy_account *account, const struct gy_homes *homes, unsigned session)
{
	for (unsigned i = 0; i < account->n_reservations; i++)
		if (account->reservations[i].session == session)
			gy_reservation_release(account, homes, &account->reservations[i]);
}

/* --- what every charged request has in common */

/* All services in order, into plan->services and plan->record's charges. Returns the sum debited.
 */
static int64_t charge_services(const struct gy_charging *c, struct gy_plan *plan)
{
	int64_t before = c->account->balance;

	gy_assert(plan->room >= c->ccr->n_services);
	plan->answer = (struct gy_answer){
		.rc = GY_OK,
		.at_command_level = c->ccr->services_at_command_level,
		.currency = c->account->currency,
		.n_services = c->ccr->n_services,
		.services = plan->services,
	};
	plan->record.n_charges = 0;
	gy_pools_draw(c);
	for (unsigned i = 0; i < c->ccr->n_services; i++) {
		const struct gy_service *service = &c->ccr->services[i];
		unsigned n;

		gy_service_charge(c, service, &plan->services[i],
				  &plan->charges[plan->record.n_charges], plan->parts, &n);
		plan->record.n_charges += n;
		if (plan->services[i].rc == GY_RATING_FAILED && plan->answer.n_failed == 0)
			gy_answer_name_rating_group(&plan->answer, service);
	}
	plan->record.n_charges += gy_pools_note(c, &plan->charges[plan->record.n_charges],
						plan->room * plan->parts - plan->record.n_charges);
	return before - c->account->balance;
}

/* Of a charge's flags, those that a record shows too. */
#define RECORD_FLAGS (unsigned)(GY_CHARGE_OVERRUN | GY_CHARGE_UNRATED | GY_CHARGE_LATE)

static void fill_record(const struct gy_charging *c, gy_time_us opened_us, int64_t debit,
			struct gy_plan *plan)
{
	unsigned n = plan->record.n_charges;

	plan->record = (struct gy_record){
		.at_us = c->now,
		.account_id = c->account->account_id,
		.group_id = c->account->group_id,
		.subscriber_id = c->profile->subscriber_id,
		.gateway_id = c->ccr->gateway_id,
		.session = c->ccr->session,
		.opened_us = opened_us,
		.type = (int)c->ccr->type,
		.number = c->ccr->number,
		.end_to_end = c->ccr->end_to_end,
		.content_hash = c->ccr->content_hash,
		.debit = debit,
		.balance = c->account->balance,
		.reserved = c->account->reserved,
		.rc = plan->answer.rc,
		.catalogue = c->catalogue->version,
		.n_charges = n,
		.charges = plan->charges,
		.inputs = plan->inputs,
		.correlation = c->ccr->correlation,
	};
	for (unsigned i = 0; i < n; i++)
		plan->record.flags |= plan->charges[i].flags & RECORD_FLAGS;
	plan->record.flags |= (unsigned)c->profile->found_by << GY_RECORD_FOUND_BY;
	plan->changed = true;
}

/* Where a session was heard of last, if pushed values are to find it there. */
static int64_t place_of(const struct gy_charging *c)
{
	const struct gy_dynamic *dynamic = c->catalogue->dynamic;

	return dynamic != NULL && dynamic->places ? gy_network_place(&c->network) : 0;
}

static struct gy_charging charging(const struct gy_ccr *ccr, const struct gy_view *view,
				   const struct gy_catalogue *catalogue, gy_time_us now,
				   struct gy_plan *plan)
{
	const struct gy_service_context *context = gy_context_find(catalogue, ccr->service_context);

	const struct gy_peer_profile *peer = gy_peer_profile_find(catalogue, ccr->origin_host);
	const struct gy_attributes *attributes = view->profile->attributes;
	const struct gy_bound_cards *cards = view->profile->cards;

	return (struct gy_charging){
		.ccr = ccr,
		.catalogue = catalogue,
		.profile = view->profile,
		.account = view->account,
		.homes = &view->homes,
		.session = -1,
		.now = now,
		.default_group = context != NULL ? context->default_rating_group : -1,
		.tariff_time_change = peer == NULL || peer->tariff_time_change,
		.free_answer = peer != NULL ? peer->free_answer : GY_FREE_BY_SERVICE,
		.terminate_only = peer != NULL && peer->terminate_only,
		.pools = (peer == NULL || peer->credit_pools) && !ccr->services_at_command_level,
		.zone = cards != NULL ? gy_zone_find(&catalogue->zones, cards->zone_id) : NULL,
		.network = { .apn = ccr->conditions.apn,
			     .serving_mcc_mnc = ccr->conditions.serving_mcc_mnc,
			     .rat_type = ccr->conditions.rat_type,
			     .location = ccr->conditions.location,
			     .characteristics = ccr->conditions.charging_characteristics,
			     .rule_base = ccr->conditions.rule_base },
		.pushed = view->pushed,
		.counting = { .dynamic = catalogue->dynamic,
			      .subscriber_id = view->profile->subscriber_id,
			      .zone_id = attributes != NULL ? attributes->zone_id : 0 },
		.inputs = &plan->inputs,
	};
}

void gy_service_trace(const struct gy_ccr *ccr, const struct gy_view *view,
		      const struct gy_catalogue *catalogue, gy_time_us now, unsigned service,
		      struct gy_trace *trace)
{
	struct gy_plan nothing = { .room = 0 };
	struct gy_charging c =
		charging(ccr, (struct gy_view *)(uintptr_t)view, catalogue, now, &nothing);

	c.session = gy_session_find(c.account, ccr->session);
	gy_service_explain(&c, &ccr->services[service], trace);
}

/* --- CCR-I */

/* A client without MSCC sees the command's code only: what fails for its one service fails there,
 * and then it has no session (G-21, G-78). */
static bool fails_at_command_level(const struct gy_answer *answer)
{
	return answer->at_command_level && answer->n_services > 0 &&
	       answer->services[0].rc != GY_OK;
}

/* A gateway that understands 4011 for the command only gets it there, if all that it asks for is
 * free; it stops credit control then, and there is no session to keep (G-34). */
static bool is_free_at_command_level(const struct gy_charging *c, const struct gy_answer *answer)
{
	if (c->free_answer != GY_FREE_BY_COMMAND || answer->n_services == 0)
		return false;
	for (unsigned i = 0; i < answer->n_services; i++)
		if (answer->services[i].rc != GY_CREDIT_CONTROL_NOT_APPLICABLE)
			return false;
	return true;
}

/* Was anything used, and paid by money, a card or free units? Then it has to be remembered. */
static bool charged_usage(const struct gy_plan *plan)
{
	for (unsigned i = 0; i < plan->record.n_charges; i++)
		if (plan->charges[i].from != 0 && plan->charges[i].used > 0)
			return true;
	return false;
}

static void fail_as_first_service(struct gy_answer *answer)
{
	answer->rc = answer->services[0].rc;
	answer->message = gy_rc_text(answer->rc);
}

static bool may_open(const struct gy_ccr *ccr, const struct gy_view *view,
		     const struct gy_catalogue *catalogue, gy_time_us now, struct gy_plan *plan)
{
	const struct gy_service_context *context = gy_context_find(catalogue, ccr->service_context);
	const char *why = NULL;
	unsigned open = 0;

	for (unsigned i = 0; i < view->account->n_sessions; i++)
		open += view->account->sessions[i].state == GY_SESSION_OPEN;
	if (denied(view, now, &why) != GY_OK) {
		gy_answer_refuse(&plan->answer, GY_END_USER_SERVICE_DENIED, why);
	} else if (context == NULL) {
		gy_answer_refuse(&plan->answer, GY_RATING_FAILED,
				 "Service-Context-Id is not charged here");
		name_failed(&plan->answer, SERVICE_CONTEXT_ID, ccr->service_context_avp);
	} else if (!gy_context_allows_apn(context, ccr->conditions.apn)) {
		gy_answer_refuse(&plan->answer, GY_AUTHORIZATION_REJECTED,
				 "Called-Station-Id is not allowed here");
	} else if (open >= GY_ACCOUNT_SESSIONS_MAX) {
		gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY,
				 "too many open sessions on this account");
	} else {
		return true;
	}
	return false;
}

/* Two sessions of one Session-Id are told apart by this time, also when one transaction holds the
 * end of the first and the beginning of the second. */
static gy_time_us opening_time(const struct gy_account *a, int replaces, gy_time_us now)
{
	if (replaces >= 0 && a->sessions[replaces].opened_us >= now)
		return a->sessions[replaces].opened_us + 1;
	return now;
}

/* replaces: the ended session of the same Session-Id, -1: none. */
static void open_session(const struct gy_ccr *ccr, struct gy_view *view,
			 const struct gy_catalogue *catalogue, gy_time_us now, int replaces,
			 struct gy_plan *plan)
{
	struct gy_account *a = view->account;
	struct gy_charging c = charging(ccr, view, catalogue, now, plan);
	bool refused;
	int64_t debit;

	if (!may_open(ccr, view, catalogue, now, plan))
		return;
	gy_assert(a->n_sessions < a->sessions_room);
	c.session = (int)a->n_sessions;
	c.may_grant = true;
	a->sessions[a->n_sessions++] = (struct gy_session){
		.key = ccr->session,
		.subscriber_id = view->profile->subscriber_id,
		.gateway_id = ccr->gateway_id,
		.state = GY_SESSION_OPEN,
		.opened_us = opening_time(a, replaces, now),
		.highest = -1,
		.initial_number = ccr->number,
		.initial_end_to_end = ccr->end_to_end,
		.realm = gy_realm_key(ccr->origin_realm),
		.place = place_of(&c),
	};
	debit = charge_services(&c, plan);
	refused = fails_at_command_level(&plan->answer) ||
		  is_free_at_command_level(&c, &plan->answer);
	if (refused && !charged_usage(plan)) {
		enum gy_rc rc = plan->answer.services[0].rc;

		release_all(a, &view->homes, (unsigned)c.session);
		gy_session_remove(a, (unsigned)c.session);
		gy_answer_refuse(&plan->answer, rc, gy_rc_text(rc));
		return;
	}
	if (refused)
		fail_as_first_service(&plan->answer);
	a->sessions[c.session].deadline_us = supervised_until(view, (unsigned)c.session, now);
	plan->check_at_us = a->sessions[c.session].deadline_us;
	plan->opened = true;
	fill_record(&c, a->sessions[c.session].opened_us, debit, plan);
	plan->record.at_us = plan->record.opened_us; /* also where it had to be later than now */
	gy_answer_keep(a, (unsigned)c.session, ccr, &plan->answer);
	if (replaces >= 0)
		gy_session_remove(a, (unsigned)replaces);
	gy_tombstones_trim(a, now);
}

/* A session is its realm's: another gateway of that may go on with it (one of a pool, after a
 * failover), a gateway of another network may not so much as ask for it. */
static bool is_foreign(const struct gy_ccr *ccr, int64_t gateway_id, uint32_t realm)
{
	return gateway_id != ccr->gateway_id && realm != 0 &&
	       realm != gy_realm_key(ccr->origin_realm);
}

/* Is the session that the history tells of this subscriber's, or at least of the account that pays
 * now? He may have been moved to another account since it ended. */
static bool is_own(const struct gy_history *h, const struct gy_view *view)
{
	return h->known && (h->account_id == view->account->account_id ||
			    h->subscriber_id == view->profile->subscriber_id);
}

/* A Session-Id that the index knows, and the account row doesn't any more or, after another account
 * has used it, not as the last. replaces: its ended session there, -1: none. */
static enum gy_rc initial_of_known(const struct gy_ccr *ccr, struct gy_view *view,
				   const struct gy_catalogue *catalogue, gy_time_us now,
				   int replaces, struct gy_plan *plan)
{
	const struct gy_history *h = view->history;

	if (h == NULL)
		return GY_NEED_HISTORY;
	if (h->found && is_own(h, view) && (ccr->retransmitted || h->end_to_end == ccr->end_to_end))
		gy_history_replay(view->account, h, ccr, catalogue, plan);
	else if (h->known && h->account_id != view->account->account_id && !h->ended)
		gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY,
				 "session already open for another account");
	else
		open_session(ccr, view, catalogue, now, replaces, plan);
	return GY_OK;
}

/* The kept answer; where its record says more, that. */
static enum gy_rc replay(const struct gy_ccr *ccr, struct gy_view *view,
			 const struct gy_catalogue *catalogue, unsigned session,
			 struct gy_plan *plan)
{
	const struct gy_account *a = view->account;

	if (gy_answer_outdated(a, session, ccr)) {
		if (view->history == NULL)
			return GY_NEED_HISTORY;
		if (view->history->found) {
			gy_history_replay(a, view->history, ccr, catalogue, plan);
			return GY_OK;
		}
	}
	gy_answer_replay(a, session, ccr, catalogue, plan);
	return GY_OK;
}

static enum gy_rc decide_initial(const struct gy_ccr *ccr, struct gy_view *view,
				 const struct gy_catalogue *catalogue, gy_time_us now,
				 struct gy_plan *plan)
{
	struct gy_account *a = view->account;
	int found = gy_session_find(a, ccr->session);
	enum gy_seen seen;

	if (view->session_indexed &&
	    (found < 0 || (view->session_elsewhere && a->sessions[found].state != GY_SESSION_OPEN)))
		return initial_of_known(ccr, view, catalogue, now, found, plan);
	if (found < 0) {
		open_session(ccr, view, catalogue, now, -1, plan);
		return GY_OK;
	}
	if (a->sessions[found].state == GY_SESSION_OPEN &&
	    is_foreign(ccr, a->sessions[found].gateway_id, a->sessions[found].realm)) {
		gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY, "session already open");
		return GY_OK;
	}
	if (a->sessions[found].state != GY_SESSION_OPEN && !ccr->retransmitted &&
	    a->sessions[found].initial_end_to_end != (int64_t)ccr->end_to_end) {
		/* A real client uses Session-Ids again (G-86): a new session. */
		open_session(ccr, view, catalogue, now, found, plan);
		return GY_OK;
	}
	seen = gy_request_seen(a, (unsigned)found, ccr);
	if (seen == GY_SEEN_KEPT) {
		return replay(ccr, view, catalogue, (unsigned)found, plan);
	} else if (seen == GY_SEEN_EARLIER && view->history == NULL) {
		return GY_NEED_HISTORY;
	} else if (seen == GY_SEEN_EARLIER && view->history->found) {
		gy_history_replay(view->account, view->history, ccr, catalogue, plan);
	} else if (a->sessions[found].state == GY_SESSION_OPEN) {
		gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY, "session already open");
	} else {
		open_session(ccr, view, catalogue, now, found, plan);
	}
	return GY_OK;
}

/* --- CCR-U, CCR-T */

static void use_session(const struct gy_ccr *ccr, struct gy_view *view,
			const struct gy_catalogue *catalogue, gy_time_us now, unsigned session,
			struct gy_plan *plan)
{
	struct gy_account *a = view->account;
	struct gy_session *s = &a->sessions[session];
	struct gy_charging c = charging(ccr, view, catalogue, now, plan);
	const char *why = NULL;
	gy_time_us before_us;
	int64_t debit;

	s->taken_over |= s->gateway_id != ccr->gateway_id;
	s->gateway_id = ccr->gateway_id; /* requests of ours go to whoever spoke last (G-80) */
	s->place = place_of(&c);
	c.session = (int)session;
	c.may_grant = ccr->type == GY_UPDATE;
	c.denied = denied(view, now, &why);
	debit = charge_services(&c, plan);
	if (ccr->type == GY_TERMINATION) {
		release_all(a, &view->homes, session);
		s->state = GY_SESSION_TERMINATED;
		s->deadline_us = now + view->late_window_us;
	} else {
		gy_number_note(s, ccr->number);
		before_us = s->deadline_us;
		s->deadline_us = supervised_until(view, session, now);
		if (s->deadline_us < before_us)
			plan->check_at_us = s->deadline_us;
	}
	if (ccr->type == GY_UPDATE && fails_at_command_level(&plan->answer))
		fail_as_first_service(&plan->answer);
	fill_record(&c, s->opened_us, debit, plan);
	gy_answer_keep(a, session, ccr, &plan->answer);
	gy_tombstones_trim(a, now);
}

/* Usage of a session that has ended: paid, once, and answered as if it were not (G-24, G-28).
 * session -1: the account row has forgotten it; the record alone tells copies. */
static void charge_late(const struct gy_ccr *ccr, struct gy_view *view,
			const struct gy_catalogue *catalogue, gy_time_us now, int session,
			gy_time_us opened_us, struct gy_plan *plan)
{
	struct gy_charging c = charging(ccr, view, catalogue, now, plan);
	int64_t debit;

	c.session = session;
	debit = charge_services(&c, plan);
	for (unsigned i = 0; i < plan->record.n_charges; i++)
		plan->charges[i].flags |= GY_CHARGE_LATE;
	/* As its copies are told (G-14): the text is not kept. */
	gy_answer_refuse(&plan->answer, GY_UNKNOWN_SESSION_ID, gy_rc_text(GY_UNKNOWN_SESSION_ID));
	fill_record(&c, opened_us, debit, plan);
	plan->record.flags |= GY_CHARGE_LATE;
	if (session < 0)
		return;
	if (ccr->type == GY_UPDATE)
		gy_number_note(&view->account->sessions[session], ccr->number);
	gy_answer_keep(view->account, (unsigned)session, ccr, &plan->answer);
}

/* The account row does not know the session: it never was, was another's, or is long gone. Late
 * usage of a subscriber who was moved since is paid by whoever pays for him now: there are his caps
 * and counters, and no other account is locked. */
static enum gy_rc decide_forgotten(const struct gy_ccr *ccr, struct gy_view *view,
				   const struct gy_catalogue *catalogue, gy_time_us now,
				   struct gy_plan *plan)
{
	const struct gy_history *h = view->history;

	if (h == NULL)
		return GY_NEED_HISTORY;
	if (!h->known || is_foreign(ccr, h->gateway_id, h->realm)) {
		refuse_unknown_session(ccr, plan);
	} else if (!is_own(h, view)) {
		gy_answer_refuse(&plan->answer, GY_INVALID_AVP_VALUE,
				 "session belongs to another subscriber");
		name_failed(&plan->answer, SUBSCRIPTION_ID,
			    ccr->n_identities > 0 ? ccr->identities[0].avp
						  : (struct gy_bytes){ NULL, 0 });
	} else if (h->found) {
		gy_history_replay(view->account, h, ccr, catalogue, plan);
	} else if (h->ended && now <= h->ended_us + view->late_window_us) {
		charge_late(ccr, view, catalogue, now, -1, h->opened_us, plan);
	} else {
		refuse_unknown_session(ccr, plan);
	}
	return GY_OK;
}

/* Remembered for its copies: a session that was never opened, so there is no usage of it. */
static bool is_event(const struct gy_session *session)
{
	return session->initial_number < 0;
}

static enum gy_rc decide_further(const struct gy_ccr *ccr, struct gy_view *view,
				 const struct gy_catalogue *catalogue, gy_time_us now,
				 struct gy_plan *plan)
{
	struct gy_account *a = view->account;
	int found = gy_session_find(a, ccr->session);
	const struct gy_session *s;
	enum gy_seen seen;

	if (found < 0)
		return decide_forgotten(ccr, view, catalogue, now, plan);
	s = &a->sessions[found];
	if (is_foreign(ccr, s->gateway_id, s->realm) || is_event(s)) {
		refuse_unknown_session(ccr, plan);
		return GY_OK;
	}
	seen = gy_request_seen(a, (unsigned)found, ccr);
	if (seen == GY_SEEN_KEPT)
		return replay(ccr, view, catalogue, (unsigned)found, plan);
	if (seen == GY_SEEN_EARLIER && view->history == NULL)
		return GY_NEED_HISTORY;
	if (seen == GY_SEEN_EARLIER && view->history->found)
		gy_history_replay(view->account, view->history, ccr, catalogue, plan);
	else if (s->state == GY_SESSION_OPEN)
		use_session(ccr, view, catalogue, now, (unsigned)found, plan);
	else if (now <= s->deadline_us)
		charge_late(ccr, view, catalogue, now, found, s->opened_us, plan);
	else
		refuse_unknown_session(ccr, plan);
	return GY_OK;
}

/* --- CCR-E */

/* An event that changed something is remembered as a session that has ended: its copies find their
 * answer in the account row and, later, in the record (G-84, G-89). */
static void remember_event(const struct gy_charging *c, const struct gy_view *view, int found,
			   gy_time_us opened_us, int64_t debit, struct gy_plan *plan)
{
	struct gy_account *a = c->account;
	int64_t remembered =
		view->late_window_us > EVENT_MEMORY_US ? view->late_window_us : EVENT_MEMORY_US;

	if (found < 0) {
		gy_assert(a->n_sessions < a->sessions_room);
		found = (int)a->n_sessions++;
		a->sessions[found] = (struct gy_session){
			.key = c->ccr->session,
			.subscriber_id = c->profile->subscriber_id,
			.gateway_id = c->ccr->gateway_id,
			.state = GY_SESSION_TERMINATED,
			.opened_us = opened_us,
			.highest = -1,
			.initial_number = -1,
		};
		plan->opened = !view->session_indexed;
		plan->check_at_us = c->now + remembered;
	}
	a->sessions[found].deadline_us = c->now + remembered;
	fill_record(c, a->sessions[found].opened_us, debit, plan);
	gy_answer_keep(a, (unsigned)found, c->ccr, &plan->answer);
	gy_tombstones_trim(a, c->now);
}

static void new_event(const struct gy_ccr *ccr, struct gy_view *view,
		      const struct gy_catalogue *catalogue, gy_time_us now, int found,
		      struct gy_plan *plan)
{
	struct gy_charging c = charging(ccr, view, catalogue, now, plan);
	bool indexed = view->history != NULL && view->history->known;
	int64_t debit;

	if (!may_open(ccr, view, catalogue, now, plan))
		return;
	if (ccr->refund.bound)
		c.debit = view->history;
	if (gy_event_charge(&c, plan, &debit))
		remember_event(&c, view, found, indexed ? view->history->opened_us : now, debit,
			       plan);
}

/* A debit is given back once (G-75). Its record tells how much it was; that of its refund, if it
 * was refunded. Later than the late window nothing is known of it any more. */
static enum gy_rc decide_refund(const struct gy_ccr *ccr, struct gy_view *view,
				const struct gy_catalogue *catalogue, gy_time_us now,
				struct gy_plan *plan)
{
	const struct gy_history *h = view->history;
	int found = gy_session_find(view->account, ccr->session);

	if (h == NULL)
		return GY_NEED_HISTORY;
	if (!h->known || !h->debit_found || h->account_id != view->account->account_id) {
		gy_answer_refuse(&plan->answer, GY_RATING_FAILED, "no such debit of this account");
		name_failed(&plan->answer, REFUND_INFORMATION, ccr->services[0].refund_avp);
		plan->answer.failed[0].vendor = VENDOR_3GPP;
	} else if (h->found && h->content_hash == ccr->content_hash) {
		gy_history_replay(view->account, h, ccr, catalogue, plan);
	} else if (h->found) {
		gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY,
				 "this debit was refunded before");
	} else {
		new_event(ccr, view, catalogue, now, found, plan);
	}
	return GY_OK;
}

static enum gy_rc decide_event(const struct gy_ccr *ccr, struct gy_view *view,
			       const struct gy_catalogue *catalogue, gy_time_us now,
			       struct gy_plan *plan)
{
	struct gy_account *a = view->account;
	int found = gy_session_find(a, ccr->session);
	const struct gy_history *h = view->history;

	if (ccr->refund.bound)
		return decide_refund(ccr, view, catalogue, now, plan);
	if (found >= 0 && gy_request_seen(a, (unsigned)found, ccr) == GY_SEEN_KEPT)
		gy_answer_replay(a, (unsigned)found, ccr, catalogue, plan);
	else if (found >= 0 && a->sessions[found].state == GY_SESSION_OPEN)
		gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY, "session already open");
	else if (h == NULL && (found >= 0 || view->session_indexed))
		return GY_NEED_HISTORY;
	else if (h != NULL && h->found && is_own(h, view))
		gy_history_replay(view->account, h, ccr, catalogue, plan);
	else if (h != NULL && h->known && h->account_id != a->account_id)
		gy_answer_refuse(&plan->answer, GY_UNABLE_TO_COMPLY,
				 "Session-Id is in use for another account");
	else
		new_event(ccr, view, catalogue, now, found, plan);
	return GY_OK;
}

enum gy_rc gy_charge_decide(const struct gy_ccr *ccr, struct gy_view *view,
			    const struct gy_catalogue *catalogue, gy_time_us now,
			    struct gy_plan *plan)
{
	plan->changed = plan->opened = plan->unmatched = false;
	plan->check_at_us = 0;
	plan->inputs.len = 0;
	if (refuse_currency(ccr, view->account, plan))
		return GY_OK;
	switch (ccr->type) {
	case GY_INITIAL:
		return decide_initial(ccr, view, catalogue, now, plan);
	case GY_UPDATE:
	case GY_TERMINATION:
		return decide_further(ccr, view, catalogue, now, plan);
	case GY_EVENT:
		break;
	}
	return decide_event(ccr, view, catalogue, now, plan);
}

/* --- assertions */

void gy_plan_check(const struct gy_account *account, const struct gy_plan *plan)
{
	int64_t debit = 0;
	unsigned service = 0;

	gy_account_check(account);
	for (unsigned i = 0; i < plan->record.n_charges; i++) {
		const struct gy_charge *charge = &plan->record.charges[i];
		int64_t due = 0;

		debit += charge->debit;
		if ((charge->flags & GY_CHARGE_PART) && !(charge->flags & GY_CHARGE_SHRUNK))
			continue;
		if (charge->granted > 0 &&
		    !(charge->flags & (GY_CHARGE_SLICED | GY_CHARGE_EVENT))) {
			gy_assert(gy_price_reserve(charge->rate, charge->granted, charge->carry,
						   &due));
			gy_assert(charge->reserved == due); /* I4 */
		}
		if (plan->record.type != 0 && plan->answer.rc == GY_OK &&
		    !(charge->flags & GY_CHARGE_PART)) {
			gy_assert(service < plan->answer.n_services);
			if (plan->answer.services[service].unit != GY_UNIT_NONE)
				gy_assert(plan->answer.services[service].granted ==
					  charge->granted);
			service++;
		}
	}
	gy_assert(debit == plan->record.debit); /* I1 */
	gy_assert(plan->record.balance == account->balance);
}
