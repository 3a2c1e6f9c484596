/* See session_key.h. */
#include "extensions/app_gyro/session_key.h"

#include <string.h>
#define XXH_INLINE_ALL /* else its XXH3 is a call through the shared library for 30 octets */
#include <xxhash.h>

struct gy_session_key gy_session_key(struct gy_bytes session_id, bool has_sub_session,
				     uint64_t sub_session)
{
	uint8_t joined[GY_SESSION_ID_MAX + 8];
	XXH128_hash_t hash;

	if (!has_sub_session || session_id.len > GY_SESSION_ID_MAX) {
		hash = XXH3_128bits(session_id.data, session_id.len);
	} else {
		memcpy(joined, session_id.data, session_id.len);
		for (unsigned i = 0; i < 8; i++)
			joined[session_id.len + i] = (uint8_t)(sub_session >> (56 - 8 * i));
		hash = XXH3_128bits(joined, session_id.len + 8);
	}
	return (struct gy_session_key){ .hi = hash.high64, .lo = hash.low64 };
}
