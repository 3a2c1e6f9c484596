/* What the files of the engine share. Not for anybody else. */
#ifndef GY_ENGINE_INTERNAL_H
#define GY_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/engine/admission.h"
#include "core/engine/engine.h"
#include "core/store/store.h"

/* --- catalogue: one snapshot at a time, freed by whoever lets it go last ---- */

struct gy_snapshot {
	struct gy_catalogue *catalogue;
	struct gy_pushed *pushed;
	struct gy_snapshot *owner; /* of the catalogue: held until this one goes; NULL: itself */
	_Atomic unsigned users;
};

/* --- who a request is of: a lane's cache of profiles ---- */

struct gy_cache_entry {
	struct gy_session_key key; /* of a set of identities, or of a session */
	struct gy_profile profile; /* subscriber_id 0: free */
};

/* Eight places for each hash; the oldest written makes way. Sized once; memory is touched as it
 * fills. A profile in here is only ever used together with the account row that proves it current
 * (profile_version). */
struct gy_cache {
	struct gy_cache_entry *entries;
	size_t sets;
	unsigned turn;
	void *dropped; /* attributes and bindings of entries that made way, until the batch ends */
};

bool gy_cache_init(struct gy_cache *cache, size_t entries);
void gy_cache_free(struct gy_cache *cache);
const struct gy_profile *gy_cache_find(const struct gy_cache *cache, struct gy_session_key key);
/* Takes the profile's attributes and bindings: they live until the entry makes way, and then until
 * gy_cache_sweep. */
void gy_cache_put(struct gy_cache *cache, struct gy_session_key key,
		  const struct gy_profile *profile);
void gy_cache_drop(struct gy_cache *cache, struct gy_session_key key);
/* Frees what nobody refers to any more: between two batches. */
void gy_cache_sweep(struct gy_cache *cache);

/* Key of a request's identities, or of its session; *lane_hash is the same for all requests that
 * name the same subscriber first. */
struct gy_session_key gy_request_who(const struct gy_ccr *ccr, uint64_t *lane_hash);

/* --- gateways: Origin-Host to number, known to all lanes ---- */

/* A connected peer's name, there once and until the engine ends: pointers to it can be compared. */
struct gy_peer {
	struct gy_peer *next;
	int64_t news_ns; /* its budget of news (gy_gateway_may_ask); under the lock */
	size_t len;
	char name[];
};

struct gy_gateway {
	struct gy_gateway *next;
	const struct gy_peer *_Atomic peer; /* which brought its last request; NULL: none yet */
	int64_t gateway_id;
	_Atomic uint32_t origin_state;
	struct gy_restart restart; /* its last one; under the lock */
	int64_t told_ns;           /* its budget of restarts; under the lock */
	uint64_t hash;
	size_t len;
	char host[]; /* in small letters */
};

#define GY_GATEWAYS_MAX 65536u
/* News are what costs a transaction of its own before a batch, and a row: gateways that are new to
 * this node, and restarts. So many at once from each peer, and then so many a second: what a
 * network of gateways behind an agent may need when it comes up, not what a peer can invent. */
#define GY_NEWS_MAX       1000u
#define GY_NEWS_PER_S     100u
#define GY_RESTARTS_MAX   20u /* the same of one gateway, restarts */
#define GY_RESTARTS_PER_S 1u

struct gy_gateways {
	pthread_mutex_t lock;
	struct gy_gateway *buckets[1024];
	unsigned n;
	struct gy_peer *peers[1024];
	unsigned n_peers;
	int64_t news_ns; /* budget of those whose peer isn't known */
};

void gy_gateways_free(struct gy_gateways *gateways);
/* Hosts are the same in capitals (RFC 6733 §4.3.1).
 *
 * NULL: not known yet. *restart: its last one, unless that is NULL. */
struct gy_gateway *gy_gateway_find(struct gy_gateways *gateways, struct gy_bytes host,
				   struct gy_restart *restart);
/* NULL without memory, or when there are too many: the caller asks the store each time. */
struct gy_gateway *gy_gateway_add(struct gy_gateways *gateways, struct gy_bytes host,
				  const struct gy_gateway_state *state);
/* May the store be asked for a gateway that isn't known here? It spends of what the peer that
 * brought the request may. */
bool gy_gateway_may_ask(struct gy_gateways *gateways, struct gy_bytes ingress, int64_t now_ns);
/* May a restart of this gateway be told to the store? If not, it is no restart yet: the next
 * request tells it again. Spends of what the gateway and the peer may. */
bool gy_gateway_may_restart(struct gy_gateways *gateways, struct gy_gateway *gateway,
			    struct gy_bytes ingress, int64_t now_ns);
/* Remembers what the store knows of it now. Only after that: whoever finds the greater number here
 * takes it that the time of the restart is noted, and that what is opened from now on is younger.
 */
void gy_gateway_told(struct gy_gateways *gateways, struct gy_gateway *gateway,
		     const struct gy_gateway_state *state);
/* Remembers which peer brought a request of it. */
void gy_gateway_heard(struct gy_gateways *gateways, struct gy_gateway *gateway,
		      struct gy_bytes ingress);
/* NULL without memory, or when there are too many. */
const struct gy_peer *gy_peer_intern(struct gy_gateways *gateways, struct gy_bytes name);

/* --- outbox: requests of ours ---- */

#define GY_PROMPTS_MAX 512u

/* One that is on its way. */
struct gy_prompt_slot {
	uint64_t ticket; /* 0: free */
	const struct gy_peer *peer;
	int64_t outbox_id, group_id, gateway_id;
	unsigned attempt;
	int64_t deadline_ns; /* whatever happens to it, it is over then */
	bool over;           /* end and code say how */
	enum gy_prompt_end end;
	uint32_t code;
};

