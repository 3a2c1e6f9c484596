/* app_gyro: between freeDiameter and the engine. A CCR in, a CCA out.
 *
 * Takes the raw request that acl_gyro carried, decodes it in one pool, submits it, and sends what
 * the engine answers after the commit. Every request that reaches it is answered unless the engine
 * says that silence is right. It holds no state beyond the requests in flight. Requests of ours:
 * see reauth.c. */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <time.h>

/* Everything is hidden by default, and Debian's extension.h doesn't say otherwise. */
#pragma GCC visibility push(default)
extern const char *fd_ext_depends[];
int fd_ext_init(int major, int minor, char *conffile);
void fd_ext_fini(void);
/* For gyrod, found by name: refuses new requests, returns when none is in flight or after
 * timeout_ms. */
void gyro_app_drain(unsigned timeout_ms);
#pragma GCC visibility pop

#include <freeDiameter/extension.h>

#include "core/base/assert.h"
#include "core/engine/engine.h"
#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/config.h"
#include "extensions/app_gyro/decode.h"
#include "extensions/app_gyro/encode.h"
#include "extensions/app_gyro/reauth.h"
#include "extensions/app_gyro/wire.h"

/* One pool per request; most fit, what doesn't goes on with malloc. */
#define POOL_SIZE 6144
/* The durable node never loses state, so it always tells the same (G-93). */
#define ORIGIN_STATE_ID 1
/* The arrival that acl_gyro put before the raw bytes. */
#define ARRIVAL_SIZE     8
#define LINES_PER_SECOND 20

/* A request as the host needs it: the engine's, and what the answer echoes. */
struct host_request {
	struct gy_request request; /* first: the engine gives back a pointer to it */
	struct gy_envelope envelope;
};

static struct gy_config *config;
static struct gy_engine *engine;
static struct gy_node node;
static enum gy_log_level log_level;

/* gyrod's way out (extensions/gyrod/interpose.c): frees the answer and with it the request, and
 * peer's name in there only at the end. NULL in stock freeDiameterd. */
static void (*send_directly)(struct msg *answer, DiamId_t peer, size_t peer_len);

/* --- log ------------------------------------------------------------------------------------ */

/* freeDiameter's numbers, with the two between them that gyrod's log knows. */
static int fd_level(enum gy_log_level level)
{
	static const int levels[] = { FD_LOG_DEBUG, 2, FD_LOG_NOTICE, 4, FD_LOG_ERROR };

	return levels[level];
}

/* Errors that peers can cause at will are told LINES_PER_SECOND times a second, not more. */
static bool may_log(void)
{
	static _Atomic long second;
	static _Atomic unsigned lines;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (atomic_load(&second) != now.tv_sec) {
		atomic_store(&second, now.tv_sec);
		atomic_store(&lines, 0);
	}
	return atomic_fetch_add(&lines, 1) < LINES_PER_SECOND;
}

static void engine_log(void *data, enum gy_log_level level, const char *line)
{
	(void)data;
	if (level >= log_level)
		fd_log(fd_level(level), "%s", line);
}

/* A peer's octets for the log: nothing in them may end the line or steer a terminal. */
static const char *printable(struct gy_bytes bytes, char *out, size_t size)
{
	size_t n = bytes.len < size - 1 ? bytes.len : size - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = bytes.data[i] > ' ' && bytes.data[i] < 0x7f ? (char)bytes.data[i] : '?';
	out[n] = '\0';
	return out;
}

/* One line per CCA at debug level; failures at the level result.def gives them, if that is info or
 * more. */
static void log_answer(const struct gy_envelope *envelope, const struct gy_answer *answer)
{
	enum gy_log_level level = answer->rc == GY_OK ? GY_LOG_DEBUG : gy_rc_log_level(answer->rc);
	char session[128];

	if (level < log_level || (log_level > GY_LOG_DEBUG && !may_log()))
		return;
	fd_log(fd_level(level),
	       "CCA %u type %" PRIu32 " number %" PRIu32 " e2e %08" PRIx32
	       " services %u%s session %s%s%s",
	       (unsigned)gy_rc_result_code(answer->rc), envelope->type, envelope->number,
	       envelope->end_to_end, answer->n_services, answer->replayed ? " replayed" : "",
	       printable(envelope->session_id, session, sizeof(session)),
	       answer->message ? ": " : "", answer->message ? answer->message : "");
}

