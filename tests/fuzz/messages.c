/* Good messages: requests of all kinds, a card operation, and what a link is made of. */
#include <string.h>

#include "tests/fuzz/messages.h"
#include "tests/unit/decode/notation.h"

#define PROXIABLE 0xc0
#define REQUEST   0x80

static const struct {
	uint32_t command, application;
	uint8_t flags;
	const char *text;
} good[] = {
	{ 272, 4, PROXIABLE,
	  "263=\"s;1\" 264=\"pgw1.spec.test\" 296=\"spec.test\" 283=\"spec.test\" 258=u4 "
	  "461=\"32251@3gpp.org\" 416=u2 415=u1 443={450=u1 444=\"460001000000001\"} 1=\"u\" "
	  "456={437={421=U5} 446={421=U1 412=U2 872@10415=u1 452=u0} 432=u10 439=u1 439=u2} "
	  "456={437={412=U5 414=U7} 432=u11} "
	  "873@10415={874@10415={30=\"internet\" 21@10415=x06 22@10415=x82 13@10415=\"0800\"}} "
	  "284={280=\"a\" 33=x01} 659~={661~=\"46\"}" },
	{ 272, 4, PROXIABLE,
	  "263=\"e;1\" 264=\"p\" 296=\"spec.test\" 283=\"spec.test\" 461=\"c\" 416=u4 415=u0 "
	  "436=u0 "
	  "443={450=u0 444=\"+86\"} 437={413={445={447=I250 429=i-2} 425=u156}} 439=u7 "
	  "446={420=u5} 419=U7 50=\"m\" 55=u1 278=u1" },
	{ 272, 4, PROXIABLE,
	  "263=\"c;1\" 264=\"p\" 296=\"spec.test\" 283=\"spec.test\" 258=u4 461=\"cards@gyro\" "
	  "416=u4 "
	  "415=u0 436=u0 443={450=u0 444=\"86\"} 446={417=U1} 1@32473~=u1 2@32473~=\"p\" "
	  "3@32473~=\"q\" 4@32473~=\"c\" 5@32473~=u1 "
	  "6@32473~={7@32473~=\"a\" 8@32473~=\"u/\" 9@32473~=\"f\"} 6@32473~={8@32473~=\"v\"} "
	  "11@32473~=u7 13@32473~={443={450=u0 444=\"+86\"}}" },
	{ 257, 0, REQUEST,
	  "264=\"pgw1.spec.test\" 296=\"spec.test\" 257=x00017f000001 266=u10415 269~=\"gw\" "
	  "265=u10415 258=u4 260={266=u10415 258=u4}" },
	{ 280, 0, REQUEST, "264=\"pgw1.spec.test\" 296=\"spec.test\" 278=u1" },
	{ 282, 0, REQUEST, "264=\"pgw1.spec.test\" 296=\"spec.test\" 273=u0" },
	{ 258, 4, 0x40, "263=\"s;1\" 268=u2001 264=\"pgw1.spec.test\" 296=\"spec.test\"" },
};

size_t messages_seed(unsigned n, uint8_t *out)
{
	static struct message message;

	if (n >= sizeof(good) / sizeof(good[0]))
		return 0;
	message_start(&message, good[n].command, good[n].application, good[n].flags);
	message_add(&message, good[n].text);
	memcpy(out, message.data, message.len);
	return message.len;
}
