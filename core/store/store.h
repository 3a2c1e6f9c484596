/* The store: accounts, sessions, records and catalogue in PostgreSQL, which is the authority.
 *
 * One struct gy_store is one connection and belongs to one thread. A batch of requests is one
 * transaction of two round trips: gy_store_lock reads and locks the account rows, gy_store_apply
 * writes what was decided and commits. It decides nothing about money.
 *
 * Functions return GY_OK or an environment error: GY_ROW_BUSY, GY_STORE_RETRY,
 * GY_STORE_UNAVAILABLE (the connection is to be opened anew), GY_STORE_REFUSED, GY_NO_MEMORY; and
 * gy_store_apply also GY_OUTCOME_UNKNOWN. After any of them no transaction is open. */
#ifndef GY_STORE_STORE_H
#define GY_STORE_STORE_H

#include "core/charging/card_order.h"
#include "core/charging/decide.h"

struct gy_store;

/* Connects, prepares all statements, checks schema version and durability settings.
 * timeout_ms bounds connecting and every round trip. On failure *store is NULL and error one line.
 * Returns GY_OK, GY_STORE_UNAVAILABLE, GY_STORE_REFUSED (wrong schema, or a setting that would make
 * an answer a lie), GY_NO_MEMORY. */
enum gy_rc gy_store_open(const char *conninfo, unsigned timeout_ms, struct gy_store **store,
			 char *error, size_t error_size) GY_MUST_CHECK;
void gy_store_close(struct gy_store *store);
/* One line about the last failure. */
const char *gy_store_error(const struct gy_store *store);
/* The connection's socket, to wait for notifications; and whether one has come. */
int gy_store_socket(struct gy_store *store);
bool gy_store_notified(struct gy_store *store);

/* --- who: outside of any transaction ---- */

/* One identity to look up; found.subscriber_id 0: unknown. */
struct gy_lookup {
	enum gy_identity_kind kind; /* as a stored kind */
	struct gy_bytes value;
	struct gy_session_key session; /* used instead, by gy_store_find_sessions */
	struct gy_profile found;
};

/* Fills found of each. */
enum gy_rc gy_store_find_identities(struct gy_store *store, struct gy_lookup *lookups,
				    unsigned n) GY_MUST_CHECK;
enum gy_rc gy_store_find_sessions(struct gy_store *store, struct gy_lookup *lookups,
				  unsigned n) GY_MUST_CHECK;

/* Gives each profile its attributes (S-11), each the root of its own talloc tree: the caller frees
 * them with talloc_free. None is set unless all are. */
enum gy_rc gy_store_attributes(struct gy_store *store, struct gy_profile *const *profiles,
			       unsigned n) GY_MUST_CHECK;

/* Gives each profile what it is bound to, under the same rules. */
enum gy_rc gy_store_bindings(struct gy_store *store, struct gy_profile *const *profiles,
			     unsigned n) GY_MUST_CHECK;

/* When a gateway lost its sessions: those opened before, but not the one whose request told it. */
struct gy_restart {
	gy_time_us at_us; /* 0: never */
	struct gy_session_key told_by;
};

struct gy_gateway_state {
	int64_t gateway_id;
	uint32_t origin_state; /* the greatest it told */
	struct gy_restart restart;
};

/* The gateway's number and state; made if it is new. */
enum gy_rc gy_store_gateway(struct gy_store *store, struct gy_bytes origin_host,
			    struct gy_bytes origin_realm,
			    struct gy_gateway_state *state) GY_MUST_CHECK;
/* Tells a greater Origin-State-Id, which ends older sessions if ends is set (G-92). *state: what is
 * known then, also if another node was first; *news: it was not, and sessions end. */
enum gy_rc gy_store_gateway_restarted(struct gy_store *store, int64_t gateway_id,
				      uint32_t origin_state, struct gy_session_key told_by,
				      bool ends, struct gy_gateway_state *state,
				      bool *news) GY_MUST_CHECK;

/* --- one batch, one transaction ---- */

/* An account row of the batch, with what a request may add to it. */
struct gy_locked {
	struct gy_account account; /* its arrays are talloc'ed under the batch's pool */
	bool changed;
	bool unreadable; /* only its number is known (gy_store_lock_due) */
};

/* BEGIN, locks and reads the rows (account_ids ascending, no doubles); rows held by others are left
 * out unless wait is set. initial_keys: sessions of the batch's CCR-Is; *known tells for each
 * whose it is by the index, 0 nobody's. *now is the database's clock. pool: talloc context for all
 * of it. */
