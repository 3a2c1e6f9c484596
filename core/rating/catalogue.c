/* Look-ups in the catalogue snapshot. */
#include "core/rating/catalogue.h"

#include <string.h>

#include "core/rating/network.h"

const struct gy_policy *gy_policy_find(const struct gy_catalogue *catalogue, uint32_t rating_group)
{
	unsigned low = 0, high = catalogue->n_policies;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const struct gy_policy *policy = &catalogue->policies[middle];

		if (policy->rating_group == rating_group)
			return policy;
		if (policy->rating_group < rating_group)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct gy_service_context *gy_context_find(const struct gy_catalogue *catalogue,
						 struct gy_bytes service_context_id)
{
	for (unsigned i = 0; i < catalogue->n_contexts; i++) {
		const struct gy_service_context *context = &catalogue->contexts[i];
		size_t len = strlen(context->suffix);

		if (service_context_id.len < len)
			continue;
		if (memcmp(service_context_id.data + service_context_id.len - len, context->suffix,
			   len) != 0)
			continue;
		if (service_context_id.len == len ||
		    service_context_id.data[service_context_id.len - len - 1] == '.')
			return context;
	}
	return NULL;
}

bool gy_context_allows_apn(const struct gy_service_context *context, struct gy_bytes apn)
{
	char text[GY_TEXT_MAX];
	size_t len;

	if (context->n_apns == 0 || apn.len == 0)
		return true;
	len = gy_apn_text(apn, text);
	for (unsigned i = 0; i < context->n_apns; i++)
		if (strlen(context->apns[i]) == len && memcmp(context->apns[i], text, len) == 0)
			return true;
	return false;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool ends_in(struct gy_bytes host, const char *end, size_t len)
{
	if (host.len < len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower(host.data[host.len - len + i]) != lower((uint8_t)end[i]))
			return false;
	return true;
}

const struct gy_peer_profile *gy_peer_profile_find(const struct gy_catalogue *catalogue,
						   struct gy_bytes origin_host)
{
	for (unsigned i = 0; i < catalogue->n_peers; i++) {
		const char *peer = catalogue->peers[i].peer;
		size_t len = strlen(peer);

		if (len > 2 && peer[0] == '*' && peer[1] == '.') {
			if (origin_host.len > len - 1 && ends_in(origin_host, peer + 1, len - 1))
				return &catalogue->peers[i];
		} else if (origin_host.len == len && ends_in(origin_host, peer, len)) {
			return &catalogue->peers[i];
		}
	}
	return NULL;
}
