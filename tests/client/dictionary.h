/* The dictionary of the simulator: libfdproto's, filled by dict_gyro as in a node, but without the
 * daemon around it: no configuration, no peers, no threads.
 *
 * A second, empty dictionary serves damage on purpose: there any AVP may be a plain string of
 * octets, so that libfdproto writes what no conformant client would. */
#ifndef GY_CLIENT_DICTIONARY_H
#define GY_CLIENT_DICTIONARY_H

#include <stdbool.h>
#include <stdint.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

/* Once per process, before anything else here. False after saying on stderr what is wrong. */
bool gy_dictionary_load(void);

struct dictionary *gy_dictionary(void);

/* An AVP of the table in dict/avps.csv; NULL if it is none. vendor 0: IETF. */
struct dict_object *gy_dictionary_avp(uint32_t vendor, uint32_t code);

/* The same AVP as an OctetString, whatever it really is; any code will do. */
struct dict_object *gy_dictionary_octets(uint32_t vendor, uint32_t code);

/* A command by name, such as "Credit-Control-Request". Aborts if there is none. */
struct dict_object *gy_dictionary_command(const char *name);

#endif
