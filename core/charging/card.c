/* Cards as sources of units: see card.h. */
#include "core/charging/card.h"

#include "core/base/assert.h"
#include "core/charging/service.h"
#include "core/rating/clock.h"
#include "core/rating/price.h"

#define MINUTE_US (60 * GY_SECOND_US)

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

struct gy_account *gy_home_find(const struct gy_homes *homes, int64_t account_id)
{
	for (unsigned i = 0; homes != NULL && i < homes->n; i++)
		if (homes->accounts[i]->account_id == account_id)
			return homes->accounts[i];
	return NULL;
}

struct gy_card *gy_card_find(const struct gy_account *account, int64_t card_id)
{
	for (unsigned i = 0; i < account->n_cards; i++)
		if (account->cards[i].card_id == card_id)
			return &account->cards[i];
	return NULL;
}

/* --- which cards, and how much of them ---- */

static bool is_target(const struct gy_bound_card *bound, uint32_t rating_group, int64_t service_id)
{
	for (unsigned i = 0; i < bound->n_targets; i++) {
		const struct gy_card_target *target = &bound->targets[i];

		if (target->rating_group == rating_group &&
		    (target->service_id < 0 || target->service_id == service_id))
			return true;
	}
	return false;
}

/* Usage of several Service-Identifiers is reported as one sum: all of them must be targets. */
static bool serves(const struct gy_bound_card *bound, const struct gy_service *service,
		   uint32_t rating_group)
{
	if (!bound->directed)
		return true;
	if (service->n_service_ids == 0)
		return is_target(bound, rating_group, -1);
	for (unsigned i = 0; i < service->n_service_ids; i++)
		if (!is_target(bound, rating_group, service->service_ids[i]))
			return false;
	return true;
}

static bool in_window(const struct gy_bound_card *bound, const struct gy_zone *zone, gy_time_us at)
{
	int64_t minute;

	if (bound->window_from < 0)
		return true;
	if (zone == NULL)
		return false;
	minute = gy_civil_at(zone, at).of_day_us / MINUTE_US;
	if (bound->window_from < bound->window_until)
		return minute >= bound->window_from && minute < bound->window_until;
	return minute >= bound->window_from || minute < bound->window_until;
}

/* What this subscriber's sessions hold of a card: of each reservation the larger phase. */
static int64_t held_by(const struct gy_account *a, int64_t subscriber_id, int64_t card_id)
{
	int64_t all = 0;

	for (unsigned r = 0; r < a->n_reservations; r++) {
		int64_t units[2] = { 0, 0 };

		if (a->reservations[r].granted == 0 ||
		    a->sessions[a->reservations[r].session].subscriber_id != subscriber_id)
			continue;
		for (unsigned i = 0; i < a->n_slices; i++)
			if (a->slices[i].reservation == r && a->slices[i].from == GY_FROM_CARD &&
			    a->slices[i].from_id == card_id)
				units[a->slices[i].phase] += a->slices[i].units;
		all += units[0] > units[1] ? units[0] : units[1];
	}
	return all;
}

static struct gy_draw *draw_find(const struct gy_account *account, int64_t card_id,
				 int64_t subscriber_id, int64_t rating_group)
{
	for (unsigned i = 0; i < account->n_draws; i++)
		if (account->draws[i].card_id == card_id &&
		    account->draws[i].subscriber_id == subscriber_id &&
		    account->draws[i].rating_group == rating_group)
			return &account->draws[i];
	return NULL;
}

static int64_t left_under_cap(const struct gy_charging *c, const struct gy_bound_card *bound)
{
	const struct gy_draw *drawn =
		draw_find(c->account, bound->card_id, c->profile->subscriber_id, -1);

	return bound->cap - (drawn != NULL ? drawn->used : 0) -
	       held_by(c->account, c->profile->subscriber_id, bound->card_id);
}

