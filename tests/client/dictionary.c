/* libfdproto's dictionary, filled without the daemon; see the header. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dict/gy_avp_table.h"
#include "tests/client/dictionary.h"

/* dict_gyro's entry point: the extension's own source is linked in. */
extern int fd_ext_init(int major, int minor, char *configuration);

static struct dict_object *avps[GY_AVP_TABLE_COUNT];
static struct dictionary *octets;

/* What libfdproto has to say about messages that are damaged on purpose is of no interest. */
static void quiet(int level, const char *format, va_list args)
{
	if (level < FD_LOG_FATAL)
		return;
	fputs("libfdproto: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

bool gy_dictionary_load(void)
{
	fd_g_debug_lvl = FD_LOG_FATAL;
	if (fd_log_handler_register(quiet) != 0 || fd_core_initialize() != 0 ||
	    fd_ext_init(FD_PROJECT_VERSION_MAJOR, FD_PROJECT_VERSION_MINOR, NULL) != 0 ||
	    fd_dict_init(&octets) != 0) {
		fputs("gyro-sim: libfdproto cannot be set up\n", stderr);
		return false;
	}
	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		struct dict_avp_request what = { gy_avp_table[i].vendor, gy_avp_table[i].code,
						 NULL };

		if (fd_dict_search(gy_dictionary(), DICT_AVP, AVP_BY_CODE_AND_VENDOR, &what,
				   &avps[i], ENOENT) != 0) {
			fprintf(stderr, "gyro-sim: %s is not in the dictionary\n",
				gy_avp_table[i].name);
			return false;
		}
	}
	return true;
}

struct dictionary *gy_dictionary(void)
{
	return fd_g_config->cnf_dict;
}

struct dict_object *gy_dictionary_avp(uint32_t vendor, uint32_t code)
{
	const struct gy_avp_def *def = gy_avp_find(vendor, code);

	return def ? avps[def - gy_avp_table] : NULL;
}

static bool octets_vendor(uint32_t vendor)
{
	struct dict_vendor_data data = { vendor, NULL };
	struct dict_object *known = NULL;
	char name[32];

	if (fd_dict_search(octets, DICT_VENDOR, VENDOR_BY_ID, &vendor, &known, 0) != 0)
		return false;
	snprintf(name, sizeof(name), "vendor %u", vendor);
	data.vendor_name = name;
	return known || fd_dict_new(octets, DICT_VENDOR, &data, NULL, NULL) == 0;
}

struct dict_object *gy_dictionary_octets(uint32_t vendor, uint32_t code)
{
	struct dict_avp_request what = { vendor, code, NULL };
	struct dict_object *object = NULL;
	char name[48];
	struct dict_avp_data data = {
		.avp_code = code,
		.avp_vendor = vendor,
		.avp_name = name,
		.avp_flag_mask = AVP_FLAG_VENDOR,
		.avp_flag_val = vendor ? AVP_FLAG_VENDOR : 0,
		.avp_basetype = AVP_TYPE_OCTETSTRING,
	};

	snprintf(name, sizeof(name), "octets %u of %u", code, vendor);
	if (!octets_vendor(vendor) ||
	    fd_dict_search(octets, DICT_AVP, AVP_BY_CODE_AND_VENDOR, &what, &object, 0) != 0)
		abort();
	if (!object && fd_dict_new(octets, DICT_AVP, &data, NULL, &object) != 0)
		abort();
	return object;
}

struct dict_object *gy_dictionary_command(const char *name)
{
	struct dict_object *object = NULL;

	if (fd_dict_search(gy_dictionary(), DICT_COMMAND, CMD_BY_NAME, name, &object, ENOENT) !=
	    0) {
		fprintf(stderr, "gyro-sim: the dictionary has no %s\n", name);
		abort();
	}
	return object;
}
