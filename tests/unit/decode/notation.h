/* Diameter messages as text, for tests of the codec.
 *
 *	263="s;1" 416=u1 421=U1048576 451=t3900000000 443={450=u1 444="46000…"} 3999=x61626364
 *
 * CODE[@VENDOR][FLAGS][#LENGTH]=VALUE: FLAGS is ~ for M clear (else set) and p for the P bit;
 * LENGTH is what the AVP's length field claims instead of the truth. VALUE: u 32 bits, U 64 bits,
 * i signed 32, I signed 64, x hexadecimal, "text", { AVPs }. Blanks separate. */
#ifndef GY_TEST_NOTATION_H
#define GY_TEST_NOTATION_H

#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX 65536

struct message {
	uint8_t data[MESSAGE_MAX];
	size_t len;
};

/* Header only; AVPs are appended with message_add. */
void message_start(struct message *message, uint32_t command, uint32_t application, uint8_t flags);
/* Appends what text says, and corrects the message's length. Aborts on text it doesn't understand:
 * a mistake in a test is no result. */
void message_add(struct message *message, const char *text);
/* The same AVPs as text writes, without a message around them. Returns their length. */
size_t notation_write(const char *text, uint8_t *out, size_t size);

#endif
