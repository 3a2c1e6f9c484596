/* Whom a command is about: subscribers by number or identity, accounts by number or subscriber,
 * sessions by Session-Id or key.
 *
 * Each function has said why when it returns false; what it found is in the pool. */
#ifndef GY_CTL_PICK_H
#define GY_CTL_PICK_H

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"

/* The options that name a subscriber by identity; put into the flags of a command. */
#define GY_IDENTITY_FLAGS                                                      \
	{ "imsi", "DIGITS", "the subscriber's IMSI" },                         \
		{ "e164", "DIGITS", "the subscriber's number, without plus" }, \
		{ "nai", "NAI", "the subscriber's NAI" },                      \
		{ "sip-uri", "URI", "the subscriber's SIP URI" },              \
		{ "private", "ID", "the subscriber's private identity" },      \
	{                                                                      \
		"user-name", "NAME", "the subscriber's User-Name"              \
	}
#define GY_IDENTITY_COUNT 6
#define GY_LIMIT_FLAG                                                     \
	{                                                                 \
		"limit", "N", "show at most N rows (default 100; 0: all)" \
	}

/* The value of the identity option of a kind (1 to 6); NULL if not given. */
const char *gy_pick_identity(const struct gy_args *args, int kind);

/* text as the number of a subscriber or account: as it was, or NULL after an error. */
const char *gy_pick_number(struct gy_ctl *ctl, const char *what, const char *text);

/* An existing subscriber: word number word (-1: no such word), or an identity option, or, where
 * the command has it, --subscriber. optional: *id is NULL if the command line names none. */
bool gy_pick_subscriber(struct gy_ctl *ctl, const struct gy_args *args, int word, bool optional,
			const char **id);

/* An existing subscriber by the text of an option: a number, kind:value, or a value that only one
 * subscriber has. */
bool gy_pick_who(struct gy_ctl *ctl, const char *option, const char *text, const char **id);

/* An existing account: --account, or the account of a subscriber named as above. */
bool gy_pick_account(struct gy_ctl *ctl, const struct gy_args *args, bool optional,
		     const char **id);

/* A session of gyro.session_index, by Session-Id or by key (uuid). */
bool gy_pick_session(struct gy_ctl *ctl, const char *text, const char **key);

/* The amount of money in a text; an error names it as what. */
bool gy_pick_money(struct gy_ctl *ctl, const char *what, const char *text, const char **micros);

/* --limit as a parameter for LIMIT, one more than is shown; NULL is all. */
bool gy_pick_limit(struct gy_ctl *ctl, const struct gy_args *args, int otherwise,
		   const char **limit);
/* Cuts the one row more off, and tells the operator that there are more. */
void gy_pick_limited(struct gy_ctl *ctl, struct gy_rows *rows, const char *limit);

#endif
