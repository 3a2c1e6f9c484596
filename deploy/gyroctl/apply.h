/* gyroctl apply; see apply.c. */
#ifndef GY_CTL_APPLY_H
#define GY_CTL_APPLY_H

#include "deploy/gyroctl/ctl.h"

enum gy_exit gy_apply(struct gy_ctl *ctl, const struct gy_args *args);

#endif
