/* The half of a profile that traffic cards need: what a subscriber is bound to (spec/cards.md Z-7
 * to Z-12), and which time zone their hours are in. */
#include <talloc.h>

#include "core/store/connection.h"

/* What one profile gets: counted, then made, then filled. */
struct share {
	unsigned n_cards, n_targets;
	struct gy_bound_cards *bound;
	struct gy_bound_card *cards;
	struct gy_card_target *targets;
};

#define INT8(column) gy_get_int8(PQgetvalue(result, row, column))
#define INT2(column) gy_get_int2(PQgetvalue(result, row, column))

static struct share *share_of(const PGresult *result, int row, struct share *shares, unsigned n)
{
	int64_t position = INT8(0);

	return position >= 1 && position <= (int64_t)n ? &shares[position - 1] : NULL;
}

/* A row is of another binding than the one before it. */
static bool begins_binding(const PGresult *result, int row)
{
	return row == 0 || INT8(1) != gy_get_int8(PQgetvalue(result, row - 1, 1)) ||
	       INT8(0) != gy_get_int8(PQgetvalue(result, row - 1, 0));
}

static bool make(struct share *s)
{
	s->bound = talloc_zero(NULL, struct gy_bound_cards);
	if (s->bound == NULL)
		return false;
	s->cards = talloc_zero_array(s->bound, struct gy_bound_card, s->n_cards);
	s->targets = talloc_zero_array(s->bound, struct gy_card_target, s->n_targets);
	if (s->cards == NULL || s->targets == NULL)
		return false;
	s->bound->cards = s->cards;
	return true;
}

static void take_binding(const PGresult *result, int row, struct share *s)
{
	struct gy_bound_card *card;

	s->bound->zone_id = gy_get_int4(PQgetvalue(result, row, 11));
	if (begins_binding(result, row)) {
		s->cards[s->bound->n++] = (struct gy_bound_card){
			.card_id = INT8(2),
			.account_id = INT8(3),
			.directed = *PQgetvalue(result, row, 4) != 0,
			.priority = (uint32_t)INT8(5),
			.cap = INT8(6),
			.window_from = INT2(7),
			.window_until = INT2(8),
			.targets = s->targets,
		};
	}
	card = &s->cards[s->bound->n - 1];
	if (INT8(9) < 0)
		return;
	*s->targets++ = (struct gy_card_target){ (uint32_t)INT8(9), INT8(10) };
	card->n_targets++;
}

static enum gy_rc fill(const PGresult *bindings, struct share *shares, unsigned n)
{
	struct share *s;

	for (int row = 0; row < PQntuples(bindings); row++)
		if ((s = share_of(bindings, row, shares, n)) != NULL) {
			s->n_cards += begins_binding(bindings, row);
			s->n_targets++;
		}
	for (unsigned i = 0; i < n; i++)
		if (!make(&shares[i]))
			return GY_NO_MEMORY;
	for (int row = 0; row < PQntuples(bindings); row++)
		if ((s = share_of(bindings, row, shares, n)) != NULL)
			take_binding(bindings, row, s);
	return GY_OK;
}

enum gy_rc gy_store_bindings(struct gy_store *store, struct gy_profile *const *profiles, unsigned n)
{
	struct share *shares = talloc_zero_array(NULL, struct share, n);
	struct gy_params *p = &store->find;
	enum gy_rc rc = GY_NO_MEMORY;

	gy_params_begin(p, 1);
	gy_array_begin(p, 1, GY_OID_INT8, 0);
	for (unsigned i = 0; i < n; i++)
		gy_array_int8(p, 1, profiles[i]->subscriber_id);
	gy_array_end(p, 1);
	if (shares != NULL && !p->out_of_memory) {
		gy_round_begin(store);
		gy_round_add(store, GY_SQL_PROFILE_CARDS, p);
		rc = gy_round_end(store);
	}
	if (rc == GY_OK)
		rc = fill(store->result[0], shares, n);
	for (unsigned i = 0; shares != NULL && i < n; i++) {
		if (rc == GY_OK)
			profiles[i]->cards = shares[i].bound;
		else
			talloc_free(shares[i].bound);
	}
	talloc_free(shares);
	return rc;
}