enum gy_rc gy_store_lock(struct gy_store *store, void *pool, const int64_t *account_ids,
			 unsigned n_accounts, bool wait, const struct gy_session_key *initial_keys,
			 unsigned n_initial, int64_t *known, struct gy_locked **locked,
			 unsigned *n_locked, gy_time_us *now) GY_MUST_CHECK;

/* Grows an account's arrays so that a request of this need fits (gy_account_room). */
enum gy_rc gy_account_reserve(void *pool, struct gy_account *account,
			      struct gy_room room) GY_MUST_CHECK;

/* What the account row has forgotten of a session; inside the transaction. Rows under pool. */
enum gy_rc gy_store_history(struct gy_store *store, void *pool, const struct gy_ccr *ccr,
			    struct gy_history *history) GY_MUST_CHECK;

/* A session that was opened: its index row. */
struct gy_opened {
	const struct gy_ccr *ccr;
	const struct gy_record *record;
	gy_time_us check_at_us;
	/* gy_store_lock found an index row: it is taken over. Otherwise it is made, and if somebody
	 * was faster, the transaction fails (GY_STORE_RETRY). */
	bool known;
	/* A row of another account is taken over only if it still is of this ended session;
	 * otherwise the transaction fails, too. */
	int64_t of_account;
	gy_time_us of_opened_us;
};

/* Writes and commits. Nothing to write ends the transaction without a commit's cost.
 * GY_OUTCOME_UNKNOWN: the connection was lost, or the wait for a standby cancelled, after COMMIT
 * was sent; the caller runs the batch again and finds out by its duplicates. */
enum gy_rc gy_store_apply(struct gy_store *store, const struct gy_locked *locked, unsigned n_locked,
			  const struct gy_record *const *records, unsigned n_records,
			  const struct gy_opened *opened, unsigned n_opened) GY_MUST_CHECK;
/* Ends the transaction without a trace. */
void gy_store_rollback(struct gy_store *store);

/* Usage of unknown sessions; in a transaction of its own, outside of the batch (G-24). In the order
 * of their session keys, so that two nodes don't wait for each other in a circle. */
enum gy_rc gy_store_keep_unmatched(struct gy_store *store, const struct gy_ccr *const *ccrs,
				   unsigned n) GY_MUST_CHECK;

/* --- cards: each operation a transaction of its own ---- */

/* One request of the cards' Service-Context; ccr->card_order is there. requester: the subscriber
 * who asks, 0: whoever the session's purchase is of. The answer and what it points to live in pool.
 * GY_OUTCOME_UNKNOWN as from gy_store_apply: a copy of the request finds out. */
enum gy_rc gy_store_card(struct gy_store *store, void *pool, const struct gy_ccr *ccr,
			 int64_t requester, struct gy_answer *answer) GY_MUST_CHECK;
/* Ends purchases whose hold time is over, at most max; *done: how many. */
enum gy_rc gy_store_purchase_sweep(struct gy_store *store, unsigned max,
				   unsigned *done) GY_MUST_CHECK;

/* --- supervision: one transaction with gy_store_lock and gy_store_apply in it ---- */

struct gy_due {
	struct gy_session_key session;
	int64_t account_id;
	bool release_requested; /* of a lost one set by the caller, if it can't be ended now */
	bool ended;             /* the sweeper saw it before: it may be forgotten */
	int64_t lost_by;        /* the gateway that has lost it; 0: it is due by itself */
	gy_time_us restarted_us;
	gy_time_us look_at_us; /* set by the caller: when to look again */
	bool looked;           /* set by the caller: its account row was there to be looked at */
	bool taken_over;       /* set by the caller: more than one gateway has had it */
};

/* BEGIN and the due sessions, at most max, under pool. */
enum gy_rc gy_store_due(struct gy_store *store, void *pool, unsigned max, struct gy_due **due,
			unsigned *n) GY_MUST_CHECK;
/* The same of sessions that their gateways have lost (G-92), at most max of each of them. */
enum gy_rc gy_store_lost(struct gy_store *store, void *pool, unsigned max, struct gy_due **due,
			 unsigned *n) GY_MUST_CHECK;
/* None is left: those restarts are done with. A transaction of its own. */
enum gy_rc gy_store_lost_done(struct gy_store *store) GY_MUST_CHECK;
/* Inside the same transaction: locks these accounts, skipping held ones. A row that makes no
 * sense is GY_STORE_REFUSED, or, with mark, one of them that says so. */
enum gy_rc gy_store_lock_due(struct gy_store *store, void *pool, const int64_t *account_ids,
			     unsigned n_accounts, bool mark, struct gy_locked **locked,
			     unsigned *n_locked, gy_time_us *now) GY_MUST_CHECK;
