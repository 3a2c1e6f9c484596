/* Who may connect, and where we listen.
 *
 * A validator of our own instead of acl_wl: peers it accepts would expire after an idle hour. The
 * endpoints are added here because freeDiameter filters loopback out of ListenOn and then listens
 * everywhere. */
#include <errno.h>
#include <netdb.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/acl_gyro/guard.h"

static const struct gy_config *config;

/* CER of a peer that no ConnectPeer line names: *auth 1 accepts, -1 refuses (CEA 3010). */
static int validate(struct peer_info *info, int *auth, int (**after_tls)(struct peer_info *))
{
	struct gy_bytes identity = { (const uint8_t *)info->pi_diamid, info->pi_diamidlen };

	(void)after_tls;
	*auth = -1;
	if (info->runtime.pir_realm == NULL || info->runtime.pir_realmlen == 0)
		return 0; /* F9 */
	if (gy_config_peer(config, identity) == NULL)
		return 0;
	info->config.pic_flags.exp = PI_EXP_NONE;
	info->config.pic_flags.sec = PI_SEC_NONE; /* plain TCP; TLS belongs to a later step */
	*auth = 1;
	return 0;
}

/* "127.0.0.1:3868", "[::1]:3868"; splits text in place. False if it is neither. */
static bool split(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL || colon == text)
		return false;
	*colon = '\0';
	*port = colon + 1;
	*host = text;
	if (text[0] == '[') {
		if (colon[-1] != ']')
			return false;
		colon[-1] = '\0';
		*host = text + 1;
	}
	return **port != '\0';
}

static uint16_t port_of(const struct addrinfo *address)
{
	return address->ai_family == AF_INET6
		       ? ntohs(((struct sockaddr_in6 *)address->ai_addr)->sin6_port)
		       : ntohs(((struct sockaddr_in *)address->ai_addr)->sin_port);
}

static int listen_on(const char *endpoint)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *address = NULL;
	char text[128], *host, *port;
	int rc;

	if ((size_t)snprintf(text, sizeof(text), "%s", endpoint) >= sizeof(text) ||
	    !split(text, &host, &port) || getaddrinfo(host, port, &hints, &address) != 0) {
		fd_log_error("acl_gyro: listen: '%s' is not address:port", endpoint);
		return EINVAL;
	}
	/* One Port for all endpoints is freeDiameter's rule; ours decide which. */
	if (fd_g_config->cnf_port != 0 && fd_g_config->cnf_port != port_of(address)) {
		fd_log_error("acl_gyro: listen: '%s': all endpoints, and Port in freeDiameter's "
			     "configuration (%u), must have the same port",
			     endpoint, (unsigned)fd_g_config->cnf_port);
		freeaddrinfo(address);
		return EINVAL;
	}
	fd_g_config->cnf_port = port_of(address);
	if (address->ai_family == AF_INET6)
		fd_g_config->cnf_flags.no_ip6 = 0;
	rc = fd_ep_add_merge(&fd_g_config->cnf_endpoints, address->ai_addr, address->ai_addrlen,
			     EP_FL_CONF | EP_ACCEPTALL);
	freeaddrinfo(address);
	return rc;
}

int guard_peers_start(const struct gy_config *new_config)
{
	int rc = 0;

	config = new_config;
	for (unsigned i = 0; !rc && i < config->listen_count; i++)
		rc = listen_on(config->listen[i]);
	if (!rc && config->peers_count == 0)
		fd_log_notice("acl_gyro: gyro.yaml lists no peers: nobody may connect");
	if (!rc)
		rc = fd_peer_validate_register(validate);
	return rc;
}
