/* The decoder's walk over AVPs: which may be used, and what is wrong with the others.
 *
 * The rules are the same at every level (G-08…G-12); the files beside this one only pick the
 * values they want. */
#include "extensions/app_gyro/decode_internal.h"

#include <inttypes.h>
#include <string.h>
#include <talloc.h>

bool gy_utf8_valid(struct gy_bytes text)
{
	const uint8_t *p = text.data, *end = p + text.len;
	uint64_t eight;

	while (p < end) {
		if (end - p >= 8) {
			memcpy(&eight, p, 8);
			if ((eight & UINT64_C(0x8080808080808080)) == 0) {
				p += 8;
				continue;
			}
		}
		uint8_t c = *p++;
		unsigned more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (c > 0xf4 || more > (size_t)(end - p))
			return false;
		/* The second octet tells over-long forms, surrogates and what lies beyond U+10FFFF.
		 */
		if (more && ((c == 0xe0 && *p < 0xa0) || (c == 0xed && *p > 0x9f) ||
			     (c == 0xf0 && *p < 0x90) || (c == 0xf4 && *p > 0x8f)))
			return false;
		for (; more; more--)
			if ((*p++ & 0xc0) != 0x80)
				return false;
	}
	return true;
}

void gy_fault(struct gy_decoder *decoder, enum gy_rc rc, const struct gy_avp *avp,
	      const char *reason)
{
	struct gy_answer *error = decoder->error;
	const struct gy_avp_def *def;

	if (error->rc != GY_OK && error->rc <= rc)
		return;
	if (decoder->carried && rc != GY_AVP_UNSUPPORTED)
		return;
	error->rc = rc;
	error->n_failed = 0;
	if (avp == NULL) {
		error->message = talloc_asprintf(decoder->pool, "%s: %s", gy_rc_name(rc), reason);
		return;
	}
	def = gy_avp_find(avp->vendor, avp->code);
	if (def != NULL)
		error->message = talloc_asprintf(decoder->pool, "%s: %s (%" PRIu32 ") %s",
						 gy_rc_name(rc), def->name, avp->code, reason);
	else
		error->message = talloc_asprintf(decoder->pool,
						 "%s: AVP %" PRIu32 " of vendor %" PRIu32 " %s",
						 gy_rc_name(rc), avp->code, avp->vendor, reason);
	error->failed[0] = (struct gy_failed_avp){ avp->code, avp->vendor, avp->whole };
	error->n_failed = 1;
}

void gy_fault_missing(struct gy_decoder *decoder, uint32_t vendor, uint32_t code)
{
	struct gy_avp avp = { .code = code, .vendor = vendor };

	gy_fault(decoder, GY_MISSING_AVP, &avp, "is missing");
}

/* AVPs nobody uses are only carried along: with the M bit clear their content can't be wrong. Own
 * ones are used by decode_card.c alone. */
static bool matters(const struct gy_decoder *decoder, const struct gy_avp *avp,
		    const struct gy_avp_def *def)
{
	if ((avp->flags & GY_AVP_FLAG_M) != 0)
		return true;
	return strchr(def->classes, 'U') != NULL && (decoder->own || avp->vendor != GY_VENDOR_GYRO);
}

/* True if the AVP can be used as what def says. */
static bool fits(struct gy_decoder *decoder, const struct gy_avp *avp, const struct gy_avp_def *def)
{
	if (def->size != 0 && avp->data.len != def->size) {
		if (matters(decoder, avp, def))
			gy_fault(decoder, GY_INVALID_AVP_LENGTH, avp, "has the wrong length");
		return false;
	}
	/* Bad text is used like good: the request is refused anyway, but nothing is missing. */
	if (def->type == GY_AVP_TYPE_UTF8_STRING && matters(decoder, avp, def) &&
	    !gy_utf8_valid(avp->data))
		gy_fault(decoder, GY_INVALID_AVP_VALUE, avp, "is not valid UTF-8");
	return true;
}

bool gy_decoder_next(struct gy_decoder *decoder, struct gy_avp_cursor *cursor, struct gy_avp *avp,
		     const struct gy_avp_def **def)
{
	for (;;) {
		switch (gy_avp_step(cursor, avp)) {
		case GY_AVP_STEP_END:
			return false;
		case GY_AVP_STEP_BROKEN:
			avp->whole = (struct gy_bytes){ NULL, 0 };
			gy_fault(decoder, GY_INVALID_AVP_LENGTH, avp,
				 "has a length that does not fit");
			return false;
		case GY_AVP_STEP_OK:
			break;
		}
		decoder->met_own |= avp->vendor == GY_VENDOR_GYRO;
		*def = gy_avp_find(avp->vendor, avp->code);
		if (*def != NULL) {
			if (fits(decoder, avp, *def))
				return true;
		} else if ((avp->flags & GY_AVP_FLAG_M) &&
			   !(decoder->lenient && avp->vendor == GY_VENDOR_3GPP)) {
			gy_fault(decoder, GY_AVP_UNSUPPORTED, avp, "is not known");
		}
	}
}

void gy_decoder_skip(struct gy_decoder *decoder, const struct gy_avp *avp,
		     const struct gy_avp_def *def)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(avp->data);
	struct gy_avp inner;
	bool carried;

	if (def->type != GY_AVP_TYPE_GROUPED)
		return;
	if (decoder->depth == GY_DEPTH_MAX) {
		gy_fault(decoder, GY_INVALID_AVP_VALUE, avp, "is nested too deeply");
		return;
	}
	carried = !matters(decoder, avp, def);
	decoder->depth++;
	decoder->carried += carried;
	while (gy_decoder_next(decoder, &cursor, &inner, &def))
		gy_decoder_skip(decoder, &inner, def);
	decoder->carried -= carried;
	decoder->depth--;
}

bool gy_decoder_once(struct gy_decoder *decoder, uint32_t *seen, unsigned bit,
		     const struct gy_avp *avp)
{
	if (*seen & UINT32_C(1) << bit) {
		gy_fault(decoder, GY_AVP_OCCURS_TOO_MANY_TIMES, avp, "occurs more than once");
		return false;
	}
	*seen |= UINT32_C(1) << bit;
	return true;
}

unsigned gy_avp_count(struct gy_bytes list, uint32_t vendor, uint32_t code)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	struct gy_avp avp;
	unsigned n = 0;

	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		n += avp.code == code && avp.vendor == vendor;
	return n;
}
