/* What the commands of gyro-sim have in common on their command lines, and the sizes and durations
 * that people write there. */
#ifndef GY_CLIENT_OPTIONS_H
#define GY_CLIENT_OPTIONS_H

#include <getopt.h>

#include "tests/client/client.h"

#define GY_CONNECT_MAX 16
#define GY_LIST_MAX    32

struct gy_options {
	unsigned n_connect;
	const char *connect[GY_CONNECT_MAX];
	const char *origin_host, *origin_realm, *destination_realm, *destination_host;
	const char *identity[GY_IDENTITY_KINDS];
	const char *context;
	const char *log;
	const char *tls_ca, *tls_cert, *tls_key;
	uint64_t seed;
	bool seed_given, json;
	int64_t timeout_us;
	unsigned duplicate_percent;
	enum gy_copy_t duplicate_t;
};

/* Their values in getopt_long; a command's own begin at GY_OPTION_OWN. */
enum {
	GY_OPTION_CONNECT = 1000,
	GY_OPTION_ORIGIN_HOST,
	GY_OPTION_ORIGIN_REALM,
	GY_OPTION_DESTINATION_REALM,
	GY_OPTION_DESTINATION_HOST,
	GY_OPTION_IMSI, /* and the other kinds, in the order of enum gy_case_identity_kind */
	GY_OPTION_E164,
	GY_OPTION_NAI,
	GY_OPTION_SIP_URI,
	GY_OPTION_PRIVATE,
	GY_OPTION_USER_NAME,
	GY_OPTION_CONTEXT,
	GY_OPTION_LOG,
	GY_OPTION_SEED,
	GY_OPTION_JSON,
	GY_OPTION_TIMEOUT,
	GY_OPTION_TLS_CA,
	GY_OPTION_TLS_CERT,
	GY_OPTION_TLS_KEY,
	GY_OPTION_DUPLICATES,
	GY_OPTION_DUPLICATE_T,
	GY_OPTION_OWN = 2000,
};

#define GY_OPTIONS_PEER                                                                        \
	{ "connect", required_argument, NULL, GY_OPTION_CONNECT },                             \
		{ "origin-host", required_argument, NULL, GY_OPTION_ORIGIN_HOST },             \
		{ "origin-realm", required_argument, NULL, GY_OPTION_ORIGIN_REALM },           \
		{ "destination-realm", required_argument, NULL, GY_OPTION_DESTINATION_REALM }, \
		{ "destination-host", required_argument, NULL, GY_OPTION_DESTINATION_HOST },   \
		{ "tls-ca", required_argument, NULL, GY_OPTION_TLS_CA },                       \
		{ "tls-cert", required_argument, NULL, GY_OPTION_TLS_CERT },                   \
		{ "tls-key", required_argument, NULL, GY_OPTION_TLS_KEY },                     \
	{                                                                                      \
		"timeout", required_argument, NULL, GY_OPTION_TIMEOUT                          \
	}

#define GY_OPTIONS_IDENTITY                                                    \
	{ "imsi", required_argument, NULL, GY_OPTION_IMSI },                   \
		{ "e164", required_argument, NULL, GY_OPTION_E164 },           \
		{ "nai", required_argument, NULL, GY_OPTION_NAI },             \
		{ "sip-uri", required_argument, NULL, GY_OPTION_SIP_URI },     \
		{ "private", required_argument, NULL, GY_OPTION_PRIVATE },     \
		{ "user-name", required_argument, NULL, GY_OPTION_USER_NAME }, \
	{                                                                      \
		"context", required_argument, NULL, GY_OPTION_CONTEXT          \
	}

#define GY_OPTIONS_LOG                                               \
	{ "log", required_argument, NULL, GY_OPTION_LOG },           \
		{ "seed", required_argument, NULL, GY_OPTION_SEED }, \
	{                                                            \
		"json", no_argument, NULL, GY_OPTION_JSON            \
	}

#define GY_OPTIONS_DUPLICATES                                                 \
	{ "duplicates", required_argument, NULL, GY_OPTION_DUPLICATES },      \
	{                                                                     \
		"duplicate-t", required_argument, NULL, GY_OPTION_DUPLICATE_T \
	}

/* Text that explains them, for the help of a command. */
extern const char gy_help_peer[], gy_help_identity[], gy_help_log[], gy_help_duplicates[];

struct gy_options gy_options_default(void);

/* Takes a common option; false if it is none. Leaves the process with status 2 on a bad value. */
bool gy_options_take(struct gy_options *options, int option, const char *value);

/* Leaves with status 2 unless the options of TLS fit together, and their files are good. */
void gy_options_use_tls(const char *ca, const char *cert, const char *key);

/* At least one --connect, else leaves with status 2; and sets TLS up, if it is asked for. */
void gy_options_need_connect(const struct gy_options *options);

/* A client with all --connect added, all under the same Origin-Host. */
struct gy_client *gy_options_client(const struct gy_options *options,
				    const struct gy_client_setup *setup);

/* Connects; false after saying on stderr why no node could be reached. */
bool gy_options_connect(struct gy_client *client, int64_t timeout_us);

/* A frame with what the options say; session_id and identifiers are open. */
struct gy_request_frame gy_options_frame(const struct gy_options *options);

/* Identities that the options name, for a request; how many. */
unsigned gy_options_identities(const struct gy_options *options,
			       struct gy_case_identity identities[GY_IDENTITY_KINDS]);

/* A Session-Id (RFC 6733 §8.8) that nobody had before; in a buffer of at least 256 octets. */
void gy_session_id_new(char *to, size_t size, const char *origin_host, const char *tail);

/* ---- values; each leaves the process with status 2 when the text is none ---- */

__attribute__((format(printf, 1, 2), noreturn)) void gy_usage_error(const char *format, ...);

/* "30M", "8MiB", "1048576", "60s", "3u": K, M, G are powers of 1024. */
int64_t gy_option_size(const char *text);
/* "500ms", "2s", "5m", "1h"; without a unit: seconds. */
int64_t gy_option_duration_us(const char *text);
int64_t gy_option_number(const char *text, int64_t least, int64_t most);
/* "10,30" */
unsigned gy_option_list(const char *text, uint32_t list[GY_LIST_MAX]);
/* "10" or "10%" */
unsigned gy_option_percent(const char *text);

#endif
