/* Gateways: Origin-Host to its number, its greatest Origin-State-Id, and the peer through which it
 * was heard last. See internal.h. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/engine/internal.h"

#define BUCKETS      (sizeof(((struct gy_gateways *)0)->buckets) / sizeof(struct gy_gateway *))
#define PEER_BUCKETS (sizeof(((struct gy_gateways *)0)->peers) / sizeof(struct gy_peer *))
#define PEERS_MAX    65536u
#define HOST_MAX     255 /* the decoder refuses longer ones */
#define SECOND_NS    INT64_C(1000000000)

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

/* An Origin-Host in small letters. */
struct name {
	uint64_t hash;
	size_t len;
	char text[HOST_MAX];
};

static void name_of(struct gy_bytes host, struct name *name)
{
	name->len = host.len < HOST_MAX ? host.len : HOST_MAX;
	for (size_t i = 0; i < name->len; i++) {
		char c = (char)host.data[i];

		name->text[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	name->hash = XXH3_64bits(name->text, name->len);
}

static struct gy_gateway *find(struct gy_gateways *gateways, const struct name *name)
{
	struct gy_gateway *g = gateways->buckets[name->hash % BUCKETS];

	while (g != NULL && (g->hash != name->hash || g->len != name->len ||
			     memcmp(g->host, name->text, name->len) != 0))
		g = g->next;
	return g;
}

struct gy_gateway *gy_gateway_find(struct gy_gateways *gateways, struct gy_bytes host,
				   struct gy_restart *restart)
{
	struct gy_gateway *g;
	struct name name;

	name_of(host, &name);
	pthread_mutex_lock(&gateways->lock);
	g = find(gateways, &name);
	if (g != NULL && restart != NULL)
		*restart = g->restart;
	pthread_mutex_unlock(&gateways->lock);
	return g;
}

struct gy_gateway *gy_gateway_add(struct gy_gateways *gateways, struct gy_bytes host,
				  const struct gy_gateway_state *state)
{
	struct gy_gateway *g, **bucket;
	struct name name;

	name_of(host, &name);
	bucket = &gateways->buckets[name.hash % BUCKETS];
	pthread_mutex_lock(&gateways->lock);
	g = find(gateways, &name);
	if (g == NULL && gateways->n < GY_GATEWAYS_MAX) {
		g = malloc(sizeof(*g) + name.len);
		if (g != NULL) {
			*g = (struct gy_gateway){ .next = *bucket,
						  .gateway_id = state->gateway_id,
						  .origin_state = state->origin_state,
						  .restart = state->restart,
						  .hash = name.hash,
						  .len = name.len };
			memcpy(g->host, name.text, name.len);
			*bucket = g;
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

/* With the lock held. */
static struct gy_peer *intern(struct gy_gateways *gateways, struct gy_bytes name)
{
	uint64_t hash = XXH3_64bits(name.data, name.len);
	struct gy_peer **bucket = &gateways->peers[hash % PEER_BUCKETS], *peer;

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
	return peer;
}

const struct gy_peer *gy_peer_intern(struct gy_gateways *gateways, struct gy_bytes name)
{
	const struct gy_peer *peer;

	pthread_mutex_lock(&gateways->lock);
	peer = intern(gateways, name);
	pthread_mutex_unlock(&gateways->lock);
	return peer;
}

/* --- news ---- */

/* A budget of so many, filled up by so many a second: *full_ns is when it will be full again. */
static bool has(int64_t full_ns, unsigned most, unsigned per_s, int64_t now_ns)
{
	return full_ns + SECOND_NS / per_s - now_ns <= most * (SECOND_NS / per_s);
}

static void spend(int64_t *full_ns, unsigned per_s, int64_t now_ns)
{
	*full_ns = (*full_ns > now_ns ? *full_ns : now_ns) + SECOND_NS / per_s;
}

/* With the lock held. Of news, whose budget it is. */
static int64_t *news_of(struct gy_gateways *gateways, struct gy_bytes ingress)
{
	struct gy_peer *peer = ingress.data != NULL ? intern(gateways, ingress) : NULL;

	return peer != NULL ? &peer->news_ns : &gateways->news_ns;
}

bool gy_gateway_may_ask(struct gy_gateways *gateways, struct gy_bytes ingress, int64_t now_ns)
{
	int64_t *news_ns;
	bool may;

	pthread_mutex_lock(&gateways->lock);
	news_ns = news_of(gateways, ingress);
	may = has(*news_ns, GY_NEWS_MAX, GY_NEWS_PER_S, now_ns);
	if (may)
		spend(news_ns, GY_NEWS_PER_S, now_ns);
	pthread_mutex_unlock(&gateways->lock);
	return may;
}

bool gy_gateway_may_restart(struct gy_gateways *gateways, struct gy_gateway *g,
			    struct gy_bytes ingress, int64_t now_ns)
{
	int64_t *news_ns;
	bool may;

	pthread_mutex_lock(&gateways->lock);
	news_ns = news_of(gateways, ingress);
	may = has(g->told_ns, GY_RESTARTS_MAX, GY_RESTARTS_PER_S, now_ns) &&
	      has(*news_ns, GY_NEWS_MAX, GY_NEWS_PER_S, now_ns);
	if (may) {
		spend(&g->told_ns, GY_RESTARTS_PER_S, now_ns);
		spend(news_ns, GY_NEWS_PER_S, now_ns);
	}
	pthread_mutex_unlock(&gateways->lock);
	return may;
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
