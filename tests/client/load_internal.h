/* What the files of the load generator share. One thread, so nothing here is locked. */
#ifndef GYRO_LOAD_INTERNAL_H
#define GYRO_LOAD_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/units.h"
#include "tests/client/load_histogram.h"
#include "tests/client/load_template.h"

#define LOAD_NODES_MAX 16
#define LOAD_PIDS_MAX  16
#define LOAD_CODES_MAX 32
#define LOAD_NS        INT64_C(1000000000)

enum load_mode {
	LOAD_UPDATE, /* CCR-U only */
	LOAD_FULL,   /* CCR-I, some CCR-U, CCR-T, again */
};

struct load_pid {
	char name[32];
	int pid;
};

struct load_options {
	const char *nodes[LOAD_NODES_MAX];
	unsigned n_nodes;
	unsigned connections;
	unsigned window;  /* outstanding per connection, closed loop */
	double rate;      /* requests per second, open loop; 0: closed */
	bool poisson;     /* open loop: exponential gaps instead of even ones */
	unsigned tick_us; /* open loop: wakes up no more often; 0: as needed */
	uint64_t session_first, sessions;
	uint64_t subscribers, subscriber_step;
	enum load_mode mode;
	bool preloaded;   /* the sessions are open in the database already */
	bool in_turn;     /* each session once before any again */
	bool leave_open;  /* don't close own sessions at the end */
	unsigned updates; /* CCR-U per session in LOAD_FULL */
	uint32_t number_first;
	double seconds, warmup;
	uint64_t requests; /* stop after so many; 0: by time */
	double duplicates; /* percent */
	uint64_t use_octets;
	const char *tls_ca, *tls_cert, *tls_key;
	const char *origin_host;       /* '#' stands for the connection's number */
	struct load_identity identity; /* but for origin_host */
	struct load_pid pids[LOAD_PIDS_MAX];
	unsigned n_pids;
	uint32_t allowed[LOAD_CODES_MAX]; /* Result-Codes that are no failure */
	unsigned n_allowed;
	unsigned timeout_ms;
	uint64_t seed;
	bool json, progress;
	bool failover;   /* a connection to each node; what one doesn't answer goes to the next */
	const char *log; /* the request log; NULL: none */
};

/* What can be wrong with an answer; each is counted. */
enum load_fault {
	LOAD_MALFORMED,     /* can't be read, or an AVP is missing that must be there */
	LOAD_NOT_ASKED,     /* its Hop-by-Hop id belongs to no request in flight */
	LOAD_HEADER,        /* command, application, flags or End-to-End id are not the request's */
	LOAD_OTHER_SESSION, /* Session-Id */
	LOAD_OTHER_REQUEST, /* CC-Request-Type or CC-Request-Number */
	LOAD_OTHER_SERVICE, /* Rating-Group, or not one MSCC */
	LOAD_NO_GRANT,      /* 2001, units were asked for, none came */
	LOAD_UNLIKE_COPY,   /* two answers to one request differ */
	LOAD_LOST,          /* never came, resends included */
	LOAD_FAULTS,
};

struct load_code {
	uint32_t code;
	uint64_t count;
};

struct load_codes {
	struct load_code at[LOAD_CODES_MAX];
	unsigned n;
};

struct load_stats {
	struct load_histogram latency; /* of originals, from the intended time of sending */
	struct load_histogram served;  /* of those with 2001 */
	uint64_t latest_ns;            /* of those that were never sent again */
	uint64_t sent, answered;       /* originals */
	uint64_t by_type[4];           /* originals answered, by CC-Request-Type */
	uint64_t busy[4];              /* of these, refused for overload (3004, 5012) */
	uint64_t succeeded;            /* of the originals answered: Result-Code 2001 */
	uint64_t copies, copies_equal; /* duplicates answered */
	uint64_t resent, reconnects;
	uint64_t moved;              /* of those resent: to another node than before */
	uint64_t busy_again;         /* refusals for overload after which it was tried again */
	uint64_t failovers, returns; /* gateways that went over to another node, and came back */
	uint64_t late;               /* answers to a request that was resent before they came */
	uint64_t refused;            /* answers with a code that is neither 2001 nor allowed */
	uint64_t starved;            /* open loop: no idle session to send for */
	uint64_t faults[LOAD_FAULTS];
	struct load_codes command, service;
};

