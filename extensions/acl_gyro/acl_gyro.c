/* acl_gyro: the guard. Makes freeDiameter 1.2.1 safe to be talked to (spec/reliability.md F1–F11).
 *
 * Peers are admitted by gyro.yaml; requests are carried raw past everything in the stack that
 * would parse, answer or die of them; the rest of the traffic is checked before it is parsed. It
 * decides nothing about charging: extensions/README.md tells the whole path. */
#include <errno.h>

/* Everything is hidden by default, and Debian's extension.h doesn't say otherwise. */
#pragma GCC visibility push(default)
extern const char *fd_ext_depends[];
int fd_ext_init(int major, int minor, char *conffile);
void fd_ext_fini(void);
#pragma GCC visibility pop

#include <freeDiameter/extension.h>

#include "extensions/acl_gyro/guard.h"

static struct gy_config *config; /* lives as long as the process: hooks read it */

static int start(char *conffile)
{
	char error[512];
	int rc;

	if (conffile == NULL) {
		fd_log_error("acl_gyro: needs gyro.yaml: LoadExtension = \"acl_gyro.fdx\" : "
			     "\"/path/gyro.yaml\";");
		return EINVAL;
	}
	if (!gy_config_load(conffile, &config, error, sizeof(error))) {
		fd_log_error("acl_gyro: %s", error);
		return EINVAL;
	}
	guard_strangers_start(config);
	rc = guard_endpoints_start(config);
	if (!rc)
		rc = guard_peers_start(config);
	if (!rc)
		rc = guard_quiet_start();
	if (!rc)
		rc = guard_carry_start();
	if (!rc)
		rc = guard_answers_start();
	if (!rc)
		rc = guard_anchor_start();
	if (rc)
		fd_log_error("acl_gyro: cannot start: %s", strerror(rc));
	return rc;
}

void fd_ext_fini(void)
{
	/* Hooks stay registered until libfdcore itself is gone; nothing of ours may be freed. */
}

EXTENSION_ENTRY("acl_gyro", start, "dict_gyro");
