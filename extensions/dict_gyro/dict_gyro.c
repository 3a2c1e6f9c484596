/* dict_gyro: the whole Gy/Ro dictionary for freeDiameter, declared from dict/'s one table.
 *
 * It replaces dict_nasreq, dict_dcca and dict_dcca_3gpp: vendors, application 4, CCR and CCA, all
 * AVPs and enum texts. It declares no grammar rules at all: freeDiameter would answer a broken rule
 * itself, without CC-Request-Type and with an empty Failed-AVP (spec/gy.md 5.4), so the
 * application judges (G-08, G-12). AVPs of the base protocol are there already; they are compared,
 * and a difference refuses the start, as does any dictionary that already brought a CCR. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Everything is hidden by default, and Debian's extension.h doesn't say otherwise. */
#pragma GCC visibility push(default)
extern const char *fd_ext_depends[];
int fd_ext_init(int major, int minor, char *conffile);
#pragma GCC visibility pop

#include <freeDiameter/extension.h>

#include "dict/gy_avp_table.h"

#define CREDIT_CONTROL_APPLICATION 4
#define CREDIT_CONTROL_COMMAND     272

/* How libfdproto stores each type, and the name of its derived type, if it has one. */
static const struct {
	enum dict_avp_basetype base;
	const char *derived;
} representation[] = {
	[GY_AVP_TYPE_GROUPED] = { AVP_TYPE_GROUPED, NULL },
	[GY_AVP_TYPE_OCTET_STRING] = { AVP_TYPE_OCTETSTRING, NULL },
	[GY_AVP_TYPE_UTF8_STRING] = { AVP_TYPE_OCTETSTRING, "UTF8String" },
	[GY_AVP_TYPE_DIAMETER_IDENTITY] = { AVP_TYPE_OCTETSTRING, "DiameterIdentity" },
	[GY_AVP_TYPE_DIAMETER_URI] = { AVP_TYPE_OCTETSTRING, "DiameterURI" },
	[GY_AVP_TYPE_IP_FILTER_RULE] = { AVP_TYPE_OCTETSTRING, "IPFilterRule" },
	[GY_AVP_TYPE_ADDRESS] = { AVP_TYPE_OCTETSTRING, "Address" },
	[GY_AVP_TYPE_TIME] = { AVP_TYPE_OCTETSTRING, "Time" },
	[GY_AVP_TYPE_ENUMERATED] = { AVP_TYPE_INTEGER32, NULL }, /* a type of its own each */
	[GY_AVP_TYPE_INTEGER32] = { AVP_TYPE_INTEGER32, NULL },
	[GY_AVP_TYPE_UNSIGNED32] = { AVP_TYPE_UNSIGNED32, NULL },
	[GY_AVP_TYPE_INTEGER64] = { AVP_TYPE_INTEGER64, NULL },
	[GY_AVP_TYPE_UNSIGNED64] = { AVP_TYPE_UNSIGNED64, NULL },
};

/* 0, or an errno of fd_dict_new. libfdproto copies the names it is given. */
static int declare_vendors(struct dictionary *dict)
{
	uint32_t last = 0;

	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		struct dict_vendor_data vendor = { gy_avp_table[i].vendor, NULL };
		struct dict_object *known = NULL;
		int rc;

		if (vendor.vendor_id == last)
			continue;
		last = vendor.vendor_id;
		rc = fd_dict_search(dict, DICT_VENDOR, VENDOR_BY_ID, &vendor.vendor_id, &known, 0);
		if (rc || known)
			continue; /* some other dictionary's extension made it: just as good */
		vendor.vendor_name = (char *)gy_vendor_name(vendor.vendor_id);
		rc = fd_dict_new(dict, DICT_VENDOR, &vendor, NULL, NULL);
		if (rc)
			return rc;
	}
	return 0;
}

/* 0, or an errno of fd_dict_new. */
static int declare_commands(struct dictionary *dict)
{
	struct dict_application_data application = {
		CREDIT_CONTROL_APPLICATION, (char *)"Diameter Credit Control Application"
	};
	struct dict_cmd_data ccr = { CREDIT_CONTROL_COMMAND, (char *)"Credit-Control-Request",
				     CMD_FLAG_REQUEST | CMD_FLAG_PROXIABLE | CMD_FLAG_ERROR,
				     CMD_FLAG_REQUEST | CMD_FLAG_PROXIABLE };
	/* P and E are not fixed in the answer: P is the request's (G-07). */
	struct dict_cmd_data cca = { CREDIT_CONTROL_COMMAND, (char *)"Credit-Control-Answer",
				     CMD_FLAG_REQUEST, CMD_FLAG_PROXIABLE };
	struct dict_object *object = NULL;
	int rc;

	rc = fd_dict_search(dict, DICT_APPLICATION, APPLICATION_BY_ID, &application.application_id,
			    &object, 0);
	if (!rc && !object)
		rc = fd_dict_new(dict, DICT_APPLICATION, &application, NULL, &object);
	if (!rc)
		rc = fd_dict_new(dict, DICT_COMMAND, &ccr, object, NULL);
	if (!rc)
		rc = fd_dict_new(dict, DICT_COMMAND, &cca, object, NULL);
	return rc;
}

