/* Traffic cards as usage sees them: what is left of each, who may draw, and in which order
 * (spec/cards.md, order of consumption).
 *
 * A card stands in the account row of its owner, so its units and its owner's money have one lock.
 * Whoever is bound to it draws from that row, beside his own. Operations (purchase, binding,
 * statistics) are SQL functions on the same rows: schema/008_card_operation.sql. */
#ifndef GY_CHARGING_CARD_H
#define GY_CHARGING_CARD_H

#include <stdbool.h>

#include "core/base/units.h"
#include "core/rating/catalogue.h"

struct gy_account;
struct gy_charging;
struct gy_reservation;
struct gy_service;

/* Stored: column 2 of gyro.account.cards. */
enum gy_card_state {
	GY_CARD_HELD = 1, /* its purchase isn't confirmed: gives nothing yet */
	GY_CARD_ISSUED = 2,
	GY_CARD_FROZEN = 3,
	GY_CARD_REVOKED = 4,
};

/* A row of gyro.account.cards. used + reserved never exceeds quota (I2). */
struct gy_card {
	int64_t card_id;
	enum gy_card_state state;
	enum gy_unit unit;
	int64_t quota, used, reserved; /* units */
	gy_time_us valid_from_us, valid_until_us;
	int64_t lasts_us; /* validity from the first use on; 0: it has begun, or isn't counted so */
	int64_t held;     /* micro-units that its purchase holds */
	struct gy_rate rate; /* what its owner pays for usage, by settlement; price 0: nothing */
};

/* A row of gyro.account.draws. */
struct gy_draw {
	int64_t card_id;
	int64_t subscriber_id; /* 0: what the card gave to rating_group, in its owner's row; else
				  what this subscriber drew from a card with a cap, in his own */
	int64_t rating_group;  /* -1 with a subscriber */
	int64_t used;          /* units */
	int64_t closed;        /* of them, in closed statistics windows */
};

/* A target of a directed binding. */
struct gy_card_target {
	uint32_t rating_group;
	int64_t service_id; /* Service-Identifier; -1: all */
};

/* A binding of a subscriber. */
struct gy_bound_card {
	int64_t card_id;
	int64_t account_id; /* whose row holds the card */
	bool directed;      /* serves its targets only; otherwise all Rating-Groups */
	uint32_t priority;  /* higher first, within directed and within general */
	int64_t cap;        /* units that this subscriber may draw; 0: no limit */
	int window_from;    /* minutes of the local day in which it is used; -1: always */
	int window_until;   /* first minute after it; below window_from: over midnight */
	unsigned n_targets;
	const struct gy_card_target *targets;
};

/* The bindings of one subscriber. */
struct gy_bound_cards {
	unsigned n;
	const struct gy_bound_card *cards;
	int32_t zone_id; /* the subscriber's time zone, of the windows; 0: the snapshot's default */
};

/* The account rows that one request may change, all locked: its own and those of the cards that it
 * may draw from or holds units of. */
struct gy_homes {
	unsigned n;
	struct gy_account *const *accounts;
};

/* Cards that one grant, or one usage report beyond it, is taken from at most. */
#define GY_CARDS_PER_GRANT 6

/* The same of an event, which has no next grant that could go on with others. */
#define GY_CARDS_PER_EVENT (4 * GY_CARDS_PER_GRANT)

/* A card that can be drawn from. */
struct gy_card_source {
	struct gy_account *home;
	struct gy_card *card;
	const struct gy_bound_card *bound;
	int64_t left; /* units that this subscriber may have of it now */
};

/* The row of this account, NULL if it isn't among them. */
struct gy_account *gy_home_find(const struct gy_homes *homes, int64_t account_id);

/* Fills sources with the cards that give units of this kind to a service at an instant, in the
 * order in which they are consumed; returns how many, at most room. Cards that one owner pays for
 * by settlement share his money: each has what those before it leave of it. *more: there are others
 * that there was no room for. */
unsigned gy_card_sources(const struct gy_charging *charging, const struct gy_service *service,
			 uint32_t rating_group, enum gy_unit unit, gy_time_us at,
			 struct gy_card_source *sources, unsigned room, bool *more);

/* What an account may spend now: available, less what it owes for usage of its cards that no
 * statistics window has closed, and for what is held of them. */
int64_t gy_account_spendable(const struct gy_account *account);

/* What the settlement of units of these cards costs this account, rounded up. */
int64_t gy_card_due(const struct gy_account *account, const struct gy_card_source *sources,
		    unsigned n);

/* The unit of the first issued card that serves a service at all, whatever is left of it and
 * whatever the hour; GY_UNIT_NONE: there is none. wanted: if one has this unit, that. */
enum gy_unit gy_card_unit(const struct gy_charging *charging, const struct gy_service *service,
			  uint32_t rating_group, enum gy_unit wanted);

/* The first instant after `at` at which the order of a service's cards changes by the hours of the
 * day; INT64_MAX: none. */
gy_time_us gy_card_edge(const struct gy_charging *charging, const struct gy_service *service,
			uint32_t rating_group, enum gy_unit unit, gy_time_us at);

/* Moves units of a card to used, for a Rating-Group (Z-6). */
void gy_card_draw(const struct gy_charging *charging, struct gy_account *home, struct gy_card *card,
		  uint32_t rating_group, int64_t units);

/* Holds units of a card. */
void gy_card_reserve(struct gy_account *home, struct gy_card *card, int64_t units);

/* From now on what this subscriber draws from a card with a cap is counted, also if he is unbound
 * before he reports it. */
void gy_card_count(const struct gy_charging *charging, const struct gy_bound_card *bound);

/* Gives back what the slices of a reservation hold of cards; the slices stay. */
void gy_cards_release(struct gy_account *account, const struct gy_homes *homes,
		      const struct gy_reservation *reservation);

/* A card of an account row, NULL if it isn't there. */
struct gy_card *gy_card_find(const struct gy_account *account, int64_t card_id);

/* Rows of draws that one request may add to a row it touches. */
unsigned gy_draws_room(unsigned n_services, const struct gy_account *account,
		       const struct gy_bound_cards *cards);

/* Asserts what must hold of an account's cards between two requests (I2). */
void gy_cards_check(const struct gy_account *account);

#endif
