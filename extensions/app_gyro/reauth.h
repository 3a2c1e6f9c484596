/* Requests of ours, RAR and ASR (RFC 8506 §5.5, RFC 6733 §8.5): the engine's way out to gateways.
 *
 * For app_gyro.c only. Keeps nothing: what is on its way is the engine's to remember. */
#ifndef GY_APP_REAUTH_H
#define GY_APP_REAUTH_H

#include "core/engine/engine.h"

/* Looks up the dictionary, registers with routing. 0 or an errno; before the engine starts. */
int gyro_reauth_start(void);
/* The engine that is told what came of a prompt; NULL: nobody any more. */
void gyro_reauth_engine(struct gy_engine *engine);

/* gy_reaches_fn and gy_prompt_fn of the engine. */
bool gyro_reauth_reaches(void *data, struct gy_bytes peer);
bool gyro_reauth_send(void *data, const struct gy_prompt *prompt);

#endif