/* --- out -------------------------------------------------------------------------------------- */

/* Takes query: encodes the answer and sends it. The bytes go through fd_msg_parse_buffer because
 * libfdproto has no other way to send what is already encoded, and no way at all to put received
 * octets back into an answer; it is also cheaper than an object per AVP. */
static void send_answer(struct msg *query, const struct gy_envelope *envelope,
			const struct gy_answer *answer)
{
	struct gy_node self = node;
	struct msg *reply = NULL;
	DiamId_t peer = NULL;
	size_t peer_len = 0;
	uint8_t *bytes;
	size_t size;

	log_answer(envelope, answer);
	if (envelope->overload_reports)
		self.overload = gy_engine_overload(engine);
	bytes = gy_answer_encode(&self, envelope, answer, &size);
	if (bytes == NULL || fd_msg_parse_buffer(&bytes, size, &reply)) {
		free(bytes);
		fd_msg_free(query);
		return; /* no memory: silence, the gateway resends */
	}
	if (fd_msg_answ_associate(reply, query)) {
		fd_msg_free(reply);
		fd_msg_free(query);
		return;
	}
	if (send_directly != NULL && !fd_msg_source_get(query, &peer, &peer_len) && peer != NULL)
		send_directly(reply, peer, peer_len);
	else if (fd_msg_send(&reply, NULL, NULL))
		fd_msg_free(reply); /* and the query with it */
}

/* How overload is told: "try another node" only if there is one, and if the request wasn't sent
 * to this very node (G-35). */
static enum gy_rc overload(const struct gy_envelope *envelope)
{
	return node.alternate_node && !envelope->has_destination_host ? GY_TOO_BUSY
								      : GY_UNABLE_TO_COMPLY;
}

/* The engine gives the request back, on a lane's thread: the one place where its pool is freed,
 * but for requests that never reached the engine. */
static void on_answered(void *data, struct gy_request *request, enum gy_outcome outcome)
{
	struct host_request *r = (struct host_request *)request;
	struct msg *query = request->host;

	(void)data;
	if (request->answer.rc == GY_TOO_BUSY)
		request->answer.rc = overload(&r->envelope);
	if (outcome == GY_ANSWER)
		send_answer(query, &r->envelope, &request->answer);
	else
		fd_msg_free(query);
	talloc_free(request->pool);
}

/* --- in --------------------------------------------------------------------------------------- */

/* The raw request inside a carried message; false: not one of acl_gyro's. */
static bool find_raw(struct msg *msg, struct gy_bytes *raw)
{
	struct avp_hdr *header;
	struct avp *avp;

	if (fd_msg_browse(msg, MSG_BRW_FIRST_CHILD, &avp, NULL))
		return false;
	for (; avp != NULL; fd_msg_browse(avp, MSG_BRW_NEXT, &avp, NULL)) {
		if (fd_msg_avp_hdr(avp, &header))
			return false;
		if (header->avp_code != GY_AVP_GYRO_RAW_REQUEST ||
		    header->avp_vendor != GY_VENDOR_GYRO || header->avp_value == NULL)
			continue;
		raw->data = header->avp_value->os.data;
		raw->len = header->avp_value->os.len;
		return raw->len >= ARRIVAL_SIZE + GY_HEADER_SIZE;
	}
	return false;
}

/* The connected peer that brought the message, as long as the message lives. */
static struct gy_bytes ingress_of(struct msg *msg)
{
	struct gy_bytes id = { NULL, 0 };
	DiamId_t source = NULL;

	if (fd_msg_source_get(msg, &source, &id.len) || source == NULL)
		return (struct gy_bytes){ NULL, 0 };
	id.data = (const uint8_t *)source;
	return id;
}

/* Who the request must be of (F10), in the terms; anybody behind an agent. */
static void expect_origin(struct gy_bytes ingress, struct gy_decode_terms *terms)
{
	const struct gy_config_peer *peer =
		ingress.data != NULL ? gy_config_peer(config, ingress) : NULL;

	if (peer != NULL && peer->agent)
		return;
	terms->origin_host = ingress;
	if (peer != NULL && peer->realm != NULL)
		terms->origin_realm =
			(struct gy_bytes){ (const uint8_t *)peer->realm, strlen(peer->realm) };
}

