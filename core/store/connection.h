/* One connection to PostgreSQL: prepared statements, sent in rounds, with a time limit.
 *
 * For the files of core/store only. A round is any number of statements sent together (libpq's
 * pipeline) and one wait for all results. Nothing here blocks longer than the limit: a server that
 * stands still costs its connection, not the node. */
#ifndef GY_STORE_CONNECTION_H
#define GY_STORE_CONNECTION_H

#include <libpq-fe.h>

#include "core/store/binary.h"
#include "core/store/statement.h"
#include "core/store/store.h"

#define GY_ROUND_MAX 8

struct gy_store {
	PGconn *connection;
	unsigned timeout_ms;      /* of one round */
	bool sync_wait_cancelled; /* a commit is local only: its outcome is not an answer (P5) */
	bool silent;              /* it didn't answer in time: nothing more is asked of it */
	bool rolled_back;         /* the server said so, by an error in the last round */
	char error[512];          /* of the last failure, one line */

	unsigned n_round; /* statements sent */
	PGresult *result[GY_ROUND_MAX];

	/* Kept from batch to batch. */
	struct gy_params lock, known, apply, find;
};

/* Starts a round; the results of the one before are freed. */
void gy_round_begin(struct gy_store *store);
/* Adds a prepared statement with its parameters (NULL: none). Returns its index in the round. */
unsigned gy_round_add(struct gy_store *store, enum gy_sql sql, const struct gy_params *params);
/* Adds BEGIN, COMMIT or ROLLBACK. */
unsigned gy_round_add_command(struct gy_store *store, const char *command);
/* Sends what is not yet sent, waits for all results. Returns GY_OK, or the first failure by
 * sqlstate.c's table, with store->error; the results before it are there. */
enum gy_rc gy_round_end(struct gy_store *store) GY_MUST_CHECK;

/* What a round that ended in COMMIT came to; rc: gy_round_end's. A lost connection leaves open
 * whether COMMIT came through, and so does a cancelled wait for a standby: GY_OUTCOME_UNKNOWN.
 * Not so what the server refuses with an ERROR, as a full disk: COMMIT is not carried out after it.
 * After any other failure no transaction is open. store->sync_wait_cancelled must have been false
 * before. */
enum gy_rc gy_round_committed(struct gy_store *store, enum gy_rc rc) GY_MUST_CHECK;

/* Rows changed by a statement of the last round. */
long gy_round_changed(const struct gy_store *store, unsigned index);

/* Bytes of a value of a result; data NULL if it is NULL. */
struct gy_bytes gy_result_bytes(const PGresult *result, int row, int column);

#endif
