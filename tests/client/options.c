/* Options and values that the commands share; see the header. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/client/options.h"
#include "tests/client/tls.h"

const char gy_help_peer[] =
	"  --connect ADDRESS:PORT     a node; repeat it for more nodes (needed)\n"
	"  --origin-host NAME         who we are (pgw1.spec.test)\n"
	"  --origin-realm NAME        (spec.test)\n"
	"  --destination-realm NAME   (spec.test)\n"
	"  --destination-host NAME    (none: any node of the realm)\n"
	"  --tls-ca FILE              TLS from the first octet; the node's certificate is of this "
	"authority\n"
	"  --tls-cert, --tls-key FILE what we show the node (nothing)\n"
	"  --timeout DURATION         how long an answer is waited for (5s)\n";
const char gy_help_identity[] =
	"  --imsi, --e164, --nai, --sip-uri, --private, --user-name VALUE\n"
	"                             who the subscriber is; several are all sent\n"
	"  --context STRING           Service-Context-Id (32251@3gpp.org)\n";
const char gy_help_log[] =
	"  --log FILE                 every request before it is sent, every answer: JSON lines\n"
	"  --seed N                   repeats what happened at random\n"
	"  --json                     JSON instead of a table\n";
const char gy_help_duplicates[] =
	"  --duplicates N%            so many requests are sent one to three times more\n"
	"  --duplicate-t yes|no|random  whether these copies have the T bit (random)\n";

void gy_usage_error(const char *format, ...)
{
	va_list args;

	fputs("gyro-sim: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\n", stderr);
	exit(2);
}

/* ---- values ---- */

int64_t gy_option_number(const char *text, int64_t least, int64_t most)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || value < least || value > most)
		gy_usage_error("'%s' is not a number from %lld to %lld", text, (long long)least,
			       (long long)most);
	return value;
}

int64_t gy_option_size(const char *text)
{
	static const struct {
		const char *suffix;
		int64_t scale;
	} suffixes[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "s", 1 },
		{ "u", 1 },
		{ "K", INT64_C(1) << 10 },
		{ "KiB", INT64_C(1) << 10 },
		{ "M", INT64_C(1) << 20 },
		{ "MiB", INT64_C(1) << 20 },
		{ "G", INT64_C(1) << 30 },
		{ "GiB", INT64_C(1) << 30 },
	};
	char *end;
	int64_t value;

	errno = 0;
	value = strtoll(text, &end, 10);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (end != text && strcmp(end, suffixes[i].suffix) == 0 && errno == 0 &&
		    value >= 0 && !__builtin_mul_overflow(value, suffixes[i].scale, &value))
			return value;
	gy_usage_error("'%s' is not a size such as 30M, 8MiB, 1048576, 60s or 3u", text);
}

int64_t gy_option_duration_us(const char *text)
{
	static const struct {
		const char *suffix;
		int64_t us;
	} suffixes[] = { { "", 1000000 },
			 { "s", 1000000 },
			 { "ms", 1000 },
			 { "m", INT64_C(60000000) },
			 { "h", INT64_C(3600000000) } };
	char *end;
	int64_t value;

	errno = 0;
	value = strtoll(text, &end, 10);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (end != text && strcmp(end, suffixes[i].suffix) == 0 && errno == 0 &&
		    value >= 0 && !__builtin_mul_overflow(value, suffixes[i].us, &value))
			return value;
	gy_usage_error("'%s' is not a duration such as 500ms, 2s or 5m", text);
}

unsigned gy_option_list(const char *text, uint32_t list[GY_LIST_MAX])
{
	char copy[512], *rest = copy, *part;
	unsigned n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((part = strsep(&rest, ","))) {
		if (n == GY_LIST_MAX)
			gy_usage_error("more than %d numbers in '%s'", GY_LIST_MAX, text);
		list[n++] = (uint32_t)gy_option_number(part, 0, UINT32_MAX);
	}
	return n;
}

unsigned gy_option_percent(const char *text)
{
	char copy[16];
	size_t len;

	snprintf(copy, sizeof(copy), "%s", text);
	len = strlen(copy);
	if (len > 1 && copy[len - 1] == '%')
		copy[len - 1] = '\0';
	return (unsigned)gy_option_number(copy, 0, 100);
}

/* ---- options ---- */

