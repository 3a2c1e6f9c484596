/* What becomes of a message that has just arrived. Pure: bytes in, verdict out. */
#ifndef GY_ACL_JUDGE_H
#define GY_ACL_JUDGE_H

#include "core/base/units.h"

enum guard_verdict {
	GUARD_PASS,   /* freeDiameter may parse it, or will refuse it by itself (too short) */
	GUARD_REFUSE, /* it must not get to freeDiameter's parser: close the connection */
	GUARD_CARRY,  /* a request for the application: carried raw, whatever is in it */
};

enum guard_verdict guard_judge(struct gy_bytes message);
/* Origin-Host of a CER that guard_judge lets pass; empty: it is another message, or has none. */
struct gy_bytes guard_cer_host(struct gy_bytes message);

#endif
