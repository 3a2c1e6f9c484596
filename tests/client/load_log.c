/* The request log of a load: its requests in the words of log.h, and when they may leave.
 *
 * What is logged is built from the slot, anew for each line: nothing is kept for a load without a
 * log. */
#include "tests/client/load_internal.h"

#include "tests/client/load_names.h"
#include "tests/client/log.h"

/* A request of the load as the log wants it; not to be copied, it points into itself. */
struct logged {
	struct gy_log_request request;
	struct gy_case_request content;
	struct gy_request_frame frame;
	struct gy_case_service service;
	struct gy_case_used used;
	struct gy_case_identity identities[2];
	char session_id[LOAD_SESSION_SIZE + 1];
	char imsi[LOAD_IMSI_SIZE + 1], msisdn[LOAD_MSISDN_SIZE + 1];
};

static void set_units(struct gy_case_units *units, enum gy_case_quantity quantity, uint64_t count)
{
	units->present[quantity] = true;
	units->count[quantity] = (int64_t)count;
}

/* The service as load_template.c encodes and fills it. */
static void describe_service(struct logged *logged, const struct load_identity *identity,
			     const struct load_slot *slot)
{
	struct gy_case_service *service = &logged->service;

	*service = (struct gy_case_service){ .has_rating_group = true,
					     .rating_group = identity->rating_group,
					     .requested = slot->type != LOAD_CCR_T,
					     .reason = load_reporting_reason(slot->type),
					     .used_reason = -1 };
	if (service->requested && identity->request_octets != 0)
		set_units(&service->requested_units, GY_CASE_TOTAL, identity->request_octets);
	if (slot->type == LOAD_CCR_I)
		return;
	logged->used = (struct gy_case_used){ .tariff_change = -1 };
	set_units(&logged->used.units, GY_CASE_SECONDS, LOAD_USED_SECONDS);
	set_units(&logged->used.units, GY_CASE_TOTAL, slot->used_octets);
	set_units(&logged->used.units, GY_CASE_INPUT, load_input_octets(slot->used_octets));
	set_units(&logged->used.units, GY_CASE_OUTPUT,
		  slot->used_octets - load_input_octets(slot->used_octets));
	service->n_used = 1;
	service->used = &logged->used;
}

static void describe(struct logged *logged, const struct load *load, const struct load_peer *peer,
		     const struct load_slot *slot)
{
	const struct load_options *options = &load->options;
	uint64_t session = options->session_first + slot->session, subscriber;

	*logged = (struct logged){ .content = gy_request_plain("?IUT"[slot->type], slot -> number),
				   .frame = { .origin_host = peer->origin_host } };
	subscriber = load_subscriber(session, options->subscribers, options->subscriber_step);
	load_session_id(logged->session_id, load->run, session, slot->round);
	load_imsi(logged->imsi, subscriber);
	load_msisdn(logged->msisdn, subscriber);
	logged->identities[0] = (struct gy_case_identity){ GY_CASE_IMSI, false, logged->imsi };
	logged->identities[1] = (struct gy_case_identity){ GY_CASE_E164, false, logged->msisdn };
	logged->content.identities = logged->identities;
	logged->content.n_identities = 2;
	describe_service(logged, &options->identity, slot);
	logged->content.services = &logged->service;
	logged->content.n_services = 1;
	logged->request = (struct gy_log_request){ .request = slot->request,
						   .session_id = logged->session_id,
						   .content = &logged->content,
						   .frame = &logged->frame,
						   .end_to_end = slot->end_to_end };
}

void load_log_sent(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		   bool marked)
{
	const struct gy_log_attempt attempt = { .attempt = slot->attempt,
						.copy = slot->copy,
						.retransmitted = marked,
						.hop_by_hop = slot->hop_by_hop,
						.node = peer->links[slot->node].node };
	struct logged logged;

	if (load->log == NULL)
		return;
	describe(&logged, load, peer, slot);
	gy_log_sent(load->log, &logged.request, &attempt);
}

void load_log_answer(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		     const struct gy_reply *reply, int64_t now)
{
	struct logged logged;

	if (load->log == NULL)
		return;
	describe(&logged, load, peer, slot);
	gy_log_answer(load->log, &logged.request, slot->attempt, (now - slot->sent_ns) / 1000,
		      reply);
}

void load_log_lost(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		   const char *why)
{
	struct logged logged;

	if (load->log == NULL)
		return;
	describe(&logged, load, peer, slot);
	gy_log_lost(load->log, &logged.request, slot->attempt, why);
}

void load_log_outcome(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		      const struct gy_reply *reply)
{
	const char *outcome = "unknown";
	struct logged logged;

	if (load->log == NULL)
		return;
	if (reply != NULL)
		outcome = reply->seen.code / 1000 == 2 ? "ok" : "failed";
	describe(&logged, load, peer, slot);
	gy_log_outcome(load->log, &logged.request, slot->sendings, outcome, reply);
}

void load_commit(struct load *load)
{
	/* A connection that turns out to be broken moves its requests: then there is more to log.
	 */
	while (gy_log_is_behind(load->log)) {
		gy_log_sync(load->log);
		for (unsigned i = 0; i < load->options.connections; i++)
			load_peer_flush(load, &load->peers[i]);
	}
}
