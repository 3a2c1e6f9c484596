/* Tables that several commands show: sessions, records, payments. */
#ifndef GY_CTL_SHOW_H
#define GY_CTL_SHOW_H

#include "deploy/gyroctl/ctl.h"

/* Sessions of an account (NULL: of all), of a subscriber (NULL: of all). */
struct gy_session_filter {
	const char *account, *subscriber;
	bool open;         /* open ones only */
	const char *limit; /* for LIMIT; NULL: all */
};
bool gy_show_sessions(struct gy_ctl *ctl, const char *name, const struct gy_session_filter *filter);

struct gy_record_filter {
	const char *account, *subscriber, *session; /* NULL: any */
	const char *since, *until;                  /* timestamptz, NULL: any */
	const char *limit;                          /* the newest ones; NULL: all */
};
/* Oldest first. */
bool gy_show_records(struct gy_ctl *ctl, const char *name, const struct gy_record_filter *filter);

/* Dynamic codes and stored attributes of a subscriber. */
bool gy_show_attributes(struct gy_ctl *ctl, const char *subscriber);

#endif
