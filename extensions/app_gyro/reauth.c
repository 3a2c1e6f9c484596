/* RAR and ASR: see reauth.h.
 *
 * A request goes to the very peer that the engine names: libfdcore by itself would choose any peer
 * of the realm when the gateway sits behind an agent. What becomes of it is told in one of three
 * ways: the answer (the stack's own, if there is no way any more), its time being over, the answer
 * or the request being dropped by the stack (it drops an answer that breaks the grammar without a
 * word to whoever asked); a fourth, silence of the stack, ends at the engine's own deadline. Each
 * is told by ticket, so what comes twice or late does no harm. Nothing in an answer is trusted: of
 * it only Result-Code is looked at, and only if it has a value. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/reauth.h"
#include "extensions/app_gyro/wire.h"

#define AUTHORIZE_ONLY 0

/* Calls from libfdcore's threads hold it for reading, so that the engine isn't stopped meanwhile.
 */
static pthread_rwlock_t engine_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct gy_engine *engine;

static struct {
	struct dict_object *re_auth, *abort;
	struct dict_object *session_id, *origin_host, *origin_realm, *destination_realm;
	struct dict_object *destination_host, *auth_application_id, *cc_sub_session_id;
	struct dict_object *re_auth_request_type, *rating_group;
} dict;

void gyro_reauth_engine(struct gy_engine *current)
{
	pthread_rwlock_wrlock(&engine_lock);
	engine = current;
	pthread_rwlock_unlock(&engine_lock);
}

/* --- what came of it -------------------------------------------------------------------------- */

/* libfdcore cancels its threads at a disconnect; not while one holds our lock. */
static void tell(uint64_t ticket, enum gy_prompt_end end, uint32_t result_code)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_rwlock_rdlock(&engine_lock);
	if (engine != NULL)
		gy_engine_prompted(engine, ticket, end, result_code);
	pthread_rwlock_unlock(&engine_lock);
	pthread_setcancelstate(state, NULL);
}

/* Result-Code of an answer that may have been parsed in part only; 0: none. */
static uint32_t result_code_of(struct msg *answer)
{
	struct avp_hdr *header;
	struct avp *avp = NULL;

	if (fd_msg_browse(answer, MSG_BRW_FIRST_CHILD, &avp, NULL))
		return 0;
	while (avp != NULL) {
		if (fd_msg_avp_hdr(avp, &header))
			return 0;
		if (header->avp_code == GY_AVP_RESULT_CODE &&
		    !(header->avp_flags & AVP_FLAG_VENDOR) && header->avp_value != NULL)
			return header->avp_value->u32;
		if (fd_msg_browse(avp, MSG_BRW_NEXT, &avp, NULL))
			return 0;
	}
	return 0;
}

/* The stack's own: there was no way to the peer any more. */
static bool is_ours(struct msg *answer)
{
	DiamId_t source = NULL;

	return !fd_msg_source_get(answer, &source, NULL) && source == NULL;
}

static void on_answer(void *data, struct msg **answer)
{
	enum gy_prompt_end end = is_ours(*answer) ? GY_PROMPT_NOT_SENT : GY_PROMPT_ANSWERED;
	uint32_t code = result_code_of(*answer);

	fd_msg_free(*answer); /* and the request with it */
	*answer = NULL;
	tell((uint64_t)(uintptr_t)data, end, code);
}

static void on_silence(void *data, DiamId_t peer, size_t peer_len, struct msg **request)
{
	(void)peer, (void)peer_len;
	fd_msg_free(*request);
	*request = NULL;
	tell((uint64_t)(uintptr_t)data, GY_PROMPT_SILENCE, 0);
}

/* The ticket of a request, if it is one of ours; else 0. */
static uint64_t ticket_of(struct msg *request)
{
	void (*answered)(void *, struct msg **) = NULL;
	void *data = NULL;

	if (request == NULL || fd_msg_anscb_get(request, &answered, NULL, &data) ||
	    answered != on_answer)
		return 0;
	return (uint64_t)(uintptr_t)data;
}

/* HOOK_MESSAGE_DROPPED: of requests and answers that the stack gives up, ours among others. */
static void on_dropped(enum fd_hook_type type, struct msg *msg, struct peer_hdr *peer, void *other,
		       struct fd_hook_permsgdata *pmd, void *data)
{
	struct msg *request = NULL;
	struct msg_hdr *header;
	uint64_t ticket;

