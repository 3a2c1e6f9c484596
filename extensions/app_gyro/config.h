/* gyro.yaml: Gyro's own configuration, read by acl_gyro and app_gyro alike.
 *
 * Refuses unknown keys and says where; fills every absent optional key with its default. */
#ifndef GY_APP_CONFIG_H
#define GY_APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/result.h"
#include "core/base/units.h"

struct gy_config_peer {
	char *identity; /* a DiameterIdentity, or "*.realm": everybody in it */
	char *realm;    /* whose Origin-Realm its requests have; NULL: one that it is a host of */
	bool agent;     /* a DRA: the Origin of its requests may be another host's */
	bool plain;     /* may come without TLS where the node has it */
};

struct gy_config {
	char *database; /* libpq conninfo */
	char **listen;  /* "address:port", "[address]:port"; no TLS there */
	unsigned listen_count;
	char **listen_tls; /* the same, TLS from the first octet on */
	unsigned listen_tls_count;
	struct gy_config_peer *peers;
	unsigned peers_count;
	unsigned lanes;
	unsigned batch_max;
	unsigned queue_max;
	unsigned deadline_ms;
	unsigned queue_age_ms;
	bool trace;
	unsigned sweep_ms;
	unsigned late_window_s;
	unsigned supervision;
	unsigned rar_timeout_ms;
	bool alternate_node;
	bool lenient_unknown_mandatory;
	char *log_level; /* NULL: info */
};

/* Reads path. On success *config is to be freed with gy_config_free; otherwise it is NULL and error
 * holds one line for the operator. Returns true on success. */
bool gy_config_load(const char *path, struct gy_config **config, char *error,
		    size_t error_size) GY_MUST_CHECK;
void gy_config_free(struct gy_config *config);

enum gy_log_level gy_config_log_level(const struct gy_config *config);

/* The first peer entry that covers identity, NULL if none does. */
const struct gy_config_peer *gy_config_peer(const struct gy_config *config,
					    struct gy_bytes identity);

#endif
