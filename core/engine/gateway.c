/* Gateways: Origin-Host to its number and its greatest Origin-State-Id. See internal.h. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/engine/internal.h"

#define BUCKETS (sizeof(((struct gy_gateways *)0)->buckets) / sizeof(struct gy_gateway *))

void gy_gateways_free(struct gy_gateways *gateways)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (gateways->buckets[i] != NULL) {
			struct gy_gateway *next = gateways->buckets[i]->next;

			free(gateways->buckets[i]);
			gateways->buckets[i] = next;
		}
	pthread_mutex_destroy(&gateways->lock);
}

static struct gy_gateway *find(struct gy_gateways *gateways, struct gy_bytes host, uint64_t hash)
{
	struct gy_gateway *g = gateways->buckets[hash % BUCKETS];

	while (g != NULL &&
	       (g->hash != hash || g->len != host.len || memcmp(g->host, host.data, host.len) != 0))
		g = g->next;
	return g;
}

struct gy_gateway *gy_gateway_find(struct gy_gateways *gateways, struct gy_bytes host)
{
	struct gy_gateway *g;

	pthread_mutex_lock(&gateways->lock);
	g = find(gateways, host, XXH3_64bits(host.data, host.len));
	pthread_mutex_unlock(&gateways->lock);
	return g;
}

struct gy_gateway *gy_gateway_add(struct gy_gateways *gateways, struct gy_bytes host,
				  int64_t gateway_id, uint32_t origin_state)
{
	uint64_t hash = XXH3_64bits(host.data, host.len);
	struct gy_gateway *g;

	pthread_mutex_lock(&gateways->lock);
	g = find(gateways, host, hash);
	if (g == NULL && gateways->n < GY_GATEWAYS_MAX) {
		g = malloc(sizeof(*g) + host.len);
		if (g != NULL) {
			*g = (struct gy_gateway){ .next = gateways->buckets[hash % BUCKETS],
						  .gateway_id = gateway_id,
						  .origin_state = origin_state,
						  .hash = hash,
						  .len = host.len };
			memcpy(g->host, host.data, host.len);
			gateways->buckets[hash % BUCKETS] = g;
			gateways->n++;
		}
	}
	pthread_mutex_unlock(&gateways->lock);
	return g;
}