/* Writes when to look again at each that was looked at, forgets those that were ended before. The
 * transaction goes on: gy_store_apply ends it. */
enum gy_rc gy_store_due_done(struct gy_store *store, const struct gy_due *due,
			     unsigned n) GY_MUST_CHECK;

/* --- outbox: requests to gateways, each statement a transaction of its own ---- */

/* A gateway that something is to be sent to. */
struct gy_outbox_gateway {
	int64_t gateway_id;
	struct gy_bytes host, realm; /* under pool */
	int64_t due_in_ms;           /* its next row that is not due yet; -1: none */
	int64_t leave_ms; /* set by the caller: a node that knows it better comes first */
	unsigned room;    /* set by the caller: rows it may have now; 0: not reached */
};

/* A row that was claimed, to be sent by this node. */
struct gy_outbox_row {
	int64_t outbox_id, group_id, gateway_id;
	unsigned attempt;            /* from 1 */
	int kind;                    /* as stored: 1 RAR, 2 ASR */
	int64_t rating_group;        /* -1: the whole session */
	struct gy_bytes session_id;  /* under pool */
	struct gy_bytes sub_session; /* digits; empty: none */
};

/* What came of one. Values are outbox_told.sql's. */
enum gy_told {
	GY_TOLD_ACCEPTED = 1,   /* 2xxx */
	GY_TOLD_NO_SESSION = 2, /* 5002: the session is released */
	GY_TOLD_REFUSED = 3,    /* another try would meet the same */
	GY_TOLD_TRY_AGAIN = 4,  /* no answer, or one that may change */
	GY_TOLD_NOT_SENT = 5,   /* the gateway can't be reached from here any more */
};

struct gy_outbox_told {
	int64_t outbox_id, group_id;
	unsigned attempt;
	enum gy_told told;
	int64_t code; /* Result-Code, 0 without one, -1 no answer */
	int64_t pause_ms;
};

/* Puts into the outbox what causes with very many sessions have noted, of at_most subscribers.
 * *spread: of how many; *due_in_ms: when more are due, -1: none are left. */
enum gy_rc gy_store_outbox_spread(struct gy_store *store, int64_t at_most, int64_t *spread,
				  int64_t *due_in_ms) GY_MUST_CHECK;
/* All gateways with rows to be sent or on their way, under pool. */
enum gy_rc gy_store_outbox_gateways(struct gy_store *store, void *pool,
				    struct gy_outbox_gateway **gateways, unsigned *n) GY_MUST_CHECK;
/* Claims rows of those with room, in the name of node and for claim_ms; rows under pool. *taken:
 * how many rows were looked at, those included that need not be sent any more. */
enum gy_rc gy_store_outbox_claim(struct gy_store *store, void *pool,
				 const struct gy_outbox_gateway *gateways, unsigned n_gateways,
				 struct gy_bytes node, int64_t claim_ms, unsigned tries,
				 struct gy_outbox_row **rows, unsigned *n,
				 unsigned *taken) GY_MUST_CHECK;
/* Writes outcomes. Of a row that another node has claimed since, nothing. *released: sessions that
 * the sweeper is to end now. */
enum gy_rc gy_store_outbox_told(struct gy_store *store, const struct gy_outbox_told *told,
				unsigned n, struct gy_bytes node, unsigned tries,
				int64_t *released) GY_MUST_CHECK;
/* Gives up what nobody reached in time, forgets what was finished long ago. */
enum gy_rc gy_store_outbox_tidy(struct gy_store *store) GY_MUST_CHECK;

/* --- catalogue ---- */

/* LISTENs for changes of the catalogue, and of the outbox, on this connection. */
enum gy_rc gy_store_listen(struct gy_store *store) GY_MUST_CHECK;
/* Versions of the catalogue and of the pushed values. */
enum gy_rc gy_store_catalogue_version(struct gy_store *store, int64_t *version,
				      int64_t *pushed) GY_MUST_CHECK;
/* A new snapshot, archived, and what is pushed now; the catalogue is the root of a talloc tree that
 * holds both. GY_STORE_REFUSED: it isn't sound; gy_store_error says which rule and why. */
enum gy_rc gy_store_catalogue(struct gy_store *store, struct gy_catalogue **catalogue,
			      struct gy_pushed **pushed) GY_MUST_CHECK;

/* Makes the partitions of gyro.record for the coming days; *astray: there are records of days that
 * have none, in the default partition. GY_ROW_BUSY: somebody reads that, try again. */
enum gy_rc gy_store_partitions(struct gy_store *store, bool *astray) GY_MUST_CHECK;

#endif
