/* gyroctl migrate; see migrate.c. */
#ifndef GY_CTL_MIGRATE_H
#define GY_CTL_MIGRATE_H

#include "deploy/gyroctl/ctl.h"

enum gy_exit gy_migrate(struct gy_ctl *ctl, const struct gy_args *args);

#endif
