/* Where we listen.
 *
 * Addresses are added here because freeDiameter filters loopback out of ListenOn and then listens
 * everywhere. It knows one set of addresses, one port without TLS and one with: what gyro.yaml asks
 * for must fit, and must agree with Port and SecPort, or the node would listen where nobody said.
 */
#include <errno.h>
#include <netdb.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/acl_gyro/guard.h"

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

/* The address of an endpoint, to be freed with freeaddrinfo; NULL, and a line in the log, if text
 * is none. */
static struct addrinfo *address_of(const char *key, const char *endpoint)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *address = NULL;
	char text[128], *host, *port;

	if ((size_t)snprintf(text, sizeof(text), "%s", endpoint) < sizeof(text) &&
	    split(text, &host, &port) && getaddrinfo(host, port, &hints, &address) == 0)
		return address;
	fd_log_error("acl_gyro: %s: '%s' is not address:port", key, endpoint);
	return NULL;
}

static uint16_t port_of(const struct addrinfo *address)
{
	return address->ai_family == AF_INET6
		       ? ntohs(((struct sockaddr_in6 *)address->ai_addr)->sin6_port)
		       : ntohs(((struct sockaddr_in *)address->ai_addr)->sin_port);
}

/* Is this address, with whatever port, among those of freeDiameter already? */
static bool is_known(const struct addrinfo *address)
{
	for (struct fd_list *li = fd_g_config->cnf_endpoints.next;
	     li != &fd_g_config->cnf_endpoints; li = li->next) {
		const struct fd_endpoint *ep = (const struct fd_endpoint *)li;
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address->ai_addr;
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)address->ai_addr;

		if (!(ep->flags & EP_FL_CONF) || ep->sa.sa_family != address->ai_family)
			continue;
		if (address->ai_family == AF_INET6 ? memcmp(&ep->sin6.sin6_addr, &v6->sin6_addr,
							    sizeof(v6->sin6_addr)) == 0
						   : ep->sin.sin_addr.s_addr == v4->sin_addr.s_addr)
			return true;
	}
	return false;
}

/* How many addresses freeDiameter will listen on. */
static unsigned count_known(void)
{
	unsigned n = 0;

	for (struct fd_list *li = fd_g_config->cnf_endpoints.next;
	     li != &fd_g_config->cnf_endpoints; li = li->next)
		n += (((struct fd_endpoint *)li)->flags & EP_FL_CONF) != 0;
	return n;
}

/* One of gyro.yaml's lists. port: freeDiameter's, 0: nothing set yet. */
static int listen_on(const char *key, char **list, unsigned count, uint16_t *port)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < count; i++) {
		struct addrinfo *address = address_of(key, list[i]);

		if (address == NULL)
			return EINVAL;
		if (*port != 0 && *port != port_of(address)) {
			fd_log_error("acl_gyro: %s: '%s': all its endpoints, and freeDiameter's "
				     "own configuration (%u), must have the same port",
				     key, list[i], (unsigned)*port);
			rc = EINVAL;
		}
		*port = port_of(address);
		if (address->ai_family == AF_INET6)
			fd_g_config->cnf_flags.no_ip6 = 0;
		if (!rc && !is_known(address))
			rc = fd_ep_add_merge(&fd_g_config->cnf_endpoints, address->ai_addr,
					     address->ai_addrlen, EP_FL_CONF | EP_ACCEPTALL);
		freeaddrinfo(address);
	}
	return rc;
}

static int check_tls(const struct gy_config *config)
{
	if (config->listen_tls_count == 0 && fd_g_config->cnf_port_tls == 0)
		return 0;
	if (config->listen_tls_count == 0) {
		fd_log_error("acl_gyro: SecPort is %u, but gyro.yaml has no listen_tls",
			     (unsigned)fd_g_config->cnf_port_tls);
		return EINVAL;
	}
	/* Without an authority of its own no certificate would mean anything. */
	if (fd_g_config->cnf_sec_data.tls_disabled || fd_g_config->cnf_sec_data.ca_file == NULL) {
		fd_log_error("acl_gyro: listen_tls needs TLS_Cred and TLS_CA in freeDiameter's "
			     "configuration");
		return EINVAL;
	}
	/* Our validator is not asked about these: anybody with a certificate could take their
	 * names. */
	if (!FD_IS_LIST_EMPTY(&fd_g_peers)) {
		fd_log_error("acl_gyro: ConnectPeer and listen_tls don't go together: list the "
			     "peer in gyro.yaml, and let it connect");
		return EINVAL;
	}
	return 0;
}

static int check_plain(const struct gy_config *config)
{
	if (config->listen_count > 0)
		return 0;
	if (fd_g_config->cnf_port != 0) {
		fd_log_error("acl_gyro: Port is %u, but gyro.yaml has no listen",
			     (unsigned)fd_g_config->cnf_port);
		return EINVAL;
	}
	if (!fd_g_config->cnf_flags.no_sctp) {
		fd_log_error("acl_gyro: SCTP needs listen: there is no TLS over SCTP; or No_SCTP");
		return EINVAL;
	}
	return 0;
}

int guard_endpoints_start(const struct gy_config *config)
{
	unsigned plain;
	int rc = check_tls(config);

	if (!rc)
		rc = check_plain(config);
	if (!rc)
		rc = listen_on("listen", config->listen, config->listen_count,
			       &fd_g_config->cnf_port);
	plain = count_known();
	if (!rc)
		rc = listen_on("listen_tls", config->listen_tls, config->listen_tls_count,
			       &fd_g_config->cnf_port_tls);
	if (rc || config->listen_count == 0 || config->listen_tls_count == 0)
		return rc;
	if (plain == count_known() && config->listen_count == config->listen_tls_count)
		return 0;
	fd_log_error("acl_gyro: listen and listen_tls must name the same addresses");
	return EINVAL;
}
