/* Reads .case files, the tables both runners share: tests/unit/cases (the pure core, in memory) and
 * gyro-sim (a real node, over the wire). tests/README.md describes the grammar.
 *
 * A file becomes plain structs, checked as far as the text alone can be: stickiness of subscribers,
 * `repeat` and money are resolved here, so that a runner only acts. It also compares an answer with
 * what a line expects, so that both runners mean the same by it. It knows no fixture, no core and
 * no Diameter codec, and needs nothing but libc. */
#ifndef GY_TESTS_CASE_H
#define GY_TESTS_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values inside RSU, USU and GSU, one per AVP. */
enum gy_case_quantity {
	GY_CASE_TOTAL,   /* CC-Total-Octets: 8MiB, total:8MiB */
	GY_CASE_INPUT,   /* CC-Input-Octets: in:1MiB */
	GY_CASE_OUTPUT,  /* CC-Output-Octets: out:2MiB */
	GY_CASE_SECONDS, /* CC-Time: 60s */
	GY_CASE_SERVICE, /* CC-Service-Specific-Units: 3u */
	GY_CASE_MONEY,   /* CC-Money, micro-units: money:2.50 */
};
#define GY_CASE_QUANTITIES 6

struct gy_case_units {
	bool present[GY_CASE_QUANTITIES];
	int64_t count[GY_CASE_QUANTITIES];
};

struct gy_case_used {
	struct gy_case_units units;
	int tariff_change; /* Tariff-Change-Usage; -1 absent */
};

/* An AVP given by its parts: raw=code:vendor:flags:hex, all but code and vendor in hex. */
struct gy_case_raw {
	uint32_t code;
	uint32_t vendor; /* 0 = IETF; written only if flags has the V bit */
	uint8_t flags;   /* as on the wire: V 80, M 40, P 20 */
	const uint8_t *data;
	size_t len;
};

/* {RG/SI: items} of a request: one MSCC. {cmd: items}: the command's own units (G-78). */
struct gy_case_service {
	bool at_command_level;
	bool has_rating_group;
	uint32_t rating_group;
	unsigned n_service_ids;
	const uint32_t *service_ids;
	bool requested; /* RSU is there, possibly empty */
	struct gy_case_units requested_units;
	unsigned n_used;
	const struct gy_case_used *used;
	int reason;      /* Reporting-Reason directly in the MSCC; -1 absent */
	int used_reason; /* usu-reason=NAME: in every USU; -1 absent */
	unsigned n_raw;
	const struct gy_case_raw *raw; /* appended; mscc-raw= adds to the last group */
};

enum gy_case_identity_kind {
	GY_CASE_IMSI,
	GY_CASE_E164,
	GY_CASE_NAI,
	GY_CASE_SIP_URI,
	GY_CASE_PRIVATE,
	GY_CASE_USER_NAME, /* the User-Name AVP, not a Subscription-Id */
};

struct gy_case_identity {
	enum gy_case_identity_kind kind;
	bool plus;         /* id=+e164: with a leading '+' */
	const char *value; /* NULL: the fixture subscriber's own */
};

/* Proxy-Info: proxy=host:state. */
struct gy_case_proxy {
	const char *host;
	const char *state; /* written as these bytes */
};

struct gy_case_request {
	char type;             /* 'I', 'U', 'T' or 'E' */
	uint32_t number;       /* CC-Request-Number */
	int subscriber;        /* S1 = 1; 0: none named in this session */
	unsigned session;      /* index in gy_case.sessions */
	unsigned n_identities; /* id= or else the subscriber's IMSI */
	const struct gy_case_identity *identities;
	bool repeat; /* exactly the previous request of this session (all fields are copied
		      * here): same bytes and End-to-End-Id, but hop-by-hop and T bit */
	bool t_bit;
	bool e2e_same;   /* the End-to-End-Id of the session's last request; set by repeat too */
	bool no_context; /* ctx=none */
	const char *context;      /* NULL: 32251@3gpp.org */
	int multiple_services;    /* msi=N: Multiple-Services-Indicator; -1 absent */
	const char *realm, *host; /* Destination-*; NULL: the node's realm, no host */
	int64_t action;           /* Requested-Action; -1 absent */
	int64_t auth_application; /* aaid=N; -1: 4 */
	int64_t cc_type;          /* raw CC-Request-Type; -1: by type */
	bool has_sub_session;
	uint64_t sub_session;      /* sub=N */
	unsigned connection;       /* conn=K, from 1 */
	int64_t origin_state;      /* Origin-State-Id; -1 absent */
	int64_t termination_cause; /* -1 absent */
	unsigned n_proxies;
	const struct gy_case_proxy *proxies;
	unsigned n_raw;
	const struct gy_case_raw *raw; /* appended at command level */
	unsigned n_omit;
	const uint32_t *omit;       /* omit=CODE[,CODE]: command-level AVPs that are left out */
	bool reverse;               /* AVPs after Session-Id in reverse order (G-15) */
	int64_t header_application; /* app=N: Application-Id of the header; -1: 4 */
	int64_t header_command;     /* cmd=N: Command-Code; -1: 272 */
	bool header_error;          /* ebit: the E bit is set in the request */
	unsigned n_services;
	const struct gy_case_service *services;
};

/* What is said about one number of an answer. */
enum gy_case_test {
	GY_CASE_UNCHECKED,
	GY_CASE_ABSENT,  /* -X */
	GY_CASE_EQUAL,   /* X=v */
	GY_CASE_AT_MOST, /* X<=v; GSU<=0 is also true when there is no GSU */
	GY_CASE_ABOVE,   /* X>v */
};

