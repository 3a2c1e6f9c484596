/* acl_gyro's parts: what stands between freeDiameter and its peers. Each registers itself and
 * returns 0 or an errno. */
#ifndef GY_ACL_GUARD_H
#define GY_ACL_GUARD_H

#include "extensions/app_gyro/config.h"

/* carry.c: requests travel raw to app_gyro; malformed base messages don't get in. */
int guard_carry_start(void);
/* answers.c: no answer can reach the assert on a Result-Code without value (F1). */
int guard_answers_start(void);
/* quiet.c: replaces freeDiameter's default hooks, which dump whole messages (F8). */
int guard_quiet_start(void);
/* peers.c: who may connect, on which endpoints. */
int guard_peers_start(const struct gy_config *config);
/* anchor.c: keeps the session expiry thread away from freed sessions (F5). */
int guard_anchor_start(void);
/* Called with every message received; moves the anchor on, once a day. */
void guard_anchor_tend(void);

#endif