	(void)type, (void)peer, (void)other, (void)pmd, (void)data;
	if (msg == NULL || fd_msg_hdr(msg, &header))
		return;
	if (header->msg_flags & CMD_FLAG_REQUEST) {
		ticket = ticket_of(msg);
		if (ticket != 0)
			tell(ticket, GY_PROMPT_NOT_SENT, 0);
		return;
	}
	if (fd_msg_answ_getq(msg, &request))
		return;
	ticket = ticket_of(request);
	if (ticket != 0)
		tell(ticket, GY_PROMPT_ANSWERED, result_code_of(msg));
}

/* --- routing ------------------------------------------------------------------------------------
 */

static bool is_called(const struct rtd_candidate *candidate, struct gy_bytes name)
{
	return candidate->diamidlen == name.len &&
	       strncasecmp(candidate->diamid, (const char *)name.data, name.len) == 0;
}

/* The last routing callback: one of ours goes to its peer or nowhere. */
static int on_routing(void *data, struct msg **msg, struct fd_list *candidates)
{
	uint64_t ticket = ticket_of(*msg);
	struct gy_bytes peer = { NULL, 0 };

	(void)data;
	if (ticket == 0)
		return 0;
	pthread_rwlock_rdlock(&engine_lock);
	if (engine != NULL)
		peer = gy_engine_prompt_peer(engine, ticket);
	for (struct fd_list *li = candidates->next; li != candidates; li = li->next) {
		struct rtd_candidate *candidate = (struct rtd_candidate *)li;
		bool chosen = peer.data != NULL && is_called(candidate, peer);

		candidate->score = chosen ? FD_SCORE_FINALDEST : FD_SCORE_NO_DELIVERY;
	}
	pthread_rwlock_unlock(&engine_lock);
	return 0;
}

bool gyro_reauth_reaches(void *data, struct gy_bytes name)
{
	struct peer_hdr *peer = NULL;
	bool open = false;
	int waiting = 0, limit = 0;

	(void)data;
	/* The peer can't be freed while its list is locked. */
	pthread_rwlock_rdlock(&fd_g_peers_rw);
	if (!fd_peer_getbyid((DiamId_t)name.data, name.len, 1, &peer) && peer != NULL)
		open = fd_peer_get_state(peer) == STATE_OPEN;
	/* One that doesn't read would hold up the routing thread. */
	if (open &&
	    !fd_stat_getstats(STAT_P_TOSEND, peer, &waiting, &limit, NULL, NULL, NULL, NULL, NULL))
		open = limit == 0 || waiting <= limit / 2;
	pthread_rwlock_unlock(&fd_g_peers_rw);
	return open;
}

/* --- out
 * ------------------------------------------------------------------------------------------ */

/* Each adds one AVP at the end. False without memory. */
static bool add_value(struct msg *msg, struct dict_object *model, union avp_value *value)
{
	struct avp *avp = NULL;

	if (fd_msg_avp_new(model, 0, &avp))
		return false;
	if (fd_msg_avp_setvalue(avp, value) || fd_msg_avp_add(msg, MSG_BRW_LAST_CHILD, avp)) {
		fd_msg_free(avp);
		return false;
	}
	return true;
}

static bool add_bytes(struct msg *msg, struct dict_object *model, struct gy_bytes bytes)
{
	union avp_value value = { .os = { (uint8_t *)(uintptr_t)bytes.data, bytes.len } };

	return add_value(msg, model, &value);
}

static bool add_u32(struct msg *msg, struct dict_object *model, uint32_t number)
{
	union avp_value value = { .u32 = number };

	return add_value(msg, model, &value);
}

static bool add_u64(struct msg *msg, struct dict_object *model, uint64_t number)
{
	union avp_value value = { .u64 = number };

	return add_value(msg, model, &value);
}

static struct gy_bytes own(DiamId_t name, size_t len)
{
	return (struct gy_bytes){ (const uint8_t *)name, len };
}

