/* See refund.h. */
#include "extensions/app_gyro/refund.h"

#include "extensions/app_gyro/wire.h"

#define VERSION 1
#define HEADER  12 /* of an AVP with a vendor */

static void put64(uint8_t *p, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(value >> (56 - 8 * i));
}

void gy_refund_write(struct gy_session_key session, uint32_t number, unsigned place,
		     uint8_t out[static GY_REFUND_SIZE])
{
	out[0] = VERSION;
	out[1] = (uint8_t)place;
	out[2] = out[3] = 0;
	for (unsigned i = 0; i < 4; i++)
		out[4 + i] = (uint8_t)(number >> (24 - 8 * i));
	put64(out + 8, session.hi);
	put64(out + 16, session.lo);
}

bool gy_refund_read(struct gy_bytes avp, struct gy_ccr *ccr)
{
	const uint8_t *p = avp.data + HEADER;
	uint32_t number;

	if (avp.len != HEADER + GY_REFUND_SIZE || p[0] != VERSION || p[2] != 0 || p[3] != 0)
		return false;
	number = gy_get32(p + 4);
	if (number > GY_REFUND_NUMBER_MAX)
		return false;
	ccr->refund = (struct gy_refund){ .bound = true, .number = number, .place = p[1] };
	ccr->session = (struct gy_session_key){ gy_get64(p + 8), gy_get64(p + 16) };
	ccr->number = gy_refund_number(number, p[1]);
	return true;
}
