/* The first step of decoding: header, routing, and what every answer echoes. See decode.h. */
#include <string.h>
#include <strings.h>
#include <talloc.h>

#include "extensions/app_gyro/decode_internal.h"

#define IETF(name) GY_AVP_ID(0, GY_AVP_##name)

/* What routing looks at (G-05). */
struct route {
	struct gy_bytes host;  /* Destination-Host; data NULL: none */
	struct gy_bytes realm; /* Destination-Realm */
	struct gy_avp host_avp, realm_avp;
	struct gy_avp loop; /* a Route-Record that names us */
	bool looped;
};

/* Identities are compared as host names: without regard to case (RFC 6733 §4.3.1). */
static bool same_identity(struct gy_bytes a, struct gy_bytes b)
{
	return a.len == b.len &&
	       strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

/* Every node that speaks DOIC knows the loss algorithm, and says so in OC-Feature-Vector if it
 * sends one (RFC 7683 §7.2). A broken group is no announcement. */
static bool knows_loss(struct gy_bytes features)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(features);
	enum gy_avp_step step;
	struct gy_avp avp;
	bool loss = true;

	while ((step = gy_avp_step(&cursor, &avp)) == GY_AVP_STEP_OK)
		if (GY_AVP_ID(avp.vendor, avp.code) == IETF(OC_FEATURE_VECTOR))
			loss = avp.data.len == 8 &&
			       (gy_get64(avp.data.data) & GY_OLR_DEFAULT_ALGO) != 0;
	return loss && step == GY_AVP_STEP_END;
}

static void envelope_take(const struct gy_avp *avp, const struct gy_node_identity *node,
			  struct gy_envelope *envelope, struct route *route,
			  struct gy_bytes *proxies)
{
	switch (GY_AVP_ID(avp->vendor, avp->code)) {
	case IETF(SESSION_ID):
		if (envelope->session_id.data == NULL)
			envelope->session_id = avp->data;
		break;
	case IETF(CC_REQUEST_TYPE):
		if (!envelope->has_type && avp->data.len == 4) {
			envelope->has_type = true;
			envelope->type = gy_get32(avp->data.data);
		}
		break;
	case IETF(CC_REQUEST_NUMBER):
		if (!envelope->has_number && avp->data.len == 4) {
			envelope->has_number = true;
			envelope->number = gy_get32(avp->data.data);
		}
		break;
	case IETF(CC_SUB_SESSION_ID):
		if (!envelope->has_sub_session && avp->data.len == 8) {
			envelope->has_sub_session = true;
			envelope->sub_session = gy_get64(avp->data.data);
		}
		break;
	case IETF(ACCT_MULTI_SESSION_ID):
		if (envelope->acct_multi_session_id.data == NULL)
			envelope->acct_multi_session_id = avp->whole;
		break;
	case IETF(MULTIPLE_SERVICES_CREDIT_CONTROL):
		envelope->n_services++;
		break;
	case IETF(PROXY_INFO):
		if (proxies != NULL)
			proxies[envelope->n_proxies++] = avp->whole;
		break;
	case IETF(OC_SUPPORTED_FEATURES):
		envelope->overload_reports = knows_loss(avp->data);
		break;
	case IETF(DESTINATION_HOST):
		route->host = avp->data;
		route->host_avp = *avp;
		envelope->has_destination_host = true;
		break;
	case IETF(DESTINATION_REALM):
		route->realm = avp->data;
		route->realm_avp = *avp;
		break;
	case IETF(ROUTE_RECORD):
		if (!route->looped && same_identity(avp->data, node->host)) {
			route->looped = true;
			route->loop = *avp;
		}
		break;
	default:
		break;
	}
}

/* The protocol errors, each on its own line (G-05, G-06; RFC 6733 §6.1.4, §7.1.3). */
static void judge(struct gy_decoder *decoder, const struct gy_envelope *envelope,
		  const struct route *route, const struct gy_node_identity *node)
{
	bool our_host = route->host.data && same_identity(route->host, node->host);

	if (envelope->application != GY_APP_CREDIT_CONTROL)
		gy_fault(decoder, GY_APPLICATION_UNSUPPORTED, NULL,
			 "this node serves Credit-Control (4) only");
	else if (envelope->command != GY_CREDIT_CONTROL)
		gy_fault(decoder, GY_COMMAND_UNSUPPORTED, NULL,
			 "this node serves Credit-Control (272) only");
	else if (envelope->flags & GY_CMD_ERROR)
		gy_fault(decoder, GY_INVALID_HDR_BITS, NULL, "a request has the E bit");
	else if (route->looped)
		gy_fault(decoder, GY_LOOP_DETECTED, NULL, "Route-Record names this node");
	else if (!our_host && route->realm.data && !same_identity(route->realm, node->realm))
		gy_fault(decoder, GY_REALM_NOT_SERVED, NULL,
			 "Destination-Realm is not served and nothing is relayed");
	else if (route->host.data && !our_host)
		gy_fault(decoder, GY_UNABLE_TO_DELIVER, NULL,
			 "Destination-Host is another node and nothing is relayed");
}

enum gy_rc gy_envelope_read(void *pool, struct gy_bytes raw, const struct gy_node_identity *node,
			    struct gy_envelope *envelope, struct gy_answer *error)
{
	struct gy_bytes list = { raw.data + GY_HEADER_SIZE, raw.len - GY_HEADER_SIZE };
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	unsigned n_proxies = gy_avp_count(list, 0, GY_AVP_PROXY_INFO);
	struct gy_decoder decoder = { .pool = pool, .error = error };
	struct gy_bytes *proxies = NULL;
	struct route route = { 0 };
	enum gy_avp_step step;
	struct gy_avp avp;

	memset(error, 0, sizeof(*error));
	*envelope = (struct gy_envelope){
		.flags = raw.data[4],
		.command = gy_get24(raw.data + 5),
		.application = gy_get32(raw.data + 8),
		.hop_by_hop = gy_get32(raw.data + 12),
		.end_to_end = gy_get32(raw.data + 16),
	};
	if (n_proxies > 0)
		proxies = talloc_array(pool, struct gy_bytes, n_proxies);
	envelope->proxies = proxies;
	while ((step = gy_avp_step(&cursor, &avp)) == GY_AVP_STEP_OK)
		envelope_take(&avp, node, envelope, &route, proxies);
	judge(&decoder, envelope, &route, node);
	if (step == GY_AVP_STEP_BROKEN) {
		avp.whole = (struct gy_bytes){ NULL, 0 };
		gy_fault(&decoder, GY_INVALID_AVP_LENGTH, &avp, "has a length that does not fit");
	}
	return error->rc;
}
