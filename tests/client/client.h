/* Requests and their answers over one or more connections: what a gateway's Diameter stack does.
 *
 * An exchange is one request, however often it has to be sent: resent with T and the same
 * End-to-End Identifier when its connection breaks or no answer comes, to the next node if there is
 * one; copied on purpose, if asked to; finished by the first final answer, or given up. All in one
 * thread that calls gy_client_turn. What a request says, and what follows from an answer, is its
 * owner's business. */
#ifndef GY_CLIENT_CLIENT_H
#define GY_CLIENT_CLIENT_H

#include "tests/client/connection.h"
#include "tests/client/log.h"

/* The T bit of copies. */
enum gy_copy_t {
	GY_COPY_RANDOM,
	GY_COPY_WITH_T,
	GY_COPY_WITHOUT_T,
};

struct gy_client_setup {
	const char *origin_realm;
	bool reconnect;        /* connections that break are opened again, until gy_client_close */
	bool resend;           /* unanswered or busy requests go again */
	int64_t answer_us;     /* so long an answer is waited for before that */
	int64_t give_up_us;    /* so long after the first sending a request is given up */
	unsigned copy_percent; /* of the requests are sent one to three times more */
	enum gy_copy_t copy_t;
	struct gy_log *log; /* NULL: none */
	uint64_t seed;
};

enum gy_outcome {
	GY_OUTCOME_OK,      /* 2xxx */
	GY_OUTCOME_FAILED,  /* any other final answer */
	GY_OUTCOME_UNKNOWN, /* no answer, or a refusal while an earlier sending is unaccounted for
			     */
};

struct gy_client;
struct gy_exchange;

/* Called once; the exchange and the reply are gone afterwards. reply NULL: unknown. */
typedef void gy_on_outcome(void *owner, struct gy_exchange *exchange, enum gy_outcome outcome,
			   const struct gy_reply *reply);

/* RAR and ASR; to be answered with gy_client_answer, also later. */
typedef void gy_on_server_request(void *owner, struct gy_client *client, unsigned node,
				  const uint8_t *bytes, size_t len);

struct gy_client_counts {
	uint64_t requests, sent, resent, copies, answers, ok, failed, unknown;
	uint64_t busy;      /* 3004 and 5012 that were tried again */
	uint64_t different; /* answers to copies that said something else (G-85) */
	uint64_t malformed; /* answers that are not what an answer has to be */
	uint64_t lost;      /* sendings whose connection broke */
	uint64_t stray;     /* answers to nothing */
};

struct gy_client *gy_client_new(const struct gy_client_setup *setup);

/* One more connection, numbered from 0. The strings must outlive the client. */
unsigned gy_client_add(struct gy_client *client, const char *address, const char *origin_host);
unsigned gy_client_nodes(const struct gy_client *client);
struct gy_connection *gy_client_node(struct gy_client *client, unsigned node);

/* Turns until all connections are open, or at least one is and timeout_us are over; tries again
 * meanwhile. False if none is open then. */
bool gy_client_connect(struct gy_client *client, int64_t timeout_us);

/* The same for one connection; false if it is not open in time. */
bool gy_client_connect_node(struct gy_client *client, unsigned node, int64_t timeout_us);

/* Who takes RAR and ASR; by default they are answered with success and forgotten. */
void gy_client_on_server_request(struct gy_client *client, gy_on_server_request *on_request,
				 void *owner);
void gy_client_answer(struct gy_client *client, unsigned node, const uint8_t *request, size_t len,
		      uint32_t code);

/* Sends a request, first to this node, or to another if it is not open; pinned: only to this one.
 * Copies content and frame, whose identifiers are filled in if 0. NULL if an identity is missing.
 */
struct gy_exchange *gy_client_submit(struct gy_client *client,
				     const struct gy_case_request *content,
				     const struct gy_request_frame *frame, unsigned node,
				     bool pinned, gy_on_outcome *on_outcome, void *owner);

/* The very bytes of an earlier exchange (a malloc'ed copy of gy_exchange_bytes), but T and
 * Hop-by-Hop: another request as far as the log is concerned. Takes over bytes. */
struct gy_exchange *gy_client_submit_again(struct gy_client *client,
					   const struct gy_case_request *content,
					   const struct gy_request_frame *frame, uint8_t *bytes,
					   size_t len, unsigned node, gy_on_outcome *on_outcome,
					   void *owner);

/* The request as it was sent last, and the answer's bytes; valid until the outcome was told. */
const uint8_t *gy_exchange_bytes(const struct gy_exchange *exchange, size_t *len);
const uint8_t *gy_exchange_reply_bytes(const struct gy_exchange *exchange, size_t *len);
unsigned gy_exchange_attempts(const struct gy_exchange *exchange);
int64_t gy_exchange_latency_us(const struct gy_exchange *exchange);
unsigned gy_exchange_node(const struct gy_exchange *exchange); /* sent there last */
const struct gy_case_request *gy_exchange_content(const struct gy_exchange *exchange);

/* One round: log to disk, send, wait at most timeout_ms for something to happen, take it in. */
void gy_client_turn(struct gy_client *client, int timeout_ms);

/* Exchanges whose outcome is open, or whose copies are. */
unsigned gy_client_pending(const struct gy_client *client);

const struct gy_client_counts *gy_client_counts(const struct gy_client *client);

/* The last fault that made malformed or different grow; "" if there was none. */
const char *gy_client_fault(const struct gy_client *client);

/* What is still open becomes unknown, and is told; nothing is pending afterwards. */
void gy_client_give_up(struct gy_client *client);

/* The same, then parts from all nodes and frees everything. */
void gy_client_close(struct gy_client *client);

/* A small generator of numbers for all that happens at random here: seeded, repeatable. */
uint64_t gy_random(uint64_t *state);

#endif
