/* Loads freeDiameter dictionary extensions as the daemon would, without the daemon, and compares
 * what they declared with the AVP table.
 *
 * usage: loaded whole EXTENSION...   every row must be there and agree, with no grammar rule on it
 *        loaded stock EXTENSION...   Debian's dictionaries: rows they know must agree, but for the
 *                                    differences listed here with their reason */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "dict/gy_avp_table.h"

static unsigned count, failed;

static bool ok(bool good, const char *name)
{
	count++;
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", count, name);
	return good;
}

/* Where Debian's dictionaries (3GPP of 2012) differ from the table on purpose. */
static const struct {
	uint32_t vendor, code;
	const char *reason;
} known[] = {
	{ 10415, 2, "OctetString in TS 29.061: a wrong length must not fail the request" },
};

static size_t known_seen;

static bool is_known(const struct gy_avp_def *def)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].vendor == def->vendor && known[i].code == def->code) {
			known_seen++;
			printf("# %s: %s\n", def->name, known[i].reason);
			return true;
		}
	return false;
}

static enum dict_avp_basetype base_of(enum gy_avp_type type)
{
	switch (type) {
	case GY_AVP_TYPE_GROUPED:
		return AVP_TYPE_GROUPED;
	case GY_AVP_TYPE_ENUMERATED:
	case GY_AVP_TYPE_INTEGER32:
		return AVP_TYPE_INTEGER32;
	case GY_AVP_TYPE_UNSIGNED32:
		return AVP_TYPE_UNSIGNED32;
	case GY_AVP_TYPE_INTEGER64:
		return AVP_TYPE_INTEGER64;
	case GY_AVP_TYPE_UNSIGNED64:
		return AVP_TYPE_UNSIGNED64;
	case GY_AVP_TYPE_OCTET_STRING:
	case GY_AVP_TYPE_UTF8_STRING:
	case GY_AVP_TYPE_DIAMETER_IDENTITY:
	case GY_AVP_TYPE_DIAMETER_URI:
	case GY_AVP_TYPE_IP_FILTER_RULE:
	case GY_AVP_TYPE_ADDRESS:
	case GY_AVP_TYPE_TIME:
		return AVP_TYPE_OCTETSTRING;
	}
	abort();
}

static bool four_octets(enum dict_avp_basetype base)
{
	return base == AVP_TYPE_INTEGER32 || base == AVP_TYPE_UNSIGNED32;
}

/* Some dictionaries call an Enumerated Unsigned32: the same bytes, both are fine in stock. */
static bool same_storage(enum dict_avp_basetype a, enum dict_avp_basetype b, bool whole)
{
	return a == b || (!whole && four_octets(a) && four_octets(b));
}

static struct dict_object *look_up(const struct gy_avp_def *def)
{
	struct dict_avp_request what = { def->vendor, def->code, NULL };
	struct dict_object *object = NULL;

	if (fd_dict_search(fd_g_config->cnf_dict, DICT_AVP, AVP_BY_CODE_AND_VENDOR, &what, &object,
			   0))
		return NULL;
	return object;
}

/* libfdproto has it, its header hasn't. Without it: a search for each pair. */
int fd_dict_iterate_rules(struct dict_object *parent, void *data,
			  int (*cb)(void *, struct dict_rule_data *));

static int count_rule(void *data, struct dict_rule_data *rule)
{
	(void)rule;
	++*(unsigned *)data;
	return 0;
}

static unsigned rules_of(struct dict_object *object)
{
	unsigned n = 0;

	fd_dict_iterate_rules(object, &n, count_rule);
	return n;
}

static bool base_protocol(const struct gy_avp_def *def)
{
	return strncmp(def->name, "Vendor-Specific-App", 19) == 0 ||
	       strcmp(def->name, "Proxy-Info") == 0 || strcmp(def->name, "Failed-AVP") == 0 ||
	       strcmp(def->name, "Experimental-Result") == 0;
}

static bool enums_declared(const struct gy_avp_def *def, struct dict_object *avp)
{
	struct dict_object *type = NULL, *value = NULL;

	if (fd_dict_search(fd_g_config->cnf_dict, DICT_TYPE, TYPE_OF_AVP, avp, &type, 0) || !type)
		return false;
	for (unsigned i = 0; i < def->n_enums; i++) {
		struct dict_enumval_request what = { .type_obj = type };

		what.search.enum_value.i32 = def->enums[i].value;
		value = NULL;
		if (fd_dict_search(fd_g_config->cnf_dict, DICT_ENUMVAL, ENUMVAL_BY_STRUCT, &what,
				   &value, 0) ||
		    !value)
			return false;
	}
	return true;
}

static void compare(bool whole)
{
	unsigned missing = 0, different = 0, with_rules = 0, no_texts = 0, compared = 0;

	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		const struct gy_avp_def *def = &gy_avp_table[i];
		struct dict_object *object = look_up(def);
		struct dict_avp_data data;

		if (!object || fd_dict_getval(object, &data)) {
			missing++;
			if (whole)
				printf("# %s is missing\n", def->name);
			continue;
		}
		compared++;
		if ((!same_storage(data.avp_basetype, base_of(def->type), whole) ||
		     strcmp(data.avp_name, def->name) != 0 ||
		     ((data.avp_flag_val ^ def->flags) & AVP_FLAG_VENDOR)) &&
		    (whole || !is_known(def))) {
			printf("# %s (%" PRIu32 ", vendor %" PRIu32 ") is %s, type %d\n", def->name,
			       def->code, def->vendor, data.avp_name, (int)data.avp_basetype);
			different++;
		}
		if (def->type == GY_AVP_TYPE_GROUPED && !base_protocol(def) && rules_of(object))
			with_rules++;
		if (whole && def->type == GY_AVP_TYPE_ENUMERATED &&
		    (def->vendor || def->code > 300) /* 257..299: libfdcore lists what it likes */
		    && !enums_declared(def, object))
			no_texts++;
	}
	printf("# %u compared, %u missing\n", compared, missing);
	ok(!different, "every AVP that is declared agrees with the table");
	if (!whole) {
		ok(compared > 350, "there was something to compare");
		ok(known_seen == sizeof(known) / sizeof(*known),
		   "no known difference is out of date");
		return;
	}
	ok(!missing, "every row of the table is declared");
	ok(!with_rules, "no group of ours has a grammar rule");
	ok(!no_texts, "every Enumerated row of ours has its values declared");
}