/* Before it is decoded, which would take longer than all the rest. */
static enum gy_rc refuse_early(struct host_request *r, const char *why)
{
	enum gy_rc rc = overload(&r->envelope);

	r->request.answer = (struct gy_answer){ .rc = rc, .message = why };
	return rc;
}

/* Fills r from the raw bytes. GY_OK, or what to answer at once, with r->request.answer filled. */
static enum gy_rc read_request(struct host_request *r, struct msg *msg, struct gy_bytes raw)
{
	struct gy_answer *answer = &r->request.answer;
	struct gy_decode_terms terms;
	int64_t age_ns;
	enum gy_rc rc;

	rc = gy_envelope_read(r->request.pool, raw, &node.identity, &r->envelope, answer);
	if (rc != GY_OK)
		return rc;
	/* What waits behind a request that is too old will be older still when its turn comes. */
	age_ns = gy_engine_now_ns() - r->request.arrived_ns;
	if (age_ns > (int64_t)config->queue_age_ms * 1000000)
		return refuse_early(r, "waited too long here");
	if (r->envelope.has_type && r->envelope.type >= GY_INITIAL &&
	    r->envelope.type <= GY_EVENT &&
	    gy_engine_turns_away(engine, (enum gy_request_type)r->envelope.type,
				 r->request.arrived_ns))
		return refuse_early(r, "too many requests are waiting here");
	r->request.ingress = ingress_of(msg);
	terms = (struct gy_decode_terms){
		.lenient_unknown_mandatory = config->lenient_unknown_mandatory,
	};
	expect_origin(r->request.ingress, &terms);
	return gy_ccr_decode(r->request.pool, raw, &r->envelope, &terms, &r->request.ccr, answer);
}

/* Every request a peer sends us comes through here, on the one dispatch thread: requests of one
 * session keep their order. Never fails: libfdcore would take that as a reason to stop. */
static int on_request(struct msg **msg, struct avp *avp, struct session *session, void *data,
		      enum disp_action *action)
{
	struct host_request *r = NULL;
	struct msg *query = *msg;
	struct gy_bytes raw;
	enum gy_rc rc;
	void *pool;

	(void)avp, (void)session, (void)data;
	*msg = NULL;
	*action = DISP_ACT_CONT;
	if (!find_raw(query, &raw)) {
		fd_msg_free(query);
		return 0;
	}
	pool = talloc_pool(NULL, POOL_SIZE);
	if (pool != NULL)
		r = talloc_zero(pool, struct host_request);
	if (r == NULL) {
		talloc_free(pool);
		fd_msg_free(query);
		return 0;
	}
	r->request.pool = pool;
	r->request.host = query;
	memcpy(&r->request.arrived_ns, raw.data, ARRIVAL_SIZE);
	raw = (struct gy_bytes){ raw.data + ARRIVAL_SIZE, raw.len - ARRIVAL_SIZE };
	rc = read_request(r, query, raw);
	if (rc == GY_OK) {
		gy_engine_submit(engine, &r->request);
		return 0; /* r is the engine's, or gone already */
	}
	if (gy_rc_result_code(rc) == 0) /* no memory */
		r->request.answer = (struct gy_answer){ .rc = GY_UNABLE_TO_COMPLY };
	send_answer(query, &r->envelope, &r->request.answer);
	talloc_free(pool);
	return 0;
}

/* --- start and stop -----------------------------------------------------------------------------
 */

void gyro_app_drain(unsigned timeout_ms)
{
	if (engine != NULL)
		gy_engine_drain(engine, timeout_ms);
}

/* Stock freeDiameterd has no drain of its own: kill -USR1, wait, kill -TERM. */
static void on_sigusr1(void)
{
	gyro_app_drain(config->deadline_ms);
}

/* CEA tells application 4 twice, as gateways of both schools want it (G-01): plain, which
 * fd_disp_app_support does, and inside Vendor-Specific-Application-Id of 3GPP. */
