/* Answers of peers (F1): fd_msg_parse_or_error asserts that Result-Code has a value, which it has
 * not if the dictionary parse stopped before it. So it is parsed here, alone and first; one
 * that can't be parsed is taken out, and the stack then finds none. */
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

static void on_message(enum fd_hook_type type, struct msg *msg, struct peer_hdr *peer, void *other,
		       struct fd_hook_permsgdata *pmd, void *data)
{
	struct msg_hdr *header;

	(void)type, (void)peer, (void)other, (void)pmd, (void)data;
	guard_anchor_tend();
	if (fd_msg_hdr(msg, &header) == 0 && !(header->msg_flags & CMD_FLAG_REQUEST))
		settle_result_code(msg);
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
