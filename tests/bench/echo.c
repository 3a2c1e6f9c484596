/* The baseline of the bench: answers every CCR at once, in the callback, with a success that
 * grants.
 *
 * For stock freeDiameterd with Debian's dictionaries and default settings. Charges nothing, keeps
 * nothing; only reads what the answer has to echo. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

/* Everything is hidden by default, and Debian's extension.h doesn't say otherwise. */
#pragma GCC visibility push(default)
extern const char *fd_ext_depends[];
int fd_ext_init(int major, int minor, char *conffile);
#pragma GCC visibility pop

#include <freeDiameter/extension.h>

#define GRANTED_OCTETS 10485760u
#define VALIDITY_S     3600u

enum {
	CC_REQUEST_TYPE,
	CC_REQUEST_NUMBER,
	AUTH_APPLICATION_ID,
	SERVICES,
	RATING_GROUP,
	GRANTED,
	TOTAL_OCTETS,
	VALIDITY_TIME,
	RESULT_CODE,
	AVPS,
};

static const char *const avp_names[AVPS] = {
	[CC_REQUEST_TYPE] = "CC-Request-Type",
	[CC_REQUEST_NUMBER] = "CC-Request-Number",
	[AUTH_APPLICATION_ID] = "Auth-Application-Id",
	[SERVICES] = "Multiple-Services-Credit-Control",
	[RATING_GROUP] = "Rating-Group",
	[GRANTED] = "Granted-Service-Unit",
	[TOTAL_OCTETS] = "CC-Total-Octets",
	[VALIDITY_TIME] = "Validity-Time",
	[RESULT_CODE] = "Result-Code",
};

static struct dict_object *avps[AVPS];

static int add(msg_or_avp *parent, int which, union avp_value *value, struct avp **made)
{
	struct avp *avp = NULL;
	int rc = fd_msg_avp_new(avps[which], 0, &avp);

	if (rc == 0 && value != NULL)
		rc = fd_msg_avp_setvalue(avp, value);
	if (rc == 0)
		rc = fd_msg_avp_add(parent, MSG_BRW_LAST_CHILD, avp);
	if (made != NULL)
		*made = avp;
	return rc;
}

static int add_u32(msg_or_avp *parent, int which, uint32_t number)
{
	union avp_value value = { .u32 = number };

	return add(parent, which, &value, NULL);
}

/* The value of an AVP directly below, 0 if it isn't there. */
static uint32_t read_u32(msg_or_avp *parent, int which)
{
	struct dict_avp_data wanted;
	struct avp *avp = NULL;
	struct avp_hdr *header;

	if (fd_dict_getval(avps[which], &wanted) != 0 ||
	    fd_msg_browse(parent, MSG_BRW_FIRST_CHILD, &avp, NULL) != 0)
		return 0;
	while (avp != NULL) {
		if (fd_msg_avp_hdr(avp, &header) != 0)
			return 0;
		if (header->avp_code == wanted.avp_code && header->avp_value != NULL)
			return header->avp_value->u32;
		if (fd_msg_browse(avp, MSG_BRW_NEXT, &avp, NULL) != 0)
			return 0;
	}
	return 0;
}

static int add_service(struct msg *answer, uint32_t rating_group, bool grant)
{
	union avp_value octets = { .u64 = GRANTED_OCTETS };
	struct avp *service = NULL, *granted = NULL;
	int rc = add(answer, SERVICES, NULL, &service);

	if (rc == 0 && grant)
		rc = add(service, GRANTED, NULL, &granted);
	if (rc == 0 && grant)
		rc = add(granted, TOTAL_OCTETS, &octets, NULL);
	if (rc == 0)
		rc = add_u32(service, RATING_GROUP, rating_group);
	if (rc == 0)
		rc = add_u32(service, VALIDITY_TIME, VALIDITY_S);
	if (rc == 0)
		rc = add_u32(service, RESULT_CODE, 2001);
	return rc;
}

static int on_request(struct msg **msg, struct avp *avp, struct session *session, void *data,
		      enum disp_action *action)
{
	uint32_t type = read_u32(*msg, CC_REQUEST_TYPE);
	uint32_t number = read_u32(*msg, CC_REQUEST_NUMBER);
	struct avp *service = NULL;
	uint32_t rating_group = 0;
	int rc;

	(void)avp;
	(void)session;
	(void)data;
	fd_msg_search_avp(*msg, avps[SERVICES], &service);
	if (service != NULL)
		rating_group = read_u32(service, RATING_GROUP);
	rc = fd_msg_new_answer_from_req(fd_g_config->cnf_dict, msg, 0);
	if (rc == 0)
		rc = fd_msg_rescode_set(*msg, (char *)"DIAMETER_SUCCESS", NULL, NULL, 1);
	if (rc == 0)
		rc = add_u32(*msg, AUTH_APPLICATION_ID, 4);
	if (rc == 0)
		rc = add_u32(*msg, CC_REQUEST_TYPE, type);
	if (rc == 0)
		rc = add_u32(*msg, CC_REQUEST_NUMBER, number);
	if (rc == 0)
		rc = add_service(*msg, rating_group, type != 3);
	if (rc == 0)
		*action = DISP_ACT_SEND;
	return rc;
}

/* ListenOn drops loopback, and then everything is listened on. */
static int listen_on_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(fd_g_config->cnf_port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return fd_ep_add_merge(&fd_g_config->cnf_endpoints, (struct sockaddr *)&address,
			       sizeof(address), EP_FL_CONF | EP_ACCEPTALL);
}

static int echo_entry(char *config)
{
	struct disp_when when = { .app = NULL };
	application_id_t application = 4;

	(void)config;
	for (int i = 0; i < AVPS; i++)
		CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_AVP, AVP_BY_NAME, avp_names[i],
					 &avps[i], ENOENT));
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_APPLICATION, APPLICATION_BY_ID,
				 &application, &when.app, ENOENT));
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME,
				 "Credit-Control-Request", &when.command, ENOENT));
	CHECK_FCT(fd_disp_register(on_request, DISP_HOW_CC, &when, NULL, NULL));
	CHECK_FCT(fd_disp_app_support(when.app, NULL, 1, 0));
	return listen_on_loopback();
}

EXTENSION_ENTRY("bench_echo", echo_entry, "dict_dcca_3gpp");
