/* Answers of peers.
 *
 * F1: fd_msg_parse_or_error asserts that Result-Code has a value, which it has not if the
 * dictionary parse stopped before it. So it is parsed here, alone and first; one that can't be
 * parsed is taken out, and the stack then finds none. F13, found here: an answer of another command
 * than its request is handed on as an error answer, and ends the dispatch thread and the daemon if
 * the command is unknown. It loses all its AVPs, and the stack drops it. */
#include <errno.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/acl_gyro/guard.h"

static struct dict_object *result_code;

static void settle_result_code(struct msg *msg)
{
	struct avp_hdr *header;
	struct avp *avp;

	for (;;) {
		avp = NULL;
		if (fd_msg_search_avp(msg, result_code, &avp) || avp == NULL)
			return;
		if (fd_msg_avp_hdr(avp, &header) || header->avp_value != NULL)
			return;
		fd_msg_free(avp);
	}
}

/* Is it the answer of what was asked? A message without request is the first of a connection. */
static bool is_matching(struct msg *msg, const struct msg_hdr *header)
{
	struct msg_hdr *asked;
	struct msg *query = NULL;

	if (fd_msg_answ_getq(msg, &query) || query == NULL || fd_msg_hdr(query, &asked))
		return true;
	return header->msg_code == asked->msg_code && header->msg_appl == asked->msg_appl;
}

static void strip(struct msg *msg)
{
	struct avp *avp;

	while (fd_msg_browse(msg, MSG_BRW_FIRST_CHILD, &avp, NULL) == 0 && avp != NULL)
		fd_msg_free(avp);
}

static void on_message(enum fd_hook_type type, struct msg *msg, struct peer_hdr *peer, void *other,
		       struct fd_hook_permsgdata *pmd, void *data)
{
	struct msg_hdr *header;

	(void)type, (void)peer, (void)other, (void)pmd, (void)data;
	guard_anchor_tend();
	if (fd_msg_hdr(msg, &header) || (header->msg_flags & CMD_FLAG_REQUEST))
		return;
	if (is_matching(msg, header))
		settle_result_code(msg);
	else
		strip(msg);
}

int guard_answers_start(void)
{
	struct fd_hook_hdl *handle;
	int rc;

	rc = fd_dict_search(fd_g_config->cnf_dict, DICT_AVP, AVP_BY_NAME, "Result-Code",
			    &result_code, ENOENT);
	if (!rc)
		rc = fd_hook_register(1u << HOOK_MESSAGE_RECEIVED, on_message, NULL, NULL, &handle);
	return rc;
}