static int advertise(struct dict_object *application)
{
	struct fd_app *vendor_specific;
	int rc;

	rc = fd_disp_app_support(application, NULL, 1, 0);
	if (rc)
		return rc;
	vendor_specific = calloc(1, sizeof(*vendor_specific));
	if (vendor_specific == NULL)
		return ENOMEM;
	fd_list_init(&vendor_specific->chain, NULL);
	vendor_specific->flags.auth = 1;
	vendor_specific->vndid = GY_VENDOR_3GPP;
	vendor_specific->appid = GY_APP_CREDIT_CONTROL;
	/* Sorted by application; there may be later ones. */
	struct fd_list *at = fd_g_config->cnf_apps.next;
	while (at != &fd_g_config->cnf_apps &&
	       ((struct fd_app *)at)->appid <= GY_APP_CREDIT_CONTROL)
		at = at->next;
	fd_list_insert_before(at, &vendor_specific->chain);
	return 0;
}

static int register_dispatch(void)
{
	application_id_t id = GY_APP_CREDIT_CONTROL;
	struct disp_when when = { 0 };
	int rc;

	rc = fd_dict_search(fd_g_config->cnf_dict, DICT_APPLICATION, APPLICATION_BY_ID, &id,
			    &when.app, ENOENT);
	if (!rc)
		rc = fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME,
				    "Credit-Control-Request", &when.command, ENOENT);
	if (!rc)
		rc = fd_disp_register(on_request, DISP_HOW_CC, &when, NULL, NULL);
	return rc ? rc : advertise(when.app);
}

static int start_engine(void)
{
	struct gy_engine_config engine_config = {
		.database = config->database,
		.lanes = config->lanes,
		.batch_max = config->batch_max,
		.queue_max = config->queue_max,
		.deadline_ms = config->deadline_ms,
		.queue_age_ms = config->queue_age_ms,
		.trace = config->trace,
		.alternate_node = config->alternate_node,
		.sweep_ms = config->sweep_ms,
		.late_window_s = config->late_window_s,
		.supervision = config->supervision,
		.node = (const char *)fd_g_config->cnf_diamid,
		.rar_timeout_ms = config->rar_timeout_ms,
		.reaches = gyro_reauth_reaches,
		.prompt = gyro_reauth_send,
		.answered = on_answered,
		.log = engine_log,
	};
	char error[512] = "";

	if (gy_engine_start(&engine_config, &engine, error, sizeof(error)) != GY_OK) {
		fd_log_error("app_gyro: the engine cannot start: %s", error);
		return ECONNREFUSED;
	}
	gyro_reauth_engine(engine);
	return 0;
}

static void describe_node(void)
{
	node = (struct gy_node){
		.identity.host = { (const uint8_t *)fd_g_config->cnf_diamid,
				   fd_g_config->cnf_diamid_len },
		.identity.realm = { (const uint8_t *)fd_g_config->cnf_diamrlm,
				    fd_g_config->cnf_diamrlm_len },
		.origin_state_id = ORIGIN_STATE_ID,
		.alternate_node = config->alternate_node,
	};
	fd_g_config->cnf_orstateid = ORIGIN_STATE_ID;
	log_level = gy_config_log_level(config);
	fd_g_debug_lvl = fd_level(log_level);
}

static int start(char *conffile)
{
	char error[512];
	int rc;

	if (conffile == NULL) {
		fd_log_error("app_gyro: needs gyro.yaml: LoadExtension = \"app_gyro.fdx\" : "
			     "\"/path/gyro.yaml\";");
		return EINVAL;
	}
	if (!gy_config_load(conffile, &config, error, sizeof(error))) {
		fd_log_error("app_gyro: %s", error);
		return EINVAL;
	}
	if (fd_g_config->cnf_dispthr != 1) {
		fd_log_error("app_gyro: AppServThreads must be 1, or requests of one session "
			     "overtake each other");
		return EINVAL;
	}
	describe_node();
	send_directly =
		(void (*)(struct msg *, DiamId_t, size_t))dlsym(RTLD_DEFAULT, "gyrod_send_answer");
	rc = gyro_reauth_start();
	if (!rc)
		rc = start_engine();
	if (!rc)
		rc = register_dispatch();
	if (!rc)
		rc = fd_event_trig_regcb(SIGUSR1, "app_gyro", on_sigusr1);
	return rc;
}

void fd_ext_fini(void)
{
	/* Drained by now, or killed: both are safe. The lanes must end before our code is unmapped.
	 */
	gyro_reauth_engine(NULL);
	if (engine != NULL)
		gy_engine_stop(engine);
	engine = NULL;
}

EXTENSION_ENTRY("app_gyro", start, "dict_gyro", "acl_gyro");
