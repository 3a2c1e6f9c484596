/* Gateways: Origin-Host to its number, its greatest Origin-State-Id, and the peer through which it
 * was heard last. See internal.h. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/engine/internal.h"

#define BUCKETS      (sizeof(((struct gy_gateways *)0)->buckets) / sizeof(struct gy_gateway *))
#define PEER_BUCKETS (sizeof(((struct gy_gateways *)0)->peers) / sizeof(struct gy_peer *))
#define PEERS_MAX    65536u

void gy_gateways_free(struct gy_gateways *gateways)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (gateways->buckets[i] != NULL) {
			struct gy_gateway *next = gateways->buckets[i]->next;

			free(gateways->buckets[i]);
			gateways->buckets[i] = next;
		}
	for (size_t i = 0; i < PEER_BUCKETS; i++)
		while (gateways->peers[i] != NULL) {
			struct gy_peer *next = gateways->peers[i]->next;

			free(gateways->peers[i]);
			gateways->peers[i] = next;
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

struct gy_gateway *gy_gateway_find(struct gy_gateways *gateways, struct gy_bytes host,
				   struct gy_restart *restart)
{
	struct gy_gateway *g;

	pthread_mutex_lock(&gateways->lock);
	g = find(gateways, host, XXH3_64bits(host.data, host.len));
	if (g != NULL && restart != NULL)
		*restart = g->restart;
	pthread_mutex_unlock(&gateways->lock);
	return g;
}

struct gy_gateway *gy_gateway_add(struct gy_gateways *gateways, struct gy_bytes host,
				  const struct gy_gateway_state *state)
{
	uint64_t hash = XXH3_64bits(host.data, host.len);
	struct gy_gateway *g;

	pthread_mutex_lock(&gateways->lock);
	g = find(gateways, host, hash);
	if (g == NULL && gateways->n < GY_GATEWAYS_MAX) {
		g = malloc(sizeof(*g) + host.len);
		if (g != NULL) {
			*g = (struct gy_gateway){ .next = gateways->buckets[hash % BUCKETS],
						  .gateway_id = state->gateway_id,
						  .origin_state = state->origin_state,
						  .restart = state->restart,
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

void gy_gateway_told(struct gy_gateways *gateways, struct gy_gateway *g,
		     const struct gy_gateway_state *state)
{
	pthread_mutex_lock(&gateways->lock);
	/* Another lane may have heard of a later one meanwhile. */
	if (state->restart.at_us > g->restart.at_us)
		g->restart = state->restart;
	if (state->origin_state > atomic_load(&g->origin_state))
		atomic_store(&g->origin_state, state->origin_state);
	pthread_mutex_unlock(&gateways->lock);
}

static bool is_named(const struct gy_peer *peer, struct gy_bytes name)
{
	return peer->len == name.len && memcmp(peer->name, name.data, name.len) == 0;
}

const struct gy_peer *gy_peer_intern(struct gy_gateways *gateways, struct gy_bytes name)
{
	uint64_t hash = XXH3_64bits(name.data, name.len);
	struct gy_peer **bucket = &gateways->peers[hash % PEER_BUCKETS], *peer;

	pthread_mutex_lock(&gateways->lock);
	for (peer = *bucket; peer != NULL && !is_named(peer, name); peer = peer->next)
		;
	if (peer == NULL && gateways->n_peers < PEERS_MAX) {
		peer = malloc(sizeof(*peer) + name.len);
		if (peer != NULL) {
			*peer = (struct gy_peer){ .next = *bucket, .len = name.len };
			memcpy(peer->name, name.data, name.len);
			*bucket = peer;
			gateways->n_peers++;
		}
	}
	pthread_mutex_unlock(&gateways->lock);
	return peer;
}

void gy_gateway_heard(struct gy_gateways *gateways, struct gy_gateway *g, struct gy_bytes ingress)
{
	const struct gy_peer *peer = atomic_load_explicit(&g->peer, memory_order_acquire);

	if (ingress.data == NULL || (peer != NULL && is_named(peer, ingress)))
		return;
	peer = gy_peer_intern(gateways, ingress);
	if (peer != NULL)
		atomic_store_explicit(&g->peer, peer, memory_order_release);
}