struct gy_options gy_options_default(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (struct gy_options){
		.origin_host = "pgw1.spec.test",
		.origin_realm = "spec.test",
		.destination_realm = "spec.test",
		.timeout_us = 5000000,
		.seed = ((uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid()) &
			0xffffffff,
	};
}

bool gy_options_take(struct gy_options *o, int option, const char *value)
{
	switch (option) {
	case GY_OPTION_CONNECT:
		if (o->n_connect == GY_CONNECT_MAX)
			gy_usage_error("more than %d --connect", GY_CONNECT_MAX);
		o->connect[o->n_connect++] = value;
		return true;
	case GY_OPTION_ORIGIN_HOST:
		o->origin_host = value;
		return true;
	case GY_OPTION_ORIGIN_REALM:
		o->origin_realm = value;
		return true;
	case GY_OPTION_DESTINATION_REALM:
		o->destination_realm = value;
		return true;
	case GY_OPTION_DESTINATION_HOST:
		o->destination_host = value;
		return true;
	case GY_OPTION_TLS_CA:
		o->tls_ca = value;
		return true;
	case GY_OPTION_TLS_CERT:
		o->tls_cert = value;
		return true;
	case GY_OPTION_TLS_KEY:
		o->tls_key = value;
		return true;
	case GY_OPTION_CONTEXT:
		o->context = value;
		return true;
	case GY_OPTION_LOG:
		o->log = value;
		return true;
	case GY_OPTION_SEED:
		o->seed = (uint64_t)gy_option_number(value, 0, INT64_MAX);
		o->seed_given = true;
		return true;
	case GY_OPTION_JSON:
		o->json = true;
		return true;
	case GY_OPTION_TIMEOUT:
		o->timeout_us = gy_option_duration_us(value);
		return true;
	case GY_OPTION_DUPLICATES:
		o->duplicate_percent = gy_option_percent(value);
		return true;
	case GY_OPTION_DUPLICATE_T:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0 &&
		    strcmp(value, "random") != 0)
			gy_usage_error("--duplicate-t is yes, no or random");
		o->duplicate_t = *value == 'y'   ? GY_COPY_WITH_T
				 : *value == 'n' ? GY_COPY_WITHOUT_T
						 : GY_COPY_RANDOM;
		return true;
	default:
		break;
	}
	if (option < GY_OPTION_IMSI || option > GY_OPTION_USER_NAME)
		return false;
	o->identity[option - GY_OPTION_IMSI] = value;
	return true;
}

void gy_options_use_tls(const char *ca, const char *cert, const char *key)
{
	if (!ca && (cert || key))
		gy_usage_error("TLS needs --tls-ca, whom to believe that it is the node");
	if (!cert != !key)
		gy_usage_error("--tls-cert and --tls-key belong together");
	if (ca && !gy_tls_use(ca, cert, key))
		exit(2);
}

void gy_options_need_connect(const struct gy_options *o)
{
	if (o->n_connect == 0)
		gy_usage_error("which node? --connect ADDRESS:PORT");
	gy_options_use_tls(o->tls_ca, o->tls_cert, o->tls_key);
}

struct gy_client *gy_options_client(const struct gy_options *o, const struct gy_client_setup *setup)
{
	struct gy_client *client = gy_client_new(setup);

	for (unsigned i = 0; i < o->n_connect; i++)
		gy_client_add(client, o->connect[i], o->origin_host);
	return client;
}

bool gy_options_connect(struct gy_client *client, int64_t timeout_us)
{
	if (gy_client_connect(client, timeout_us))
		return true;
	for (unsigned i = 0; i < gy_client_nodes(client); i++)
		fprintf(stderr, "gyro-sim: %s: %s\n",
			gy_connection_address(gy_client_node(client, i)),
			gy_connection_error(gy_client_node(client, i)));
	return false;
}

struct gy_request_frame gy_options_frame(const struct gy_options *o)
{
	struct gy_request_frame frame = {
		.origin_host = o->origin_host,
		.origin_realm = o->origin_realm,
		.destination_realm = o->destination_realm,
		.destination_host = o->destination_host,
		.event_time_s = -1,
	};

	for (int i = 0; i < GY_IDENTITY_KINDS; i++)
		frame.identity[i] = o->identity[i];
	return frame;
}

unsigned gy_options_identities(const struct gy_options *o,
			       struct gy_case_identity identities[GY_IDENTITY_KINDS])
{
	/* As gateways do: E.164 first, then IMSI, then the rest. */
	static const enum gy_case_identity_kind order[GY_IDENTITY_KINDS] = {
		GY_CASE_E164,    GY_CASE_IMSI,    GY_CASE_NAI,
		GY_CASE_SIP_URI, GY_CASE_PRIVATE, GY_CASE_USER_NAME,
	};
	unsigned n = 0;

	for (int i = 0; i < GY_IDENTITY_KINDS; i++)
		if (o->identity[order[i]])
			identities[n++] =
				(struct gy_case_identity){ .kind = order[i],
							   .value = o->identity[order[i]] };
	return n;
}

void gy_session_id_new(char *to, size_t size, const char *origin_host, const char *tail)
{
	static uint32_t count, start;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (start == 0)
		start = (uint32_t)now.tv_nsec | 1;
	snprintf(to, size, "%s;%u;%u;%x-%x%s%s", origin_host, (unsigned)now.tv_sec, ++count,
		 (unsigned)getpid(), start, *tail ? "-" : "", tail);
}
