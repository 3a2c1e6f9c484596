/* See config.h. */
#include "extensions/app_gyro/config.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const cyaml_schema_value_t string_value = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255),
};

static const cyaml_schema_field_t peer_fields[] = {
	CYAML_FIELD_STRING_PTR("identity", CYAML_FLAG_POINTER, struct gy_config_peer, identity, 1,
			       255),
	CYAML_FIELD_STRING_PTR("realm", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			       struct gy_config_peer, realm, 1, 255),
	CYAML_FIELD_BOOL("agent", CYAML_FLAG_OPTIONAL, struct gy_config_peer, agent),
	CYAML_FIELD_BOOL("plain", CYAML_FLAG_OPTIONAL, struct gy_config_peer, plain),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t peer_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gy_config_peer, peer_fields),
};

#define OPTIONAL_UINT(name) CYAML_FIELD_UINT(#name, CYAML_FLAG_OPTIONAL, struct gy_config, name)

static const cyaml_schema_field_t config_fields[] = {
	CYAML_FIELD_STRING_PTR("database", CYAML_FLAG_POINTER, struct gy_config, database, 1, 4096),
	CYAML_FIELD_SEQUENCE("listen", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct gy_config,
			     listen, &string_value, 1, 64),
	CYAML_FIELD_SEQUENCE("listen_tls", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct gy_config, listen_tls, &string_value, 1, 64),
	CYAML_FIELD_SEQUENCE("peers", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct gy_config,
			     peers, &peer_value, 0, CYAML_UNLIMITED),
	OPTIONAL_UINT(lanes),
	OPTIONAL_UINT(batch_max),
	OPTIONAL_UINT(queue_max),
	OPTIONAL_UINT(deadline_ms),
	OPTIONAL_UINT(queue_age_ms),
	CYAML_FIELD_BOOL("trace", CYAML_FLAG_OPTIONAL, struct gy_config, trace),
	OPTIONAL_UINT(sweep_ms),
	OPTIONAL_UINT(late_window_s),
	OPTIONAL_UINT(supervision),
	OPTIONAL_UINT(rar_timeout_ms),
	CYAML_FIELD_BOOL("alternate_node", CYAML_FLAG_OPTIONAL, struct gy_config, alternate_node),
	CYAML_FIELD_BOOL("lenient_unknown_mandatory", CYAML_FLAG_OPTIONAL, struct gy_config,
			 lenient_unknown_mandatory),
	CYAML_FIELD_STRING_PTR("log_level", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			       struct gy_config, log_level, 0, 16),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gy_config, config_fields),
};

static const char *const level_names[] = {
	[GY_LOG_DEBUG] = "debug",     [GY_LOG_INFO] = "info",   [GY_LOG_NOTICE] = "notice",
	[GY_LOG_WARNING] = "warning", [GY_LOG_ERROR] = "error",
};

/* Where libcyaml's complaint goes. */
struct complaint {
	char *text;
	size_t size;
};

/* Keeps the first line: the innermost, which names line and column. */
static void complain(cyaml_log_t level, void *data, const char *format, va_list args)
{
	struct complaint *complaint = data;

	(void)level;
	if (complaint->text[0] != '\0')
		return;
		/* The format is libcyaml's own. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(complaint->text, complaint->size, format, args);
#pragma GCC diagnostic pop
	complaint->text[strcspn(complaint->text, "\n")] = '\0';
}

static cyaml_config_t reader(struct complaint *complaint)
{
	return (cyaml_config_t){
		.log_fn = complain,
		.log_ctx = complaint,
		.log_level = CYAML_LOG_ERROR,
		.mem_fn = cyaml_mem,
	};
}

/* With the longest Validity-Time still a time within 64 bits. */
#define SUPERVISION_MAX 100u

static unsigned default_to(unsigned value, unsigned otherwise)
{
	return value != 0 ? value : otherwise;
}

bool gy_config_load(const char *path, struct gy_config **config, char *error, size_t error_size)
{
	char text[256] = "";
	struct complaint complaint = { text, sizeof(text) };
	cyaml_config_t cyaml = reader(&complaint);
	cyaml_data_t *data = NULL;
	struct gy_config *c;
	cyaml_err_t rc;

	*config = NULL;
	rc = cyaml_load_file(path, &cyaml, &config_schema, &data, NULL);
	if (rc != CYAML_OK) {
		snprintf(error, error_size, "%s: %s%s%s", path, cyaml_strerror(rc),
			 text[0] ? ": " : "", text);
		return false;
	}
	c = (struct gy_config *)data;
	c->lanes = default_to(c->lanes, 2);
	c->batch_max = default_to(c->batch_max, 128);
	c->queue_max = default_to(c->queue_max, 4096);
	c->deadline_ms = default_to(c->deadline_ms, 4000);
	c->queue_age_ms = default_to(c->queue_age_ms, 1000);
	c->sweep_ms = default_to(c->sweep_ms, 1000);
	c->late_window_s = default_to(c->late_window_s, 86400);
	c->supervision = default_to(c->supervision, 2);
	c->rar_timeout_ms = default_to(c->rar_timeout_ms, 4000);
	if (c->listen_count + c->listen_tls_count == 0) {
		snprintf(error, error_size,
			 "%s: neither listen nor listen_tls: nobody could connect", path);
		gy_config_free(c);
		return false;
	}
	if (c->supervision > SUPERVISION_MAX) {
		snprintf(error, error_size, "%s: supervision: at most %u Validity-Times", path,
			 SUPERVISION_MAX);
		gy_config_free(c);
		return false;
	}
	if (c->log_level != NULL && gy_config_log_level(c) == GY_LOG_INFO &&
	    strcmp(c->log_level, "info") != 0) {
		snprintf(error, error_size,
			 "%s: log_level '%s' is none of debug, info, notice, "
			 "warning, error",
			 path, c->log_level);
		gy_config_free(c);
		return false;
	}
	*config = c;
	return true;
}

void gy_config_free(struct gy_config *config)
{
	char text[2] = "";
	struct complaint complaint = { text, sizeof(text) };
	cyaml_config_t cyaml = reader(&complaint);

	cyaml_free(&cyaml, &config_schema, config, 0);
}

enum gy_log_level gy_config_log_level(const struct gy_config *config)
{
	if (config->log_level != NULL)
		for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
			if (strcmp(level_names[i], config->log_level) == 0)
				return (enum gy_log_level)i;
	return GY_LOG_INFO;
}

/* "*.realm" covers every host below the realm, not the realm's own name. */
static bool covers(const char *pattern, struct gy_bytes identity)
{
	const char *host = (const char *)identity.data;
	size_t n = strlen(pattern);

	if (n > 2 && pattern[0] == '*' && pattern[1] == '.')
		return identity.len > n - 1 &&
		       strncasecmp(host + identity.len - (n - 1), pattern + 1, n - 1) == 0;
	return identity.len == n && strncasecmp(host, pattern, n) == 0;
}

const struct gy_config_peer *gy_config_peer(const struct gy_config *config,
					    struct gy_bytes identity)
{
	for (unsigned i = 0; i < config->peers_count; i++)
		if (covers(config->peers[i].identity, identity))
			return &config->peers[i];
	return NULL;
}