/* What only a RAR says: which part of the session (RFC 8506 §3.3). */
static bool fill_re_auth(struct msg *msg, const struct gy_prompt *prompt)
{
	return add_u32(msg, dict.re_auth_request_type, AUTHORIZE_ONLY) &&
	       (!prompt->has_sub_session ||
		add_u64(msg, dict.cc_sub_session_id, prompt->sub_session)) &&
	       (prompt->rating_group < 0 ||
		add_u32(msg, dict.rating_group, (uint32_t)prompt->rating_group));
}

/* In the order of RFC 8506 §3.3 (RAR) and RFC 6733 §8.5.1 (ASR). */
static bool fill(struct msg *msg, const struct gy_prompt *prompt)
{
	return add_bytes(msg, dict.session_id, prompt->session_id) &&
	       add_bytes(msg, dict.origin_host,
			 own(fd_g_config->cnf_diamid, fd_g_config->cnf_diamid_len)) &&
	       add_bytes(msg, dict.origin_realm,
			 own(fd_g_config->cnf_diamrlm, fd_g_config->cnf_diamrlm_len)) &&
	       add_bytes(msg, dict.destination_realm, prompt->destination_realm) &&
	       add_bytes(msg, dict.destination_host, prompt->destination_host) &&
	       add_u32(msg, dict.auth_application_id, GY_APP_CREDIT_CONTROL) &&
	       (prompt->kind != GY_PROMPT_REAUTH || fill_re_auth(msg, prompt));
}

bool gyro_reauth_send(void *data, const struct gy_prompt *prompt)
{
	struct msg *msg = NULL;
	struct msg_hdr *header;
	struct timespec until;

	(void)data;
	if (fd_msg_new(prompt->kind == GY_PROMPT_REAUTH ? dict.re_auth : dict.abort,
		       MSGFL_ALLOC_ETEID, &msg))
		return false;
	if (fd_msg_hdr(msg, &header) || !fill(msg, prompt))
		goto failed;
	/* The commands are the base protocol's, the application is not (RFC 6733 §8.3). */
	header->msg_appl = GY_APP_CREDIT_CONTROL;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += prompt->timeout_ms / 1000;
	until.tv_nsec += (long)(prompt->timeout_ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (!fd_msg_send_timeout(&msg, on_answer, (void *)(uintptr_t)prompt->ticket, on_silence,
				 &until))
		return true;
failed:
	fd_msg_free(msg);
	return false;
}

/* --- start ---------------------------------------------------------------------------------------
 */

static int find(enum dict_object_type type, int how, const char *name, struct dict_object **found)
{
	return fd_dict_search(fd_g_config->cnf_dict, type, how, name, found, ENOENT);
}

static int find_avp(const char *name, struct dict_object **found)
{
	return find(DICT_AVP, AVP_BY_NAME, name, found);
}

int gyro_reauth_start(void)
{
	struct fd_rt_out_hdl *routing;
	struct fd_hook_hdl *hook;
	int rc = 0;

	rc |= find(DICT_COMMAND, CMD_BY_NAME, "Re-Auth-Request", &dict.re_auth);
	rc |= find(DICT_COMMAND, CMD_BY_NAME, "Abort-Session-Request", &dict.abort);
	rc |= find_avp("Session-Id", &dict.session_id);
	rc |= find_avp("Origin-Host", &dict.origin_host);
	rc |= find_avp("Origin-Realm", &dict.origin_realm);
	rc |= find_avp("Destination-Realm", &dict.destination_realm);
	rc |= find_avp("Destination-Host", &dict.destination_host);
	rc |= find_avp("Auth-Application-Id", &dict.auth_application_id);
	rc |= find_avp("CC-Sub-Session-Id", &dict.cc_sub_session_id);
	rc |= find_avp("Re-Auth-Request-Type", &dict.re_auth_request_type);
	rc |= find_avp("Rating-Group", &dict.rating_group);
	if (rc) {
		fd_log_error("app_gyro: the dictionary lacks what RAR and ASR need");
		return ENOENT;
	}
	/* Lower than any other's number: called last. */
	rc = fd_rt_out_register(on_routing, NULL, -100, &routing);
	if (!rc)
		rc = fd_hook_register(1u << HOOK_MESSAGE_DROPPED, on_dropped, NULL, NULL, &hook);
	return rc;
}
