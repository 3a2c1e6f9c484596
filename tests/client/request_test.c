/* What gyro-sim writes, read by the node's own decoder: every request of every .case file.
 *
 * usage: client-request FILE.case... A request that a case expects to be served must decode to what
 * the table says; one that it expects to be refused for its form must be refused so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/result.h"
#include "extensions/app_gyro/decode.h"
#include "extensions/app_gyro/wire.h"
#include "tests/client/dictionary.h"
#include "tests/client/request.h"
#include "tests/unit/decode/tap.h"

#define TEXT(t)                                     \
	{                                           \
		(const uint8_t *)(t), sizeof(t) - 1 \
	}

static const struct gy_node_identity node = { TEXT("ocs1.spec.test"), TEXT("spec.test") };
static const struct gy_decode_terms terms = { .origin_host = TEXT("pgw1.spec.test") };

static char why[256];

__attribute__((format(printf, 1, 2))) static bool differs(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return false;
}

/* ---- what the decoder made of it ---- */

static bool same_units(const struct gy_case_units *asked, const bool *present, const int64_t *count)
{
	int64_t octets = asked->present[GY_CASE_TOTAL]
				 ? asked->count[GY_CASE_TOTAL]
				 : asked->count[GY_CASE_INPUT] + asked->count[GY_CASE_OUTPUT];
	bool any_octets = asked->present[GY_CASE_TOTAL] || asked->present[GY_CASE_INPUT] ||
			  asked->present[GY_CASE_OUTPUT];

	return present[GY_UNIT_OCTETS] == any_octets &&
	       (!any_octets || count[GY_UNIT_OCTETS] == octets) &&
	       present[GY_UNIT_SECONDS] == asked->present[GY_CASE_SECONDS] &&
	       count[GY_UNIT_SECONDS] == asked->count[GY_CASE_SECONDS] &&
	       present[GY_UNIT_SERVICE] == asked->present[GY_CASE_SERVICE] &&
	       count[GY_UNIT_SERVICE] == asked->count[GY_CASE_SERVICE] &&
	       present[GY_UNIT_MONEY] == asked->present[GY_CASE_MONEY] &&
	       count[GY_UNIT_MONEY] == asked->count[GY_CASE_MONEY];
}

static bool same_service(const struct gy_case_service *asked, const struct gy_service *got)
{
	if (got->has_rating_group != asked->has_rating_group ||
	    (asked->has_rating_group && got->rating_group != asked->rating_group))
		return differs("Rating-Group");
	if (got->n_service_ids != asked->n_service_ids ||
	    (asked->n_service_ids > 0 &&
	     memcmp(got->service_ids, asked->service_ids,
		    asked->n_service_ids * sizeof(*asked->service_ids)) != 0))
		return differs("Service-Identifiers");
	if (got->requested != asked->requested ||
	    !same_units(&asked->requested_units, got->requested_present, got->requested_count))
		return differs("Requested-Service-Unit");
	if (got->n_used != asked->n_used)
		return differs("%u Used-Service-Units, not %u", got->n_used, asked->n_used);
	for (unsigned i = 0; i < asked->n_used; i++)
		if (!same_units(&asked->used[i].units, got->used[i].present, got->used[i].count) ||
		    (int)got->used[i].tariff_change != asked->used[i].tariff_change)
			return differs("Used-Service-Unit %u", i);
	if ((asked->reason >= 0 || asked->used_reason >= 0) != (got->reasons != 0))
		return differs("Reporting-Reason");
	return true;
}

static bool same_request(const struct gy_case_request *asked, const struct gy_ccr *got)
{
	unsigned at = asked->reverse && asked->n_services > 0 ? asked->n_services - 1 : 0;

	if ((int)got->type != (asked->type == 'I'   ? 1
			       : asked->type == 'U' ? 2
			       : asked->type == 'T' ? 3
						    : 4) ||
	    got->number != asked->number || got->retransmitted != asked->t_bit)
		return differs("type, number or T");
	if (got->has_sub_session != asked->has_sub_session ||
	    got->sub_session != asked->sub_session)
		return differs("CC-Sub-Session-Id");
	if (got->has_origin_state != (asked->origin_state >= 0) ||
	    (asked->origin_state >= 0 && got->origin_state != asked->origin_state))
		return differs("Origin-State-Id");
	if (got->multiple_services != (asked->multiple_services == 1) ||
	    got->termination_cause !=
		    (asked->termination_cause > 0 ? asked->termination_cause : 0) ||
	    (asked->action >= 0 && got->action != (enum gy_requested_action)asked->action))
		return differs(
			"Multiple-Services-Indicator, Termination-Cause or Requested-Action");
	if (got->services_at_command_level ==
	    (asked->n_services > 0 && !asked->services[0].at_command_level))
		return differs("the level of the units");
	if (got->n_services != asked->n_services)
		return differs("%u services, not %u", got->n_services, asked->n_services);
	for (unsigned i = 0; i < asked->n_services; i++)
		if (!same_service(&asked->services[i], &got->services[asked->reverse ? at - i : i]))
			return false;
	return true;
}

/* ---- one request ---- */

static bool allowed(const struct gy_case_codes *codes, uint32_t code)
{
	for (unsigned i = 0; i < codes->n; i++)
		if (codes->code[i] == code)
			return true;
	return false;
}

/* A surplus or damaged service is none that the table knows. */
static bool is_plain(const struct gy_case_request *r)
{
	for (unsigned i = 0; i < r->n_services; i++)
		if (r->services[i].n_raw > 0)
			return false;
	return r->n_raw == 0 && r->n_omit == 0;
}

