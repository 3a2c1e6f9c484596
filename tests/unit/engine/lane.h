/* A lane of the test's own, on a real database: batches whose requests are chosen one by one, so
 * that nothing depends on when a thread wakes up. The schema is there, and tests/cases/fixture.yaml
 * applied (batch.py). */
#ifndef GY_TESTS_LANE_H
#define GY_TESTS_LANE_H

#include <libpq-fe.h>

#include "core/engine/internal.h"
#include "tests/lib/tap.h"

#define MIB       INT64_C(1048576)
#define LANE_MOST 64

extern struct gy_engine *engine;
extern struct gy_lane lane;
extern PGconn *sql;
extern struct gy_request *given[LANE_MOST]; /* what was given back, in order */
extern unsigned n_given;
extern enum gy_outcome wanted; /* of all that is given back: GY_ANSWER, unless a test says so */

/* The only value of the only row. */
int64_t number_of(const char *query);

/* A statement without rows. */
void run(const char *statement);

/* Of the accounts 1 and 2. */
int64_t balance(void);
int64_t balance_2(void);

/* How many records a request has. */
int64_t records(const char *session_id, enum gy_request_type type, uint32_t number);
struct gy_bytes bytes(const char *text);

/* Rating-Group 10 of subscriber 1: reports one MiB unless it is a CCR-I, asks unless it is a CCR-T.
 */
struct gy_request *request(const char *session_id, enum gy_request_type type, uint32_t number);

/* The same of another subscriber; of nobody but its session; as a copy. */
struct gy_request *of_subscriber_2(struct gy_request *r);
struct gy_request *of_its_session(struct gy_request *r);
struct gy_request *copy(const char *session_id, enum gy_request_type type, uint32_t number);

/* One batch of these, until NULL; what the batch before wants to try again. Returns how many were
 * given back. */
unsigned batch(struct gy_request *first, ...);
unsigned again(void);

/* Fails unless both answers say the same. */
void check_equal(const struct gy_request *a, const struct gy_request *b);

/* A session of which only the record tells copies: the row has forgotten it. */
void forgotten_session(const char *session_id);

/* Runs these tests, each with an engine and a lane. argv: the database. */
int lane_run(const char *name, TCase *tests, int argc, char **argv);

#endif
