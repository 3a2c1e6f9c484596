/* Three accounts and their traffic cards in a store in memory, for tests of what is drawn from
 * cards: accounts 1 and 2 are users', 3 is a sponsor's. Rating-Groups 10 and 99 cost 0.10 per MiB,
 * 20 has no price, 30 is free. After each request the audit looks. */
#ifndef GY_TESTS_WALLET_H
#define GY_TESTS_WALLET_H

#include "tests/lib/tap.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"

#define MIB INT64_C(1048576)
#define NOW (INT64_C(1800000000) * GY_SECOND_US) /* 2027-01-15 08:00:00 UTC */
#define H   (3600 * GY_SECOND_US)

extern struct gy_bound_card bound[3][32];
extern struct gy_bound_cards bindings[3];
extern struct gy_profile profile[3];
/* The catalogue's: UTC, the default one, and number 2 as a test likes it. */
extern struct gy_zone zones[2];
extern struct gy_world world;
extern struct request r;

/* Fresh accounts; cards are put in with card() and bind_card(), which return what may be changed;
 * then the shop opens, with so much money for each user and 100 for the sponsor. */
void begin(void);
struct gy_card *card(int home, int64_t id, int64_t quota);
struct gy_bound_card *bind_card(int user, int home, int64_t id);
struct gy_bound_card *directed(struct gy_bound_card *b); /* for Rating-Group 99 */
void open_shop(int64_t balance);
void done(void);

/* The answer to r. */
const struct gy_answer *sent(int user);

/* One service; used < 0: no report, more < 0: no request. Returns what was granted. */
int64_t say(int user, enum gy_request_type type, uint32_t number, uint32_t group, int64_t used,
	    int64_t more);

const struct gy_card *left(int home, int64_t id);

#define BALANCE(user) (world.homes[user]->balance)

#endif