struct load_session {
	uint64_t granted;
	uint32_t number; /* next CC-Request-Number */
	uint32_t round;
	uint16_t updates; /* sent since CCR-I */
	bool open, dead;
	uint8_t in_flight;
};

/* One message in flight. */
struct load_slot {
	struct load_link *link; /* its answer is awaited there; NULL: it waits to be sent again */
	unsigned node;          /* it was sent over this link of the peer's last */
	int64_t intended_ns, sent_ns, again_ns; /* again: not before */
	uint64_t used_octets;
	uint64_t other_hash; /* what the other copy was answered; 0: not yet */
	uint64_t session;    /* index, from 0 */
	uint32_t hop_by_hop, end_to_end, number, round, timestamp;
	uint32_t other; /* slot of the other copy + 1; 0: none */
	uint8_t type, attempts;
	bool used, copy, copy_later, copy_marked;
	bool other_refused, other_succeeded; /* the other copy's answer, if it came already */

	/* For the log; the last three are kept the same in both copies. */
	uint64_t request;
	uint8_t attempt;   /* the last sending of this one, among those of both */
	uint8_t sendings;  /* of both together */
	bool any_lost;     /* what became of one of these, nobody here knows */
	bool outcome_told; /* there is one for both */
};

enum load_link_state {
	LOAD_DOWN,
	LOAD_CONNECTING,
	LOAD_SHAKING, /* TLS, if it is used */
	LOAD_WAIT_CEA,
	LOAD_OPEN,
	LOAD_WAIT_DPA,
	LOAD_GONE, /* for good */
};

struct load_buffer {
	uint8_t *data;
	size_t start, end, size;
};

/* A connection. */
struct load_link {
	struct load_peer *peer;
	const char *node; /* HOST:PORT */
	enum load_link_state state;
	int fd;
	struct gy_tls *tls; /* NULL: none */
	bool polls_out;     /* epoll waits for room too */
	bool suspect;       /* a request got no answer in time, and nothing came since */
	int64_t retry_ns, give_up_ns;
	struct load_buffer in, out;
};

/* A gateway: one identity, its sessions, and what it has in flight. It has a connection, or with
 * failover one to each node, the one that it prefers first. */
struct load_peer {
	unsigned index;
	char origin_host[256];
	struct load_templates templates;
	struct load_link links[LOAD_NODES_MAX];
	unsigned n_links;
	bool away; /* its last new request went to another node than the preferred one */

	struct load_slot *slots;
	uint32_t *free_slots;
	unsigned n_slots, n_free, slot_bits;
	uint32_t sequence;
	uint64_t cursor; /* opening, closing, in turn: next session to look at */
};

enum load_phase {
	LOAD_PHASE_CONNECT,
	LOAD_PHASE_OPENING, /* CCR-I for all sessions */
	LOAD_PHASE_WARMUP,
	LOAD_PHASE_MEASURE,
	LOAD_PHASE_DRAIN,   /* nothing new; waits for what is in flight */
	LOAD_PHASE_CLOSING, /* CCR-T for all own sessions */
	LOAD_PHASE_BYE,     /* DPR */
	LOAD_PHASE_DONE,
};

/* CPU time in nanoseconds of a process, its threads and its children. */
struct load_cpu {
	uint64_t pid[LOAD_PIDS_MAX];
	uint64_t self;
	uint64_t machine; /* everything that ran on all processors, in clock ticks' resolution */
};

struct load {
	struct load_options options;
	struct load_peer *peers;
	struct load_session *sessions;
	struct load_stats stats;    /* being counted */
	struct load_stats measured; /* of requests of the measured time */
	struct load_stats rest;     /* of all others; no latency, no codes */
	uint64_t in_time;           /* measured answers, copies too, that came before end_ns */
	struct load_cpu cpu_start, cpu_end;
	enum load_phase phase;
	int epoll;
	int64_t start_ns, end_ns; /* of the measured time */
	int64_t phase_end_ns;     /* when the present phase ends whatever happens */
	int64_t next_due_ns, tick_ns, progress_ns;
	uint64_t due; /* open loop: requests whose time has come */
	uint64_t random;
	uint64_t progress_answered;
	uint32_t end_to_end, run, now_ntp;
	struct gy_log *log; /* NULL: none */
	uint64_t logged;    /* requests */
	bool starving;      /* open loop: waits for a session to become idle */
	bool resent_ever;
	bool failed; /* couldn't go on; said why */
};

