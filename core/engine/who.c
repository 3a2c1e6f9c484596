/* Whose request it is: keys, and a lane's cache of profiles. See internal.h. */
#include <stdlib.h>
#include <talloc.h>
#include <xxhash.h>

#include "core/engine/internal.h"

#define WAYS 8u

bool gy_cache_init(struct gy_cache *cache, size_t entries)
{
	cache->sets = 1;
	while (cache->sets * WAYS < entries)
		cache->sets *= 2;
	cache->entries = calloc(cache->sets * WAYS, sizeof(*cache->entries));
	return cache->entries != NULL;
}

/* Attributes and bindings are roots of talloc trees; nothing says so but their types. */
static void *attributes_of(const struct gy_cache_entry *entry)
{
	return entry->profile.subscriber_id != 0 ? (void *)(uintptr_t)entry->profile.attributes
						 : NULL;
}

static void *cards_of(const struct gy_cache_entry *entry)
{
	return entry->profile.subscriber_id != 0 ? (void *)(uintptr_t)entry->profile.cards : NULL;
}

void gy_cache_free(struct gy_cache *cache)
{
	for (size_t i = 0; cache->entries != NULL && i < cache->sets * WAYS; i++) {
		talloc_free(attributes_of(&cache->entries[i]));
		talloc_free(cards_of(&cache->entries[i]));
	}
	free(cache->entries);
	cache->entries = NULL;
	talloc_free(cache->dropped);
	cache->dropped = NULL;
}

/* Work of this batch may still point to them. */
static void drop_parts(struct gy_cache *cache, struct gy_cache_entry *entry)
{
	void *attributes = attributes_of(entry), *cards = cards_of(entry);

	if (attributes == NULL && cards == NULL)
		return;
	if (cache->dropped == NULL)
		cache->dropped = talloc_new(NULL);
	talloc_steal(cache->dropped, attributes); /* without memory: kept, not lost */
	talloc_steal(cache->dropped, cards);
	entry->profile.attributes = NULL;
	entry->profile.cards = NULL;
}

void gy_cache_sweep(struct gy_cache *cache)
{
	if (cache->dropped != NULL)
		talloc_free_children(cache->dropped);
}

static struct gy_cache_entry *set_of(const struct gy_cache *cache, struct gy_session_key key)
{
	return &cache->entries[(key.lo & (cache->sets - 1)) * WAYS];
}

static struct gy_cache_entry *entry_of(const struct gy_cache *cache, struct gy_session_key key)
{
	struct gy_cache_entry *set = set_of(cache, key);

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].key.hi == key.hi && set[i].key.lo == key.lo &&
		    set[i].profile.subscriber_id != 0)
			return &set[i];
	return NULL;
}

const struct gy_profile *gy_cache_find(const struct gy_cache *cache, struct gy_session_key key)
{
	const struct gy_cache_entry *entry = entry_of(cache, key);

	return entry != NULL ? &entry->profile : NULL;
}

void gy_cache_put(struct gy_cache *cache, struct gy_session_key key,
		  const struct gy_profile *profile)
{
	struct gy_cache_entry *entry = entry_of(cache, key), *set = set_of(cache, key);

	for (unsigned i = 0; i < WAYS && entry == NULL; i++)
		if (set[i].profile.subscriber_id == 0)
			entry = &set[i];
	if (entry == NULL)
		entry = &set[cache->turn++ % WAYS];
	drop_parts(cache, entry);
	*entry = (struct gy_cache_entry){ .key = key, .profile = *profile };
}

void gy_cache_drop(struct gy_cache *cache, struct gy_session_key key)
{
	struct gy_cache_entry *entry = entry_of(cache, key);

	if (entry == NULL)
		return;
	drop_parts(cache, entry);
	entry->profile.subscriber_id = 0;
}

struct gy_session_key gy_request_who(const struct gy_ccr *ccr, uint64_t *lane_hash)
{
	struct gy_session_key who = { 0, 0 };

	if (ccr->n_identities == 0) {
		*lane_hash = ccr->session.hi;
		/* Apart from identities, whose hashes they could otherwise meet. */
		return (struct gy_session_key){ ~ccr->session.hi, ccr->session.lo };
	}
	for (unsigned i = 0; i < ccr->n_identities; i++) {
		const struct gy_identity *identity = &ccr->identities[i];
		XXH128_hash_t h = XXH3_128bits_withSeed(identity->value.data, identity->value.len,
							(XXH64_hash_t)identity->kind);

		if (i == 0)
			*lane_hash = h.high64;
		who.hi = who.hi * UINT64_C(0x9e3779b97f4a7c15) + h.high64;
		who.lo = who.lo * UINT64_C(0x9e3779b97f4a7c15) + h.low64;
	}
	return who;
}
