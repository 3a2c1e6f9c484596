/* CCA: from struct gy_answer to the bytes that leave.
 *
 * Pure, apart from malloc. Writes every answer Gyro gives to a request of an open peer, also to
 * requests that are no CCR at all; order and flags of AVPs are fixed (spec 4.5, item 1). */
#ifndef GY_APP_ENCODE_H
#define GY_APP_ENCODE_H

#include "core/charging/answer.h"
#include "core/engine/overload.h"
#include "extensions/app_gyro/decode.h"

/* What this node says about itself in every answer. */
struct gy_node {
	struct gy_node_identity identity;
	uint32_t origin_state_id; /* constant while durable state is kept (G-93) */
	bool alternate_node;      /* any node can serve any session (G-90) */
	/* Told to those that understand it; sequence 0: nothing to tell (G-95). */
	struct gy_overload_report overload;
};

/* The whole message in one malloc'ed block of *size octets, which the caller frees; NULL without
 * memory. The answer echoes what the envelope holds of the request. */
uint8_t *gy_answer_encode(const struct gy_node *node, const struct gy_envelope *envelope,
			  const struct gy_answer *answer, size_t *size);

#endif
