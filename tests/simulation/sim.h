/* The simulation: two real engines in one process, on fake threads, a fake clock, a fake network
 * and a fake store, so that every interleaving can be chosen and repeated.
 *
 * The engine (core/engine) and the core below it are what a node runs, linked as they are. What is
 * replaced at link time: the functions of core/store/store.h (store.c), and threads, condition
 * variables, clocks, sleeping and polling (threads.c). One thread runs at a time, until it asks the
 * store for something or waits; each request to the store is two I/O points, on its way there and
 * on its way back. */
#ifndef GY_TESTS_SIMULATION_H
#define GY_TESTS_SIMULATION_H

#include "core/engine/internal.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"

#define MIB        INT64_C(1048576)
#define MS         INT64_C(1000000)
#define NODES      2
#define ACCOUNTS   4
#define VALIDITY_S 600
/* So long after a request a gateway sends it again. */
#define RESEND_NS (400 * MS)

/* --- one run ---- */

/* How an I/O point fails. */
enum sim_mode {
	SIM_BEFORE, /* the request never arrives at the database */
	SIM_AFTER,  /* it is done, its result never arrives */
	SIM_LATE,   /* the database notices late: locks stay for a while, a COMMIT comes late */
	SIM_MODES
};
enum sim_kind {
	SIM_CRASH, /* of the node: it starts anew */
	SIM_LOSS,  /* of the connection */
	SIM_AWAY,  /* of all connections, and the database is away for a while */
	SIM_KINDS
};

/* A store that does what it must not: each must be found out. */
enum sim_spoil {
	SIM_SOUND,
	SIM_LOSES_ROW,      /* now and then a commit leaves the account row as it was */
	SIM_LOSES_RECORD,   /* ... writes no record */
	SIM_FORGETS,        /* reads an account row without its answers, and no history */
	SIM_NO_LOCK,        /* locks nothing, compares no version */
	SIM_LIES,           /* says OK of a COMMIT that never arrived */
	SIM_DOUBTS_NOTHING, /* says "not done" of a COMMIT whose outcome is unknown */
	SIM_HALF,           /* a COMMIT that fails has written its records */
	SIM_FORGETS_INDEX,  /* opens sessions without an index row: supervision can't see them */
	SIM_SPOILS
};

/* What is chosen in a run; all else follows from it. */
struct sim_plan {
	uint64_t seed;        /* of random choices; 0: there are none */
	unsigned fault_point; /* which I/O point fails, from 1; 0: none */
	enum sim_mode mode;
	enum sim_kind kind;
	bool resend_elsewhere; /* a resend goes to the other node */
	unsigned n_switches;
	unsigned switches[3]; /* after so many steps another thread goes on */
	/* Random runs: chances in a thousand. */
	unsigned loss, copies, faults;
};

extern struct sim_plan sim_plan;
extern enum sim_spoil sim_spoil;
extern const char *sim_label; /* names the run */
extern bool sim_trace;

void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An invariant doesn't hold: tells which run it was, and ends the program. */
void sim_broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
unsigned sim_below(unsigned n);
/* True in so many of a thousand cases. */
bool sim_chance(unsigned per_mille);

/* Begins a run: two nodes, an empty database, no messages. Ends it: frees all. */
void sim_begin(const struct sim_plan *plan);
void sim_end(void);
/* Lets everything go on until `done` says so; broken if that takes longer than limit_ms. */
void sim_until(bool (*done)(void), int64_t limit_ms, const char *what);
void sim_for(int64_t ms);

/* --- threads.c ---- */

extern int64_t sim_now_ns; /* the monotonic clock of all */
extern unsigned sim_steps; /* of threads, so far */
#define STEPS_MAX 20000
extern bool sim_could_switch[STEPS_MAX]; /* there was another thread to go on */
gy_time_us sim_database_now(void);
/* The running thread lets others go on. */
void sim_yield(void);
/* The running thread waits until then, or until the condition is signalled. */
void sim_wait(int64_t until_ns, const void *condition);
/* Runs a thread that can go on until it yields; false: all wait. */
bool sim_run_one(void);
/* When the next of those that wait wakes up. */
int64_t sim_next_wake_ns(void);
void sim_threads_begin(void);
void sim_threads_end(void);

/* --- nodes ---- */

struct sim_node {
	unsigned number;
	struct gy_engine *engine; /* NULL: down */
	bool dead;                /* crashed; what it still does reaches nobody */
	int64_t start_at_ns;
};
extern struct sim_node sim_nodes[NODES];

/* --- database.c: what is durable, and the transactions of the server ---- */

#define SUBSCRIBERS 6
#define INDEX_MAX   256

/* What a row of gyro.session_index has beside world.index, at the same place. */
struct sim_index {
	bool release_requested, ended, taken_over;
	struct sim_transaction *owner;
};

struct sim_gateway {
	const char *host;
	uint32_t origin_state;
	struct gy_restart restart;
	bool restart_open;
};
#define GATEWAYS 3

struct sim_unmatched {
	struct gy_session_key session;
	int type;
	uint32_t number;
};

