/* Who may connect.
 *
 * A validator of our own instead of acl_wl: peers it accepts would expire after an idle hour. Where
 * the node has TLS, a peer is who its certificate says, and comes without TLS only if gyro.yaml
 * says so of it. Inband-Security-Id (TLS after the CER, RFC 3588) is offered to nobody: RFC 6733
 * keeps it for old peers only, the CER travels in the clear, and whoever is in between can strip
 * it. */
#include <errno.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/acl_gyro/guard.h"

static const struct gy_config *config;

/* Is the first certificate of the chain, which the handshake has verified, the peer's own? Names
 * with a wildcard stand for nobody: whoever holds one could be any gateway. */
static bool is_certified(const struct peer_info *info)
{
	const unsigned exactly =
		GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS | GNUTLS_VERIFY_DO_NOT_ALLOW_IP_MATCHES;
	gnutls_x509_crt_t certificate;
	bool same = false;

	if (info->runtime.pir_cert_list_size == 0 ||
	    strlen(info->pi_diamid) != info->pi_diamidlen ||
	    gnutls_x509_crt_init(&certificate) != 0)
		return false;
	if (gnutls_x509_crt_import(certificate, &info->runtime.pir_cert_list[0],
				   GNUTLS_X509_FMT_DER) == 0)
		same = gnutls_x509_crt_check_hostname2(certificate, info->pi_diamid, exactly) != 0;
	gnutls_x509_crt_deinit(certificate);
	return same;
}

/* CER of a peer that no ConnectPeer line names: *auth 1 accepts, -1 refuses (CEA 3010). */
static int validate(struct peer_info *info, int *auth, int (**after_tls)(struct peer_info *))
{
	struct gy_bytes identity = { (const uint8_t *)info->pi_diamid, info->pi_diamidlen };
	const struct gy_config_peer *peer = gy_config_peer(config, identity);
	bool tls = info->runtime.pir_cert_list != NULL;

	(void)after_tls;
	*auth = -1;
	if (info->runtime.pir_realm == NULL || info->runtime.pir_realmlen == 0)
		return 0; /* F9 */
	if (peer == NULL)
		return 0;
	if (tls && !is_certified(info)) {
		guard_tell(info->pi_diamid, "refused: its certificate is in another name");
		return 0;
	}
	info->config.pic_flags.exp = PI_EXP_NONE;
	/* Neither this nor TLS: CEA 5017, DIAMETER_NO_COMMON_SECURITY. */
	info->config.pic_flags.sec = 0;
	if (config->listen_tls_count == 0 || peer->plain)
		info->config.pic_flags.sec = PI_SEC_NONE;
	*auth = 1;
	return 0;
}

int guard_peers_start(const struct gy_config *new_config)
{
	config = new_config;
	if (config->peers_count == 0)
		fd_log(GUARD_WARNING, "acl_gyro: gyro.yaml lists no peers: nobody may connect");
	return fd_peer_validate_register(validate);
}