static bool decodes(const struct gy_case_request *asked, const struct gy_case_expect *expect,
		    struct gy_bytes raw)
{
	void *pool = talloc_new(NULL);
	struct gy_envelope envelope;
	struct gy_answer fault = { 0 };
	struct gy_ccr ccr;
	enum gy_rc rc = gy_envelope_read(pool, raw, &node, &envelope, &fault);
	uint32_t code;
	bool good = true;

	if (rc == GY_OK)
		rc = gy_ccr_decode(pool, raw, &envelope, &terms, &ccr, &fault);
	code = gy_rc_result_code(rc);
	if (rc != GY_OK && !allowed(&expect->codes, code))
		good = differs("the decoder says %u: %s", code, fault.message);
	else if (rc == GY_OK && is_plain(asked))
		good = same_request(asked, &ccr);
	else if (rc == GY_OK && !allowed(&expect->codes, 2001) && code == 2001 &&
		 (expect->n_failed > 0))
		good = differs("the decoder finds no fault");
	talloc_free(pool);
	return good;
}

static bool one_request(const struct gy_case_step *step)
{
	static const char *const own[GY_IDENTITY_KINDS] = {
		"460001000000001",  "8613800000001", "s1@spec.test",
		"sip:s1@spec.test", "s1-private",    "subscriber-1",
	};
	struct gy_request_frame frame = {
		.session_id = "pgw1.spec.test;1;1",
		.origin_host = "pgw1.spec.test",
		.origin_realm = "spec.test",
		.destination_realm = "spec.test",
		.hop_by_hop = 0x01020304,
		.end_to_end = 0x05060708,
		.event_time_s = -1,
	};
	size_t len;
	uint8_t *bytes;
	bool good;

	memcpy(frame.identity, own, sizeof(own));
	bytes = gy_request_encode(step->request, &frame, &len);
	if (!bytes)
		return differs("not encoded");
	good = gy_get32(bytes + 12) == 0x01020304 && gy_get32(bytes + 16) == 0x05060708 &&
	       gy_get24(bytes + 1) == len && len % 4 == 0;
	if (!good)
		differs("the header");
	good = good && decodes(step->request, step->expect, (struct gy_bytes){ bytes, len });
	free(bytes);
	return good;
}

static void one_file(const char *path)
{
	char error[512], name[512];
	struct gy_case_file *file = gy_case_read(path, error, sizeof(error));
	unsigned n = 0, bad = 0;

	if (!file) {
		ok(false, error);
		return;
	}
	for (unsigned i = 0; i < file->n_cases; i++)
		for (unsigned k = 0; k < file->cases[i].n_steps; k++) {
			const struct gy_case_step *step = &file->cases[i].steps[k];

			if (step->kind != GY_CASE_REQUEST)
				continue;
			n++;
			if (one_request(step))
				continue;
			bad++;
			printf("# %s:%u: %s\n#   %s\n", path, step->line, step->text, why);
		}
	snprintf(name, sizeof(name), "%s: %u requests mean in bytes what they say",
		 strrchr(path, '/') ? strrchr(path, '/') + 1 : path, n);
	ok(bad == 0 && n > 0, name);
	gy_case_free(file);
}

/* ---- what no table says ---- */

static void bearer(void)
{
	const struct gy_bearer b = { "internet", "46000", 6, 77, { 10, 1, 2, 3 }, "0800" };
	struct gy_case_request r = gy_request_plain('I', 0);
	struct gy_request_frame frame = { .session_id = "s;1;1",
					  .origin_host = "pgw1.spec.test",
					  .origin_realm = "spec.test",
					  .destination_realm = "spec.test",
					  .identity = { [GY_CASE_IMSI] = "460001000000001" },
					  .event_time_s = 1800000000,
					  .bearer = &b };
	const struct gy_case_identity identity = { .kind = GY_CASE_IMSI };
	void *pool = talloc_new(NULL);
	struct gy_envelope envelope;
	struct gy_answer fault;
	struct gy_ccr ccr;
	struct gy_bytes raw;
	uint8_t *bytes;
	bool good;

	r.n_identities = 1;
	r.identities = &identity;
	bytes = gy_request_encode(&r, &frame, &raw.len);
	raw.data = bytes;
	good = gy_envelope_read(pool, raw, &node, &envelope, &fault) == GY_OK &&
	       gy_ccr_decode(pool, raw, &envelope, &terms, &ccr, &fault) == GY_OK;
	ok(good && ccr.conditions.apn.len == 8 && ccr.conditions.rat_type.len == 1 &&
		   ccr.conditions.rat_type.data[0] == 6 && ccr.conditions.serving_mcc_mnc.len == 5,
	   "Service-Information: APN, RAT type and serving network");
	gy_request_restamp(bytes, 0xfffefdfc, true);
	good = gy_envelope_read(pool, raw, &node, &envelope, &fault) == GY_OK &&
	       gy_ccr_decode(pool, raw, &envelope, &terms, &ccr, &fault) == GY_OK;
	ok(good && envelope.hop_by_hop == 0xfffefdfc && ccr.retransmitted,
	   "a copy has its own Hop-by-Hop Identifier and the T bit");
	free(bytes);
	frame.identity[GY_CASE_IMSI] = NULL;
	ok(!gy_request_encode(&r, &frame, &raw.len), "an identity that is not there is refused");
	talloc_free(pool);
}

int main(int argc, char **argv)
{
	if (!gy_dictionary_load())
		return 2;
	for (int i = 1; i < argc; i++)
		one_file(argv[i]);
	bearer();
	return tap_end();
}