/* What the owner owes for usage that no window has closed, and for what is held. */
static int64_t unsettled(const struct gy_account *home)
{
	int64_t due = 0;

	for (unsigned i = 0; i < home->n_cards; i++) {
		const struct gy_card *card = &home->cards[i];
		int64_t units = card->used + card->reserved, micros = 0;

		if (card->rate.price_micros == 0 || units == 0)
			continue;
		for (unsigned k = 0; k < home->n_draws; k++)
			if (home->draws[k].card_id == card->card_id &&
			    home->draws[k].subscriber_id == 0)
				units -= home->draws[k].closed;
		if (!gy_price_reserve(card->rate, units, 0, &micros))
			micros = GY_AMOUNT_MAX;
		due = micros > GY_AMOUNT_MAX - due ? GY_AMOUNT_MAX : due + micros;
	}
	return due;
}

int64_t gy_account_spendable(const struct gy_account *account)
{
	return gy_account_available(account) - unsettled(account);
}

int64_t gy_card_due(const struct gy_account *account, const struct gy_card_source *sources,
		    unsigned n)
{
	int64_t due = 0;

	for (unsigned i = 0; i < n; i++) {
		struct gy_rate rate = sources[i].card->rate;
		int64_t micros = 0;

		if (rate.price_micros == 0 || sources[i].home != account)
			continue;
		if (!gy_price_reserve(rate, sources[i].left, 0, &micros))
			micros = GY_AMOUNT_MAX;
		due = micros > GY_AMOUNT_MAX - due ? GY_AMOUNT_MAX : due + micros;
	}
	return due;
}

/* An owner who pays by settlement and has no credit left, or may not pay any more, stops his pool.
 * before: sources that are drawn first, some of them perhaps of the same owner. */
static int64_t left_for_owner(const struct gy_account *home, const struct gy_card *card,
			      gy_time_us at, const struct gy_card_source *before, unsigned n)
{
	int64_t money = gy_account_spendable(home) - gy_card_due(home, before, n);

	if (home->state != GY_ACTIVE || at >= home->valid_until_us || money <= 0)
		return 0;
	return gy_price_affordable(card->rate, least(money, GY_AMOUNT_MAX), 0);
}

static int64_t units_left(const struct gy_charging *c, const struct gy_bound_card *bound,
			  const struct gy_account *home, const struct gy_card *card, gy_time_us at)
{
	int64_t left = card->quota - card->used - card->reserved;

	if (left > 0 && bound->cap > 0)
		left = least(left, left_under_cap(c, bound));
	if (left > 0 && card->rate.price_micros > 0)
		left = least(left, left_for_owner(home, card, at, NULL, 0));
	return left > 0 ? left : 0;
}

/* What of an owner's money those before it leave to each source. Returns how many still give. */
static unsigned share_owners_money(struct gy_card_source *sources, unsigned n, gy_time_us at)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct gy_card_source source = sources[i];

		if (kept > 0 && source.card->rate.price_micros > 0)
			source.left = least(source.left, left_for_owner(source.home, source.card,
									at, sources, kept));
		if (source.left > 0)
			sources[kept++] = source;
	}
	return kept;
}

/* --- the order of consumption ---- */

/* Negative: a before b. */
static int compare(const struct gy_charging *c, const struct gy_card_source *a,
		   const struct gy_card_source *b)
{
	const struct gy_bound_card *x = a->bound, *y = b->bound;
	bool sponsored_x = x->account_id != c->account->account_id;
	bool sponsored_y = y->account_id != c->account->account_id;
	/* Prices of a unit, over one denominator. */
	__int128 price_x = (__int128)a->card->rate.price_micros * b->card->rate.block;
	__int128 price_y = (__int128)b->card->rate.price_micros * a->card->rate.block;

	if (x->directed != y->directed)
		return x->directed ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (sponsored_x != sponsored_y)
		return sponsored_x ? -1 : 1;
	if ((x->window_from >= 0) != (y->window_from >= 0))
		return x->window_from >= 0 ? -1 : 1;
	if (a->card->valid_until_us != b->card->valid_until_us)
		return a->card->valid_until_us < b->card->valid_until_us ? -1 : 1;
	if (price_x != price_y)
		return price_x < price_y ? -1 : 1;
	return x->card_id < y->card_id ? -1 : 1;
}