struct sim_database {
	struct gy_world world; /* accounts, index, records */
	struct sim_transaction *owner[ACCOUNTS];
	struct sim_index index[INDEX_MAX];
	struct sim_gateway gateways[GATEWAYS];
	unsigned n_unmatched;
	struct sim_unmatched unmatched[64];
	struct sim_transaction *late; /* connections are gone, the server goes on */
	unsigned open;                /* transactions */
	unsigned commits;
	gy_time_us begin_us;
	int64_t catalogue; /* version in force: 1 or 2 */
	int64_t away_until_ns;
};
extern struct sim_database sim_db;
extern const struct gy_catalogue sim_catalogues[2];

/* A transaction of the server. */
struct sim_transaction {
	struct sim_transaction *next;
	int64_t end_at_ns; /* a late one */
	bool commits;      /* ... with its changes, otherwise they are dropped */
	unsigned n_accounts;
	struct gy_account *accounts;
	unsigned n_records;
	struct gy_record *records;
	unsigned n_opened;
	struct gy_opened *opened;
	unsigned n_sooner;
	struct gy_sooner *sooner;
	unsigned n_due;
	struct gy_due *due;
};

void sim_database_begin(void);
void sim_database_end(void);
const struct gy_profile *sim_subscriber(struct gy_bytes imsi);
const struct gy_profile *sim_subscriber_of(int64_t subscriber_id);
struct gy_bytes sim_imsi(int subscriber);
int sim_index_find(struct gy_session_key key);
bool sim_same_key(struct gy_session_key a, struct gy_session_key b);

struct sim_transaction *sim_transaction_begin(void);
/* False: somebody else holds it. */
bool sim_lock_account(struct sim_transaction *transaction, int64_t account_id);
/* An account as it is, its arrays under pool. */
void sim_account_copy(void *pool, const struct gy_account *from, struct gy_account *to);
/* Takes copies of what is to be written. */
void sim_transaction_write(struct sim_transaction *transaction, const struct gy_locked *locked,
			   unsigned n_locked, const struct gy_record *const *records,
			   unsigned n_records, const struct gy_opened *opened, unsigned n_opened,
			   const struct gy_sooner *sooner, unsigned n_sooner);
/* Both end it and free it. A commit says what PostgreSQL would: GY_OK, GY_STORE_RETRY,
 * GY_STORE_REFUSED. */
enum gy_rc sim_commit(struct sim_transaction *transaction);
void sim_rollback(struct sim_transaction *transaction);
/* Its connection is gone, but the server has not noticed. */
void sim_leave(struct sim_transaction *transaction, bool commits);
/* Ends late transactions whose time has come; when the next one's comes. */
void sim_database_run(void);
int64_t sim_database_next_ns(void);

/* --- store.c ---- */

extern unsigned sim_points; /* I/O points passed so far */
extern unsigned sim_failed; /* faults that took place */

/* --- network.c: gateways and messages ---- */

#define REQUESTS_MAX 512

struct sim_sent {
	struct request request;
	struct gy_identity identity;
	int subscriber;
	unsigned node; /* where it goes next */
	unsigned tries;
	int64_t resend_ns;
	int64_t debit; /* an event's, if it succeeds */
	bool answered;
	enum gy_rc rc;
	uint64_t digest;
	unsigned n_services;
	bool in_vain; /* no service of it succeeded */
	int64_t granted[REQUEST_SERVICES_MAX];
};
/* What a gy_request's host is: one message that came to a node. */
struct sim_arrived {
	struct sim_sent *sent;
	bool committed; /* it has opened a session, or that COMMIT is on its way */
};

extern struct sim_sent sim_sent[REQUESTS_MAX];
extern unsigned sim_n_sent;
/* What happened, to see that runs reach it. */
extern struct sim_count {
	uint64_t runs, requests, resends, answers_lost, copies, replayed, crashes, losses, outages,
		late_commits, swept, late_usage, refused, histories, retries, restarts;
} sim_count;

void sim_network_begin(void);
/* A request of a subscriber, filled up by the request_ functions, leaves for a node. */
struct sim_sent *sim_new(int subscriber, enum gy_request_type type, uint64_t session,
			 uint32_t number);
void sim_send(struct sim_sent *sent, unsigned node);
/* The same message once more. */
void sim_copy(struct sim_sent *sent, unsigned node);
void sim_network_run(void);
int64_t sim_network_next_ns(void);
bool sim_network_idle(void);
bool sim_all_answered(void);
void sim_answered(void *data, struct gy_request *request, enum gy_outcome outcome);

/* --- check.c ---- */

/* What must hold at any time; what must hold when nothing is under way; and after every session
 * has been given its time to end. */
void sim_check_now(void);
void sim_check_settled(void);
void sim_check_ended(void);

/* --- flows.c ---- */

struct sim_flow {
	const char *name;
	void (*run)(void);
	unsigned races; /* switches to be enumerated: how many at once */
};
extern const struct sim_flow sim_flows[];
extern const unsigned sim_n_flows;

/* random.c */
void sim_random_run(unsigned requests);

#endif