static void check_commands(void)
{
	static const char *const names[] = { "Credit-Control-Request", "Credit-Control-Answer",
					     "Re-Auth-Request",        "Re-Auth-Answer",
					     "Abort-Session-Request",  "Abort-Session-Answer" };
	struct dict_object *application = NULL;
	uint32_t id = 4;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct dict_object *command = NULL;

		fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME, names[i], &command,
			       0);
		ok(command && (i >= 2 || !rules_of(command)), names[i]);
	}
	fd_dict_search(fd_g_config->cnf_dict, DICT_APPLICATION, APPLICATION_BY_ID, &id,
		       &application, 0);
	ok(application != NULL, "application 4");
}

static uint8_t *put_avp(uint8_t *at, uint32_t code, uint32_t vendor, size_t data)
{
	size_t length = data + (vendor ? 12 : 8);
	const uint8_t head[] = { (uint8_t)(code >> 24),   (uint8_t)(code >> 16),
				 (uint8_t)(code >> 8),    (uint8_t)code,
				 vendor ? 0xc0 : 0x40,    (uint8_t)(length >> 16),
				 (uint8_t)(length >> 8),  (uint8_t)length,
				 (uint8_t)(vendor >> 24), (uint8_t)(vendor >> 16),
				 (uint8_t)(vendor >> 8),  (uint8_t)vendor };

	memcpy(at, head, vendor ? 12 : 8);
	return at + (vendor ? 12 : 8);
}

/* A CCR { Service-Information { PS-Information { the AVP } } }, all with M, through libfdproto's
 * parser and rules: does it pass? On return *what is the error, if there is one. */
static bool parses(uint32_t vendor, uint32_t code, size_t size, const char **what)
{
	size_t inner = size + (vendor ? 12 : 8), length = 20 + 12 + 12 + inner;
	uint8_t *bytes = calloc(1, length + 3), *at = bytes;
	struct fd_pei error = { .pei_errcode = NULL };
	struct msg *message = NULL;
	bool good;

	if (!bytes)
		abort();
	memcpy(at, "\1\0\0\0\xc0\0\1\x10\0\0\0\4\0\0\0\1\0\0\0\1", 20);
	at[3] = (uint8_t)length;
	at = put_avp(at + 20, GY_AVP_SERVICE_INFORMATION, 10415, 12 + inner);
	at = put_avp(at, GY_AVP_PS_INFORMATION, 10415, inner);
	put_avp(at, code, vendor, size);
	good = fd_msg_parse_buffer(&bytes, length, &message) == 0 &&
	       fd_msg_parse_rules(message, fd_g_config->cnf_dict, &error) == 0;
	*what = error.pei_errcode;
	if (message)
		fd_msg_free(message);
	return good;
}

/* TC-16: no AVP of the table makes libfdproto refuse a request, wherever it stands. */
static void check_parser(void)
{
	unsigned refused = 0;
	const char *what;

	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		const struct gy_avp_def *def = &gy_avp_table[i];

		if (def->type == GY_AVP_TYPE_GROUPED && base_protocol(def))
			continue; /* those have the base protocol's rules; an empty one breaks them
				   */
		if (!parses(def->vendor, def->code, def->size, &what)) {
			printf("# %s: %s\n", def->name, what ? what : "?");
			refused++;
		}
	}
	ok(!refused, "TC-16: each AVP of the table, M set, in PS-Information passes the parser");
	fd_g_debug_lvl = FD_LOG_FATAL; /* libfdproto would tell the world about the next one */
	ok(!parses(10415, 3999, 4, &what) && what && strcmp(what, "DIAMETER_AVP_UNSUPPORTED") == 0,
	   "an unknown one with M doesn't: this check can fail");
}

static int load(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
	int (*init)(int, int, char *);

	if (!handle) {
		printf("# %s\n", dlerror());
		return ENOENT;
	}
	*(void **)&init = dlsym(handle, "fd_ext_init");
	if (!init)
		return ENOENT;
	return init(FD_PROJECT_VERSION_MAJOR, FD_PROJECT_VERSION_MINOR, NULL);
}

int main(int argc, char **argv)
{
	bool whole = argc > 1 && strcmp(argv[1], "whole") == 0;

	if (argc < 3) {
		fprintf(stderr, "usage: loaded whole|stock EXTENSION...\n");
		return 2;
	}
	fd_g_debug_lvl = FD_LOG_ERROR;
	if (fd_core_initialize())
		return 2;
	for (int i = 2; i < argc; i++)
		ok(load(argv[i]) == 0, argv[i]);
	compare(whole);
	if (whole) {
		check_commands();
		check_parser();
	}
	printf("1..%u\n", count);
	fflush(stdout);
	_exit(failed ? 1 : 0); /* libfdcore was never started: there is nothing to shut down */
}