/* Finds or makes the type that carries def's enum texts. 0, or an errno of fd_dict_new. */
static int declare_enumerated(struct dictionary *dict, const struct gy_avp_def *def,
			      struct dict_object **type)
{
	char name[128];
	struct dict_type_data data = { .type_base = AVP_TYPE_INTEGER32, .type_name = name };
	int rc;

	/* freeDiameter's own manner of naming them: Enumerated(NAME), Enumerated(VENDOR/NAME). */
	if (def->vendor)
		snprintf(name, sizeof(name), "Enumerated(%s/%s)", gy_vendor_name(def->vendor),
			 def->name);
	else
		snprintf(name, sizeof(name), "Enumerated(%s)", def->name);
	rc = fd_dict_new(dict, DICT_TYPE, &data, NULL, type);
	for (unsigned i = 0; !rc && i < def->n_enums; i++) {
		struct dict_enumval_data value = { .enum_name = (char *)def->enums[i].text };

		value.enum_value.i32 = def->enums[i].value;
		rc = fd_dict_new(dict, DICT_ENUMVAL, &value, *type, NULL);
	}
	return rc;
}

/* 0, or an errno of fd_dict_new. */
static int declare_avp(struct dictionary *dict, const struct gy_avp_def *def)
{
	struct dict_avp_data data = {
		.avp_code = def->code,
		.avp_vendor = def->vendor,
		.avp_name = (char *)def->name,
		.avp_flag_mask = AVP_FLAG_VENDOR,
		.avp_flag_val = def->flags,
		.avp_basetype = representation[def->type].base,
	};
	const char *derived = representation[def->type].derived;
	struct dict_object *type = NULL;
	int rc = 0;

	if (def->m != GY_AVP_M_MAY)
		data.avp_flag_mask |= AVP_FLAG_MANDATORY;
	if (def->type == GY_AVP_TYPE_ENUMERATED)
		rc = declare_enumerated(dict, def, &type);
	else if (derived)
		rc = fd_dict_search(dict, DICT_TYPE, TYPE_BY_NAME, derived, &type, ENOENT);
	if (rc)
		return rc;
	return fd_dict_new(dict, DICT_AVP, &data, type, NULL);
}

/* What somebody else declared must mean the same as our row: name, storage, V. M may differ in
 * another dictionary, it decides nothing on receipt. */
static bool agrees(const struct gy_avp_def *def, struct dict_object *known)
{
	struct dict_avp_data data;

	if (fd_dict_getval(known, &data))
		return false;
	if (data.avp_basetype == representation[def->type].base &&
	    strcmp(data.avp_name, def->name) == 0 &&
	    (data.avp_flag_val & AVP_FLAG_VENDOR) == (def->flags & GY_AVP_FLAG_V))
		return true;
	fd_log_error("dict_gyro: AVP %" PRIu32 " of vendor %" PRIu32 " is already declared, as %s "
		     "of base type %d; the Gy/Ro table says %s of base type %d",
		     def->code, def->vendor, data.avp_name, (int)data.avp_basetype, def->name,
		     (int)representation[def->type].base);
	return false;
}

/* Declares every row that isn't known yet; *shared counts those that were, and agree.
 * 0, EEXIST after naming each row that disagrees, or an errno of fd_dict_new. */
static int declare_avps(struct dictionary *dict, unsigned *shared)
{
	bool disagreement = false;
	int rc;

	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		const struct gy_avp_def *def = &gy_avp_table[i];
		struct dict_avp_request what = { def->vendor, def->code, NULL };
		struct dict_object *known = NULL;

		rc = fd_dict_search(dict, DICT_AVP, AVP_BY_CODE_AND_VENDOR, &what, &known, 0);
		if (!rc && known) {
			disagreement |= !agrees(def, known);
			(*shared)++;
			continue;
		}
		if (!rc)
			rc = declare_avp(dict, def);
		if (rc) {
			fd_log_error("dict_gyro: cannot declare %s (%" PRIu32 ", vendor %" PRIu32
				     "): %s",
				     def->name, def->code, def->vendor, strerror(rc));
			return rc;
		}
	}
	return disagreement ? EEXIST : 0;
}

static int declare_dictionary(char *conffile)
{
	struct dictionary *dict = fd_g_config->cnf_dict;
	struct dict_object *command = NULL;
	unsigned shared = 0;
	int rc;

	if (conffile)
		fd_log(4 /* a warning */, "dict_gyro takes no configuration; '%s' is ignored",
		       conffile);
	rc = fd_dict_search(dict, DICT_COMMAND, CMD_BY_NAME, "Credit-Control-Request", &command, 0);
	if (!rc && command) {
		fd_log_error("dict_gyro replaces dict_nasreq, dict_dcca and dict_dcca_3gpp: remove "
			     "their LoadExtension lines");
		return EEXIST;
	}
	if (!rc)
		rc = declare_vendors(dict);
	if (!rc)
		rc = declare_commands(dict);
	if (!rc)
		rc = declare_avps(dict, &shared);
	if (rc) {
		fd_log_error("dict_gyro: the Gy/Ro dictionary is incomplete: %s", strerror(rc));
		return rc;
	}
	fd_log_notice("dict_gyro: %u AVPs declared, %u already known", GY_AVP_TABLE_COUNT - shared,
		      shared);
	return 0;
}

EXTENSION_ENTRY("dict_gyro", declare_dictionary);