struct gy_outbox {
	pthread_mutex_t lock; /* of the slots: answers come on the host's threads */
	struct gy_prompt_slot slots[GY_PROMPTS_MAX];
	unsigned used;

	/* The maintenance thread's own. */
	uint64_t tickets;
	int64_t poll_at_ns, tidy_at_ns;
	bool more; /* rows may be left that there was no room for: look again when there is */
};

/* Writes down what came of prompts, sends what is due. news: something was put into the outbox.
 * *released: sessions are to be ended by the sweeper. On the maintenance thread. */
enum gy_rc gy_outbox_run(struct gy_engine *engine, struct gy_store *store, bool news,
			 bool *released) GY_MUST_CHECK;

/* --- lanes ---- */

struct gy_queue {
	struct gy_request *first, *last;
	unsigned n;
};

void gy_queue_push(struct gy_queue *queue, struct gy_request *request);
struct gy_request *gy_queue_pop(struct gy_queue *queue);

struct gy_lane {
	struct gy_engine *engine;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* of waiting, pace and idle */
	pthread_cond_t wake;
	struct gy_queue waiting;
	struct gy_pace pace;
	bool idle;
	_Atomic bool down;       /* no database: refuse at once */
	_Atomic bool overloaded; /* as pace says, readable without the lock */

	/* The lane thread's own. */
	struct gy_store *store;
	struct gy_cache cache;
	struct gy_queue retry; /* before anything that waits, in their order */
	int64_t retry_at_ns;   /* not before */
	unsigned singly;       /* so many requests go alone: one of them is poison to a batch */
	int64_t connect_at_ns; /* not before */
};

#define GY_REPORT_SHIFT 8

struct gy_engine {
	struct gy_engine_config config;
	char *database;
	char *node;
	unsigned store_timeout_ms;

	pthread_mutex_t snapshot_lock;
	struct gy_snapshot *snapshot;
	struct gy_gateways gateways;

	unsigned n_lanes;
	struct gy_lane *lanes;

	/* The maintenance thread: supervision, outbox, catalogue, partitions. */
	pthread_t maintenance;
	bool maintenance_started;
	/* The watch: requests that nobody takes up. */
	pthread_t watch;
	bool watch_started;
	struct gy_outbox outbox;
	_Atomic bool sweep_soon; /* a gateway has lost its sessions (G-92) */
	int wake_pipe[2];

	_Atomic bool draining, stopping;
	_Atomic uint64_t in_flight;
	_Atomic uint64_t answered, replayed, refused_early, no_answer, batches, retries;
	/* What gateways are told: sequence number and, in the low bits, reduction; by the watch. */
	_Atomic uint64_t report;
	_Atomic uint64_t excess; /* of the refused ones: for overload, not for lack of a database */
};

/* --- account rows beside a request's own (home.c) ---- */

/* A locked row, NULL if it isn't among them; they stand in the order of their numbers. */
struct gy_locked *gy_locked_find(struct gy_locked *locked, unsigned n, int64_t account_id);
/* Locks the rows of cards that sessions in these rows hold units of, too, as far as nobody else
 * holds them. Inside the transaction; on failure it is rolled back. mark: see gy_store_lock_due. */
enum gy_rc gy_homes_lock(struct gy_store *store, void *pool, bool mark, struct gy_locked **locked,
			 unsigned *n_locked) GY_MUST_CHECK;
/* The rows that a request may change. GY_STORE_RETRY: one of them isn't locked, or unreadable. */
enum gy_rc gy_homes_make(void *pool, struct gy_locked *locked, unsigned n_locked,
			 const struct gy_account *own, const struct gy_bound_cards *cards,
			 struct gy_homes *homes) GY_MUST_CHECK;
/* Marks those that a decision has changed. */
void gy_homes_changed(struct gy_locked *locked, unsigned n_locked, const struct gy_homes *homes);

struct gy_snapshot *gy_snapshot_hold(struct gy_engine *engine);
void gy_snapshot_release(struct gy_snapshot *snapshot);
/* Puts a new one in place. Takes catalogue and pushed; NULL: the catalogue stays. */
bool gy_snapshot_swap(struct gy_engine *engine, struct gy_catalogue *catalogue,
		      struct gy_pushed *pushed);

__attribute__((format(printf, 3, 4))) void gy_engine_log(struct gy_engine *engine,
							 enum gy_log_level level,
							 const char *format, ...);

/* What the configuration says about queues. */
struct gy_admission_limits gy_engine_limits(const struct gy_engine *engine);

/* Gives a request back. */
void gy_request_done(struct gy_engine *engine, struct gy_request *request, enum gy_outcome outcome);
/* Gives it back unserved, untouched: overload or no database (G-35, G-94). */
void gy_request_refuse(struct gy_engine *engine, struct gy_request *request, const char *why);
/* Too old to be served: refuses, or is silent if its outcome is unknown. True if it was given back.
 */
bool gy_request_expire(struct gy_engine *engine, struct gy_request *request, int64_t now_ns);
int64_t gy_request_age_ms(const struct gy_request *request, int64_t now_ns);
/* Puts it at the end of its lane's queue, whatever its length. */
void gy_request_enqueue(struct gy_engine *engine, struct gy_request *request);

void *gy_lane_run(void *lane);
void *gy_maintenance_run(void *engine);
/* watch.c. The engine. */
void *gy_watch_run(void *engine);
void gy_maintenance_wake(struct gy_engine *engine);

/* Runs one transaction for these requests. Every one of them is given back or put into
 * lane->retry. Returns GY_OK or the environment error that the whole batch met. */
enum gy_rc gy_batch_run(struct gy_lane *lane, struct gy_queue *batch, bool wait) GY_MUST_CHECK;

#endif
