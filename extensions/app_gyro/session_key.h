/* The key under which a session is stored and found. Shared with tests and the load client. */
#ifndef GY_APP_SESSION_KEY_H
#define GY_APP_SESSION_KEY_H

#include <stdbool.h>

#include "core/charging/ccr.h"

/* XXH3-128 of Session-Id, followed by CC-Sub-Session-Id as eight octets, most significant first,
 * if the request has one (RFC 8506 §8.5: the pair names the session). Stored: never change. */
struct gy_session_key gy_session_key(struct gy_bytes session_id, bool has_sub_session,
				     uint64_t sub_session);

#endif
