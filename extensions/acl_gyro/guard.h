/* acl_gyro's parts: what stands between freeDiameter and its peers. Each registers itself and
 * returns 0 or an errno. */
#ifndef GY_ACL_GUARD_H
#define GY_ACL_GUARD_H

#include "extensions/app_gyro/config.h"

/* Between notice and error; gyrod's log knows it. */
#define GUARD_WARNING 4

/* carry.c: requests travel raw to app_gyro; malformed base messages don't get in. */
int guard_carry_start(void);
/* strangers.c: is this a CER of one more peer that gyro.yaml doesn't list, after too many others?
 */
bool guard_is_too_many(struct gy_bytes message);
void guard_strangers_start(const struct gy_config *config);
/* answers.c: no answer can reach the assert on a Result-Code without value (F1). */
int guard_answers_start(void);
/* quiet.c: replaces freeDiameter's default hooks, which dump whole messages (F8). */
int guard_quiet_start(void);
/* A line about a peer, within the same bound as theirs. */
void guard_tell(const char *peer, const char *what);
/* endpoints.c: where we listen. */
int guard_endpoints_start(const struct gy_config *config);
/* peers.c: who may connect. */
int guard_peers_start(const struct gy_config *config);
/* anchor.c: keeps the session expiry thread away from freed sessions (F5). */
int guard_anchor_start(void);
/* Called with every message received; moves the anchor on, once a day. */
void guard_anchor_tend(void);

#endif