struct gy_case_bound {
	enum gy_case_test test;
	int64_t value;
};

#define GY_CASE_CODES_MAX 8

/* Alternatives: 3002|3003. */
struct gy_case_codes {
	unsigned n;
	uint32_t code[GY_CASE_CODES_MAX];
};

struct gy_case_expect_service {
	bool at_command_level;
	bool has_rating_group;
	uint32_t rating_group;
	unsigned n_service_ids;
	const uint32_t *service_ids;
	struct gy_case_codes codes;
	struct gy_case_bound grant[GY_CASE_QUANTITIES];
	bool no_grant;                         /* -GSU: no Granted-Service-Unit at all */
	struct gy_case_bound validity;         /* VT, Validity-Time */
	struct gy_case_bound volume_threshold; /* VQT */
	struct gy_case_bound time_threshold;   /* TQT */
	struct gy_case_bound unit_threshold;   /* UQT */
	struct gy_case_bound quota_holding;    /* QHT */
	struct gy_case_bound final_unit;       /* FUI: Final-Unit-Action */
	const char *redirect; /* redirect=: Redirect-Server-Address; NULL unchecked */
	const char *filter;   /* filter=: some Filter-Id is this; NULL unchecked */
};

struct gy_case_expect {
	struct gy_case_codes codes;
	bool same;                    /* equal to the previous answer of this session */
	bool no_service;              /* -mscc: no MSCC in the answer */
	struct gy_case_bound balance; /* balance=: Check-Balance-Result */
	unsigned n_failed;
	const uint32_t *failed; /* AVP codes that Failed-AVP must hold */
	bool services_given;    /* groups were written: number and order must match */
	unsigned n_services;
	const struct gy_case_expect_service *services;
};

enum gy_case_step_kind {
	GY_CASE_REQUEST,
	GY_CASE_CHECK, /* balance, reserved of a subscriber's account */
	GY_CASE_AUDIT, /* check audit */
	GY_CASE_BAR,
	GY_CASE_UNBAR,
	GY_CASE_TOPUP,
	GY_CASE_WAIT,
	GY_CASE_SWEEP,
	GY_CASE_RESTART,
};

struct gy_case_step {
	enum gy_case_step_kind kind;
	unsigned line;
	const char *text; /* the line as written, for reports */
	/* CHECK, BAR, UNBAR, TOPUP */
	int subscriber;
	struct gy_case_bound balance, reserved; /* CHECK; micro-units */
	int64_t amount_micros;                  /* TOPUP */
	int64_t wait_us;                        /* WAIT */
	/* REQUEST */
	const struct gy_case_request *request;
	const struct gy_case_expect *expect;
};

struct gy_case {
	const char *id;    /* "TC-30" */
	const char *title; /* may be empty */
	unsigned line;
	bool wire_only, pure_only;
	unsigned n_sessions;
	const char *const *sessions; /* names without '@', by gy_case_request.session */
	unsigned n_steps;
	const struct gy_case_step *steps;
};

struct gy_case_file {
	const char *name;
	unsigned n_cases;
	const struct gy_case *cases;
	void *memory; /* everything above; freed by gy_case_free */
};

/* Reads a file. NULL on failure, with "file:line: what is wrong" in error. */
struct gy_case_file *gy_case_read(const char *path, char *error, size_t error_size);

/* The same from memory; name stands for the file in messages. */
struct gy_case_file *gy_case_parse(const char *name, const char *text, char *error,
				   size_t error_size);

void gy_case_free(struct gy_case_file *file);

/* ---- the answer as a runner saw it ---- */

struct gy_case_seen_service {
	bool at_command_level;
	bool has_rating_group;
	uint32_t rating_group;
	unsigned n_service_ids;
	const uint32_t *service_ids;
	uint32_t code; /* Result-Code; 0 absent */
	bool has_grant;
	struct gy_case_units grant;
	int64_t currency; /* Currency-Code of a grant of money; 0 absent */
	/* -1: absent */
	int64_t validity, volume_threshold, time_threshold, unit_threshold, quota_holding;
	int64_t final_unit;
	const char *redirect; /* Redirect-Server-Address, NULL absent */
	unsigned n_filters;
	const char *const *filters; /* Filter-Id */
};

struct gy_case_seen {
	uint32_t code;         /* Result-Code; 0 absent */
	const char *message;   /* Error-Message, NULL absent */
	int64_t check_balance; /* Check-Balance-Result; -1 absent */
	unsigned n_failed;
	const uint32_t *failed; /* codes of the AVPs inside Failed-AVP */
	unsigned n_services;
	const struct gy_case_seen_service *services;
};

/* True if the answer is as expected; else the first difference is in why. previous: the session's
 * previous answer, for `same`; NULL if there was none. */
bool gy_case_matches(const struct gy_case_expect *expect, const struct gy_case_seen *seen,
		     const struct gy_case_seen *previous, char *why, size_t why_size);

/* True if both answers say the same (G-85); else the first difference is in why. */
bool gy_case_same(const struct gy_case_seen *a, const struct gy_case_seen *b, char *why,
		  size_t why_size);

/* True if the bound holds for a value; present false: the AVP is absent. */
bool gy_case_bound_holds(struct gy_case_bound bound, bool present, int64_t value);

/* ---- exact numbers, for runners that read more than case files ---- */

/* "100.00" to micro-units; false unless all of it is a decimal of at most six places. */
bool gy_case_money(const char *text, int64_t *micros);

/* "8MiB", "60s", "3u", "1048576": the quantity (octets: GY_CASE_TOTAL) and its count. */
bool gy_case_size(const char *text, enum gy_case_quantity *quantity, int64_t *count);

#endif
