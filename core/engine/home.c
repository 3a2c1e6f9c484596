/* The account rows beside a request's own: those of the cards that its subscriber is bound to, or
 * that its sessions still hold units of. See internal.h. */
#include <stdlib.h>
#include <talloc.h>

#include "core/engine/internal.h"

static int compare_locked(const void *a, const void *b)
{
	const struct gy_locked *x = a, *y = b;

	return (x->account.account_id > y->account.account_id) -
	       (x->account.account_id < y->account.account_id);
}

struct gy_locked *gy_locked_find(struct gy_locked *locked, unsigned n, int64_t account_id)
{
	const struct gy_locked key = { .account.account_id = account_id };

	return n > 0 ? bsearch(&key, locked, n, sizeof(*locked), compare_locked) : NULL;
}

static bool is_listed(const int64_t *ids, unsigned n, int64_t id)
{
	for (unsigned i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Homes of slices that aren't locked: of cards that were unbound while units of them were held. */
static unsigned missing(struct gy_locked *locked, unsigned n_locked, int64_t *ids)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_locked; i++) {
		const struct gy_account *a = &locked[i].account;

		for (unsigned k = 0; k < a->n_slices; k++)
			if (a->slices[k].home != 0 && !is_listed(ids, n, a->slices[k].home) &&
			    gy_locked_find(locked, n_locked, a->slices[k].home) == NULL)
				ids[n++] = a->slices[k].home;
	}
	return n;
}

enum gy_rc gy_homes_lock(struct gy_store *store, void *pool, bool mark, struct gy_locked **locked,
			 unsigned *n_locked)
{
	unsigned n_slices = 0, n_ids, n_more = 0;
	struct gy_locked *more, *all;
	gy_time_us now;
	int64_t *ids;
	enum gy_rc rc;

	for (unsigned i = 0; i < *n_locked; i++)
		n_slices += (*locked)[i].account.n_slices;
	if (n_slices == 0)
		return GY_OK;
	ids = talloc_array(pool, int64_t, n_slices);
	if (ids == NULL)
		goto no_memory;
	n_ids = missing(*locked, *n_locked, ids);
	if (n_ids == 0)
		return GY_OK;
	/* Out of order, and so without waiting for anybody: a row that is held is left out. */
	rc = gy_store_lock_due(store, pool, ids, n_ids, mark, &more, &n_more, &now);
	if (rc != GY_OK)
		return rc;
	all = talloc_array(pool, struct gy_locked, *n_locked + n_more);
	if (all == NULL)
		goto no_memory;
	for (unsigned i = 0; i < *n_locked; i++)
		all[i] = (*locked)[i];
	for (unsigned i = 0; i < n_more; i++)
		all[*n_locked + i] = more[i];
	*locked = all;
	*n_locked += n_more;
	qsort(all, *n_locked, sizeof(*all), compare_locked);
	return GY_OK;
no_memory:
	gy_store_rollback(store);
	return GY_NO_MEMORY;
}

/* Adds a row to the homes. False if it isn't locked, or can't be read. */
static bool add(struct gy_locked *locked, unsigned n_locked, int64_t account_id,
		struct gy_account **accounts, unsigned *n)
{
	struct gy_locked *home;

	for (unsigned i = 0; i < *n; i++)
		if (accounts[i]->account_id == account_id)
			return true;
	home = gy_locked_find(locked, n_locked, account_id);
	if (home == NULL || home->unreadable)
		return false;
	accounts[(*n)++] = &home->account;
	return true;
}

enum gy_rc gy_homes_make(void *pool, struct gy_locked *locked, unsigned n_locked,
			 const struct gy_account *own, const struct gy_bound_cards *cards,
			 struct gy_homes *homes)
{
	unsigned most = 1 + (cards != NULL ? cards->n : 0) + own->n_slices, n = 0;
	struct gy_account **accounts;
	bool all;

	*homes = (struct gy_homes){ 0, NULL };
	if (most == 1)
		return GY_OK;
	accounts = talloc_array(pool, struct gy_account *, most);
	if (accounts == NULL)
		return GY_NO_MEMORY;
	all = add(locked, n_locked, own->account_id, accounts, &n);
	for (unsigned i = 0; cards != NULL && i < cards->n; i++)
		all = all && add(locked, n_locked, cards->cards[i].account_id, accounts, &n);
	for (unsigned i = 0; i < own->n_slices; i++)
		if (own->slices[i].home != 0)
			all = all && add(locked, n_locked, own->slices[i].home, accounts, &n);
	homes->n = n;
	homes->accounts = accounts;
	return all ? GY_OK : GY_STORE_RETRY;
}

void gy_homes_changed(struct gy_locked *locked, unsigned n_locked, const struct gy_homes *homes)
{
	for (unsigned i = 0; i < homes->n; i++) {
		if (!homes->accounts[i]->cards_changed)
			continue;
		homes->accounts[i]->cards_changed = false;
		gy_account_check(homes->accounts[i]);
		gy_locked_find(locked, n_locked, homes->accounts[i]->account_id)->changed = true;
	}
}