/* The card of a binding, if it serves the service at all, whatever the hour and what is left. */
static bool find_source(const struct gy_charging *c, const struct gy_bound_card *bound,
			const struct gy_service *service, uint32_t rating_group, enum gy_unit unit,
			struct gy_card_source *source)
{
	if (!serves(bound, service, rating_group))
		return false;
	source->bound = bound;
	source->home = gy_home_find(c->homes, bound->account_id);
	source->card = source->home != NULL ? gy_card_find(source->home, bound->card_id) : NULL;
	return source->card != NULL && source->card->state == GY_CARD_ISSUED &&
	       source->card->unit == unit;
}

/* Keeps the first ones in order. */
static bool insert(const struct gy_charging *c, const struct gy_card_source *source,
		   struct gy_card_source *sources, unsigned room, unsigned *n)
{
	unsigned i = *n;
	bool full = *n == room;

	if (full && compare(c, source, &sources[i - 1]) > 0)
		return false;
	if (full)
		i--;
	else
		(*n)++;
	for (; i > 0 && compare(c, source, &sources[i - 1]) < 0; i--)
		sources[i] = sources[i - 1];
	sources[i] = *source;
	return !full;
}

unsigned gy_card_sources(const struct gy_charging *c, const struct gy_service *service,
			 uint32_t rating_group, enum gy_unit unit, gy_time_us at,
			 struct gy_card_source *sources, unsigned room, bool *more)
{
	const struct gy_bound_cards *cards = c->profile->cards;
	unsigned n = 0;

	*more = false;
	for (unsigned i = 0; cards != NULL && i < cards->n; i++) {
		const struct gy_bound_card *bound = &cards->cards[i];
		struct gy_card_source source;

		if (!find_source(c, bound, service, rating_group, unit, &source) ||
		    at < source.card->valid_from_us || at >= source.card->valid_until_us ||
		    !in_window(bound, c->zone, at))
			continue;
		source.left = units_left(c, bound, source.home, source.card, at);
		if (source.left > 0 && !insert(c, &source, sources, room, &n))
			*more = true;
	}
	return share_owners_money(sources, n, at);
}

enum gy_unit gy_card_unit(const struct gy_charging *c, const struct gy_service *service,
			  uint32_t rating_group, enum gy_unit wanted)
{
	const struct gy_bound_cards *cards = c->profile->cards;
	enum gy_unit first = GY_UNIT_NONE;

	for (unsigned i = 0; cards != NULL && i < cards->n; i++) {
		const struct gy_account *home = gy_home_find(c->homes, cards->cards[i].account_id);
		const struct gy_card *card =
			home != NULL ? gy_card_find(home, cards->cards[i].card_id) : NULL;

		if (card == NULL || card->state != GY_CARD_ISSUED ||
		    !serves(&cards->cards[i], service, rating_group))
			continue;
		if (card->unit == wanted)
			return wanted;
		if (first == GY_UNIT_NONE)
			first = card->unit;
	}
	return first;
}

/* The first instant after `at` at which a local minute of the day begins, or the clock is set
 * before that: it may leave the minute out, or come back to it. */
static gy_time_us next_minute(const struct gy_zone *zone, gy_time_us at, int minute)
{
	int64_t ahead = (int64_t)minute * MINUTE_US - gy_civil_at(zone, at).of_day_us;

	if (ahead <= 0)
		ahead += 24 * 60 * MINUTE_US;
	return least(at + ahead, gy_clock_next_change(zone, at));
}

gy_time_us gy_card_edge(const struct gy_charging *c, const struct gy_service *service,
			uint32_t rating_group, enum gy_unit unit, gy_time_us at)
{
	const struct gy_bound_cards *cards = c->profile->cards;
	gy_time_us edge = INT64_MAX;

	if (cards == NULL || c->zone == NULL)
		return edge;
	for (unsigned i = 0; i < cards->n; i++) {
		const struct gy_bound_card *bound = &cards->cards[i];
		struct gy_card_source source;

		if (bound->window_from < 0 ||
		    !find_source(c, bound, service, rating_group, unit, &source) ||
		    at >= source.card->valid_until_us ||
		    units_left(c, bound, source.home, source.card, at) == 0)
			continue;
		edge = least(edge, next_minute(c->zone, at, bound->window_from));
		edge = least(edge, next_minute(c->zone, at, bound->window_until % (24 * 60)));
	}
	return edge;
}

/* --- what changes ---- */