int64_t load_now_ns(void);
uint64_t load_random(struct load *load);

/* --- load_peer.c: connections, base protocol, framing ---------------------------------------- */
bool load_peer_init(struct load *load, struct load_peer *peer, unsigned index);
void load_peer_free(struct load_peer *peer);
/* The connection for a new request: the first that is open and not suspect, or else the first that
 * is open. NULL: none is. */
struct load_link *load_peer_link(struct load_peer *peer);
/* Whether it can begin: every connection is open, or one of them and the others had their time. */
bool load_peer_ready(struct load_peer *peer, int64_t now);
/* Writes what is waiting in all its connections as far as their sockets take it. With a log:
 * nothing before the log is on disk, which is the loop's business (load_commit). */
void load_peer_flush(struct load *load, struct load_peer *peer);
/* Starts connecting. */
void load_link_connect(struct load *load, struct load_link *link, int64_t now);
void load_link_event(struct load *load, struct load_link *link, uint32_t events);
/* An answer didn't come in time. Where there is another node, new requests go there until this one
 * has said something; a DWR asks it to (RFC 3539 §3.4.1). */
void load_link_suspect(struct load *load, struct load_link *link);
/* Room for a message of this size at the end of what is to be sent. */
uint8_t *load_link_reserve(struct load_link *link, size_t size);
/* Sends DPR; the link is gone when DPA comes, or at once if it isn't open. */
void load_link_bye(struct load *load, struct load_link *link);

/* --- load_traffic.c: sessions, requests, answers --------------------------------------------- */
/* Fills the window (closed loop, opening and closing), as the phase allows. */
void load_refill(struct load *load, struct load_peer *peer);
/* Open loop: one request on any connection, intended for this time. False: no session is idle. */
bool load_send_one(struct load *load, int64_t intended_ns);
/* The connection broke: what it has not answered goes out on another, with T, or waits for one. */
void load_link_lost(struct load *load, struct load_link *link);
/* Sends what waits for a connection, or for its time, with T: when one is (again) open, and now and
 * then. */
void load_resend(struct load *load, struct load_peer *peer);
/* Resends to the next node what is overdue, gives up what was resent too often. */
void load_check_overdue(struct load *load, struct load_peer *peer, int64_t now);
/* Counts everything still in flight as lost. */
void load_give_up(struct load *load, struct load_peer *peer);
void load_answer(struct load *load, struct load_peer *peer, const uint8_t *bytes, size_t size,
		 int64_t now);
uint64_t load_in_flight(const struct load *load);

/* --- load_log.c: the request log, in the words of log.h; nothing happens without one ---------- */
struct gy_reply;
/* This sending of the slot's request, to this node. */
void load_log_sent(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		   bool marked);
void load_log_answer(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		     const struct gy_reply *reply, int64_t now);
/* The last sending will not be answered any more. */
void load_log_lost(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		   const char *why);
/* What came of the request; reply NULL: nothing, or nothing final. */
void load_log_outcome(struct load *load, const struct load_peer *peer, const struct load_slot *slot,
		      const struct gy_reply *reply);
/* Everything logged so far is on disk, then everything that waits is sent: one fsync for all that
 * a round of the loop has brought about. */
void load_commit(struct load *load);

/* --- load_cpu.c ------------------------------------------------------------------------------- */
void load_cpu_read(const struct load_options *options, struct load_cpu *cpu);

/* --- load_report.c -----------------------------------------------------------------------------
 */
const char *load_fault_name(enum load_fault fault);
uint64_t load_wrong(const struct load_stats *stats);
void load_report(const struct load *load);
struct json_t;
/* The same for the end of the log; the caller's. */
struct json_t *load_report_json(const struct load *load);
void load_progress(struct load *load, int64_t now);

/* --- load_options.c ----------------------------------------------------------------------------
 */
/* False after saying why on standard error; *help: the usage was asked for and printed. */
bool load_options_read(struct load_options *options, int argc, char **argv, bool *help);

#endif
