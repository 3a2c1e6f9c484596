/* The engine: queues, lanes, batches, the commit barrier. Between the host and the store.
 *
 * A request is submitted whole, waits in the lane of its subscriber, is decided and made durable
 * together with whatever else waited, and only then given back through the callback. The engine
 * refuses early what it cannot serve in time, and keeps no truth of its own. */
#ifndef GY_ENGINE_ENGINE_H
#define GY_ENGINE_ENGINE_H

#include <stddef.h>

#include "core/charging/answer.h"
#include "core/charging/ccr.h"
#include "core/engine/overload.h"

struct gy_engine;

/* One request on its way. Owned by the host until submitted, by the engine until the callback. */
struct gy_request {
	struct gy_request *next; /* engine's */
	void *pool;              /* talloc context of everything below; freed by the host */
	void *host;              /* the host's own: its message */

	struct gy_ccr ccr;
	int64_t arrived_ns; /* CLOCK_MONOTONIC when its bytes arrived */
	/* The connected peer that brought it, its gateway or an agent; data NULL: not told. */
	struct gy_bytes ingress;

	/* Set by the engine before the callback. */
	struct gy_answer answer;
	unsigned attempts; /* transactions it took part in */

	/* The engine's own. */
	struct gy_session_key who; /* hash of all identities; of the session if there is none */
	bool unsettled;            /* a COMMIT of it may have come through: no refusal any more */
};

enum gy_outcome {
	GY_ANSWER,    /* durable (or a refusal that touched nothing): send request->answer */
	GY_NO_ANSWER, /* outcome unknown, or past the deadline: send nothing, the gateway resends */
};

/* Called once per submitted request, after gy_commit_barrier, on a thread of the engine's; for a
 * refusal also on the submitting one. Takes the request back. */
typedef void gy_answered_fn(void *data, struct gy_request *request, enum gy_outcome outcome);

/* --- requests of ours (G-80 to G-83), taken from the outbox ---- */

enum gy_prompt_kind {
	GY_PROMPT_REAUTH = 1, /* Re-Auth-Request */
	GY_PROMPT_ABORT = 2,  /* Abort-Session-Request */
};

/* One request to a gateway. Valid during gy_prompt_fn only. */
struct gy_prompt {
	uint64_t ticket; /* names it in gy_engine_prompted; never 0 */
	enum gy_prompt_kind kind;
	struct gy_bytes peer; /* the connected peer it must go to, and to no other */
	struct gy_bytes destination_host, destination_realm;
	struct gy_bytes session_id;
	bool has_sub_session;
	uint64_t sub_session;
	int64_t rating_group; /* -1: the whole session */
	unsigned timeout_ms;  /* for its answer */
};

/* Is there an open connection with this peer? On the maintenance thread. */
typedef bool gy_reaches_fn(void *data, struct gy_bytes peer);
/* Sends it and returns at once; gy_engine_prompted follows, on any thread, unless it returned
 * false: then nothing was sent. On the maintenance thread. */
typedef bool gy_prompt_fn(void *data, const struct gy_prompt *prompt);

/* Severity and one line without newline; any thread. */
typedef void gy_log_fn(void *data, enum gy_log_level level, const char *line);

struct gy_engine_config {
	const char *database;    /* libpq conninfo */
	unsigned lanes;          /* threads with a connection each; 0 = 2 */
	unsigned batch_max;      /* requests in one transaction; 0 = 128 */
	unsigned queue_max;      /* waiting requests per lane (admission.h); 0 = 4096 */
	unsigned deadline_ms;    /* from arrival; no answer leaves after it; 0 = 4000 */
	bool trace;              /* Tariff-Trace and Bucket-Trace in answers */
	unsigned queue_age_ms;   /* older than this when taken up: refused; 0 = 1000 */
	bool alternate_node;     /* refuse with 3004 (another node may help) rather than 5012 */
	unsigned sweep_ms;       /* period of the sweeper; 0 = 1000 */
	unsigned late_window_s;  /* late usage is charged this long after a session's end; 0 = 86400
				  */
	unsigned supervision;    /* Validity-Times until a silent session ends (G-67); 0 = 2 */
	const char *node;        /* this node's identity */
	unsigned rar_timeout_ms; /* for the answer to a request of ours; 0 = 4000 */
	gy_reaches_fn *reaches;  /* NULL: this node sends no requests of its own */
	gy_prompt_fn *prompt;
	void *prompt_data;
	gy_answered_fn *answered;
	void *answered_data;
	gy_log_fn *log;
	void *log_data;
};

/* Connects, checks schema version and durability settings, loads the catalogue, starts the lanes.
 * On failure *engine is NULL and error holds one line for the operator.
 * Returns GY_OK, GY_STORE_UNAVAILABLE (database away), GY_STORE_REFUSED (wrong schema, or
 * synchronous_commit, fsync or full_page_writes off), GY_NO_MEMORY. */
enum gy_rc gy_engine_start(const struct gy_engine_config *config, struct gy_engine **engine,
			   char *error, size_t error_size) GY_MUST_CHECK;

/* Hands the request over; the callback follows, at once and on this thread when it is refused
 * early. */
void gy_engine_submit(struct gy_engine *engine, struct gy_request *request);

/* Would no lane let a request of this type in (G-94)? Then it counts as refused for overload, and
 * the host answers it, which saves decoding it. Costs next to nothing while no lane is overloaded.
 */
bool gy_engine_turns_away(struct gy_engine *engine, enum gy_request_type type, int64_t arrived_ns);

enum gy_lateness {
	GY_IN_TIME,
	GY_LATE,     /* older than queue_age_ms: to be refused */
	GY_TOO_LATE, /* than deadline_ms: no answer may leave any more (P8) */
};

/* Has a request waited too long before it was submitted? What waits behind it will be older still
 * when its turn comes. Unless it is in time it counts as refused for overload, and the host refuses
 * or drops it. */
enum gy_lateness gy_engine_lateness(struct gy_engine *engine, int64_t arrived_ns);

enum gy_prompt_end {
	GY_PROMPT_ANSWERED, /* with this Result-Code, 0 if it had none */
	GY_PROMPT_SILENCE,  /* no answer in time */
	GY_PROMPT_NOT_SENT, /* the peer was gone before it could leave */
};

/* What came of a prompt. Any thread, does not block; what comes twice, late or with a ticket that
 * never was is ignored. */
void gy_engine_prompted(struct gy_engine *engine, uint64_t ticket, enum gy_prompt_end end,
			uint32_t result_code);
/* The peer that a prompt must go to; data NULL: it is over. Valid until the engine is stopped. */
struct gy_bytes gy_engine_prompt_peer(struct gy_engine *engine, uint64_t ticket);

/* No new request is taken (they get TOO_BUSY); returns when none is in flight or after timeout_ms.
 */
void gy_engine_drain(struct gy_engine *engine, unsigned timeout_ms);

/* Drains, stops the threads, frees. */
void gy_engine_stop(struct gy_engine *engine);

struct gy_engine_counters {
	uint64_t answered, replayed, refused_early, no_answer, batches, retries;
	uint64_t waiting; /* now in the queues */
};
void gy_engine_count(struct gy_engine *engine, struct gy_engine_counters *counters);

/* What gateways are to be told about overload, renewed every second. Any thread, no lock. */
struct gy_overload_report gy_engine_overload(const struct gy_engine *engine);

/* CLOCK_MONOTONIC, nanoseconds. */
int64_t gy_engine_now_ns(void);

#endif