static void add_draw(struct gy_account *account, int64_t card_id, int64_t subscriber_id,
		     int64_t rating_group, int64_t units)
{
	struct gy_draw *draw = draw_find(account, card_id, subscriber_id, rating_group);

	if (draw == NULL) {
		gy_assert(account->n_draws < account->draws_room);
		draw = &account->draws[account->n_draws++];
		*draw = (struct gy_draw){ .card_id = card_id,
					  .subscriber_id = subscriber_id,
					  .rating_group = rating_group };
	}
	draw->used += units;
	account->cards_changed = true;
}

static bool has_cap(const struct gy_bound_cards *cards, int64_t card_id)
{
	for (unsigned i = 0; cards != NULL && i < cards->n; i++)
		if (cards->cards[i].card_id == card_id)
			return cards->cards[i].cap > 0;
	return false;
}

void gy_card_draw(const struct gy_charging *c, struct gy_account *home, struct gy_card *card,
		  uint32_t rating_group, int64_t units)
{
	int64_t subscriber = c->profile->subscriber_id;

	card->used += units;
	if (card->lasts_us > 0) { /* the first use */
		card->valid_until_us = least(card->valid_until_us, c->now + card->lasts_us);
		card->lasts_us = 0;
	}
	add_draw(home, card->card_id, 0, rating_group, units);
	if (draw_find(c->account, card->card_id, subscriber, -1) != NULL ||
	    has_cap(c->profile->cards, card->card_id))
		add_draw(c->account, card->card_id, subscriber, -1, units);
}

void gy_card_count(const struct gy_charging *c, const struct gy_bound_card *bound)
{
	if (bound->cap > 0)
		add_draw(c->account, bound->card_id, c->profile->subscriber_id, -1, 0);
}

void gy_card_reserve(struct gy_account *home, struct gy_card *card, int64_t units)
{
	card->reserved += units;
	home->cards_changed = true;
}

/* Does an earlier slice of the reservation hold the same card? */
static bool seen_before(const struct gy_account *account, unsigned slice)
{
	const struct gy_slice *s = &account->slices[slice];

	for (unsigned i = 0; i < slice; i++)
		if (account->slices[i].reservation == s->reservation &&
		    account->slices[i].from == GY_FROM_CARD &&
		    account->slices[i].from_id == s->from_id)
			return true;
	return false;
}

void gy_cards_release(struct gy_account *account, const struct gy_homes *homes,
		      const struct gy_reservation *reservation)
{
	unsigned row = (unsigned)(reservation - account->reservations);

	for (unsigned i = 0; i < account->n_slices; i++) {
		const struct gy_slice *s = &account->slices[i];
		int64_t units[2] = { 0, 0 };
		struct gy_account *home;
		struct gy_card *card;

		if (s->reservation != row || s->from != GY_FROM_CARD || seen_before(account, i))
			continue;
		for (unsigned k = i; k < account->n_slices; k++)
			if (account->slices[k].reservation == row &&
			    account->slices[k].from == GY_FROM_CARD &&
			    account->slices[k].from_id == s->from_id)
				units[account->slices[k].phase] += account->slices[k].units;
		home = gy_home_find(homes, s->home);
		gy_assert(home != NULL);
		card = gy_card_find(home, s->from_id);
		gy_assert(card != NULL); /* what is held never leaves its row */
		gy_card_reserve(home, card, -(units[0] > units[1] ? units[0] : units[1]));
	}
}

unsigned gy_draws_room(unsigned n_services, const struct gy_account *account,
		       const struct gy_bound_cards *cards)
{
	return n_services * ((cards != NULL ? 2 * cards->n : 0) + account->n_slices);
}

void gy_cards_check(const struct gy_account *account)
{
	for (unsigned i = 0; i < account->n_cards; i++) {
		const struct gy_card *card = &account->cards[i];
		int64_t drawn = 0;

		for (unsigned k = 0; k < account->n_draws; k++)
			if (account->draws[k].card_id == card->card_id &&
			    account->draws[k].subscriber_id == 0)
				drawn += account->draws[k].used;
		gy_assert(card->used >= 0 && card->reserved >= 0 && card->held >= 0);
		gy_assert(card->used + card->reserved <= card->quota);
		gy_assert(card->used == drawn);
	}
}
