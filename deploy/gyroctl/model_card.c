/* See model.h: the sections of cards (spec/cards.md): whom products name, what apps are made of,
 * what is sold. */
#include "deploy/gyroctl/model.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/base/limits.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"

#define CENTURY_S   INT64_C(3153600000)
#define DAY_MINUTES 1440

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A sorted list without repetitions as a cell. texts: in the pool, NULL where an error was. */
static const char *sorted_list(struct gy_model *m, const char *key, char **texts, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++)
		if (texts[i])
			texts[kept++] = texts[i];
	if (kept > 1)
		qsort(texts, kept, sizeof(*texts), compare_texts);
	for (unsigned i = 1; i < kept; i++)
		if (strcmp(texts[i - 1], texts[i]) == 0)
			gy_model_wrong(m, key, "%s is there twice", texts[i]);
	return gy_model_list(m, texts, kept);
}

/* --- audiences ---- */

static void read_audience(struct gy_model *m, const struct gy_yaml_audience *a)
{
	const char **c = gy_model_item(m, GY_AUDIENCES)->cells;
	bool list = a->subscribers != NULL, segment = a->attribute || a->equal;
	const char *everyone = gy_model_bool(m, "everyone", a->everyone, "f");

	c[0] = gy_model_text(m, "name", a->name);
	if (everyone && a->everyone && *everyone == 'f')
		gy_model_wrong(m, "everyone", "everyone is true, or left out");
	if ((a->everyone != NULL) + list + segment != 1)
		gy_model_wrong(
			m, NULL,
			"an audience is everyone, a list of subscribers, or an attribute and "
			"what it must equal");
	c[1] = list ? "2" : segment ? "3" : "1";
	if (segment) {
		c[2] = gy_model_text(m, "attribute", a->attribute);
		c[3] = gy_model_text(m, "equal", a->equal);
		if (!a->attribute || !a->equal)
			gy_model_wrong(m, a->attribute ? "attribute" : "equal",
				       "attribute and equal go together");
	}
	if (list)
		c[4] = gy_model_list(m, a->subscribers, a->subscribers_count);
}

/* --- apps ---- */

/* "20" or "21/5": Rating-Group, and one Service-Identifier of it. */
static char *target(struct gy_model *m, const char *text)
{
	char *group = talloc_strndup(m->out, text, strcspn(text, "/"));
	const char *service = strchr(text, '/');
	int64_t n, s = 0;

	if (gy_number_parse(group, 0, UINT32_MAX, &n) &&
	    (!service || gy_number_parse(service + 1, 0, UINT32_MAX, &s)))
		return service ? talloc_asprintf(m->out, "%lld/%lld", (long long)n, (long long)s)
			       : talloc_asprintf(m->out, "%lld", (long long)n);
	gy_model_wrong(m, "targets",
		       "%s is not a Rating-Group such as 20, or with a Service-Identifier 20/5",
		       text);
	return NULL;
}

/* A domain, or domain/path; small letters, as URLs are compared in them. */
static char *url(struct gy_model *m, const char *text)
{
	size_t host = strcspn(text, "/"), i = 0;
	bool good = host > 0, label = false;

	for (; i < host && good; i++) {
		bool letter = islower((unsigned char)text[i]) || isdigit((unsigned char)text[i]) ||
			      text[i] == '-' || text[i] == '_';

		good = letter || (text[i] == '.' && label);
		label = letter;
	}
	for (i = host; text[i] && good; i++)
		good = text[i] > ' ' && (unsigned char)text[i] < 0x7f &&
		       !isupper((unsigned char)text[i]) && text[i] != '?' && text[i] != '#';
	if (good && label)
		return talloc_strdup(m->out, text);
	gy_model_wrong(m, "urls",
		       "%s is not a domain such as video.example.com, or with a path "
		       "example.com/live, in small letters without scheme",
		       text);
	return NULL;
}

/* The address and mask in their usual form; NULL if there are none, or bits beyond the mask. */
static char *network(void *pool, const char *text)
{
	char *host = talloc_strndup(pool, text, strcspn(text, "/")), shown[INET6_ADDRSTRLEN];
	const char *mask = strchr(text, '/');
	int family = strchr(host, ':') ? AF_INET6 : AF_INET, bits = family == AF_INET ? 32 : 128;
	unsigned char address[16] = { 0 };
	int64_t n = bits;

	if (inet_pton(family, host, address) != 1 ||
	    (mask && !gy_number_parse(mask + 1, 0, bits, &n)))
		return NULL;
	for (int i = (int)n; i < bits; i++)
		if (address[i / 8] & 0x80 >> i % 8)
			return NULL;
	if (!inet_ntop(family, address, shown, sizeof(shown)))
		return NULL;
	return talloc_asprintf(pool, "%s/%d", shown, (int)n);
}

/* " 443" or " 8000-8999"; "" for all of them; NULL: no ports. */
static char *ports(void *pool, const char *text)
{
	char *first = talloc_strndup(pool, text, strcspn(text, "-"));
	const char *last = strchr(text, '-');
	int64_t low, high;

	if (!*text)
		return talloc_strdup(pool, "");
	if (!gy_number_parse(first, 0, UINT16_MAX, &low) ||
	    !gy_number_parse(last ? last + 1 : first, low, UINT16_MAX, &high))
		return NULL;
	if (low == 0 && high == UINT16_MAX)
		return talloc_strdup(pool, "");
	return low == high ? talloc_asprintf(pool, " %lld", (long long)low)
			   : talloc_asprintf(pool, " %lld-%lld", (long long)low, (long long)high);
}

/* "tcp 198.51.100.0/24 443": protocol, the servers' network, their ports. */
static char *flow(struct gy_model *m, const char *text)
{
	char protocol[20] = "", address[60] = "", port[20] = "", rest[2] = "";
	char *net, *range;
	int64_t n = 0;
	int words = sscanf(text, "%19s %59s %19s %1s", protocol, address, port, rest);
	bool named = strcmp(protocol, "any") == 0 || strcmp(protocol, "tcp") == 0 ||
		     strcmp(protocol, "udp") == 0;

	if (!named && gy_number_parse(protocol, 0, UINT8_MAX, &n))
		snprintf(protocol, sizeof(protocol), "%s",
			 n == 6    ? "tcp"
			 : n == 17 ? "udp"
				   : gy_model_decimal(m, n));
	else if (!named)
		words = 0;
	net = network(m->ctl->pool, address);
	range = ports(m->ctl->pool, port);
	if (words >= 2 && words <= 3 && net && range)
		return talloc_asprintf(m->out, "%s %s%s", protocol, net, range);
	gy_model_wrong(m, "flows",
		       "%s is not a flow such as \"tcp 198.51.100.0/24 443\": any, tcp, udp or a "
		       "number; the servers' network; ports",
		       text);
	return NULL;
}

static const char *words_of(struct gy_model *m, const char *key, char *const *texts, unsigned n,
			    char *(*read)(struct gy_model *, const char *))
{
	char **out = talloc_array(m->ctl->pool, char *, n + 1);

	gy_assert(out);
	for (unsigned i = 0; i < n; i++)
		out[i] = read(m, texts[i]);
	return sorted_list(m, key, out, n);
}

static void read_app(struct gy_model *m, const struct gy_yaml_app *a)
{
	const char **c = gy_model_item(m, GY_APPS)->cells;

	c[0] = gy_model_text(m, "name", a->name);
	c[1] = words_of(m, "targets", a->targets, a->targets_count, target);
	c[2] = words_of(m, "urls", a->urls, a->urls_count, url);
	c[3] = words_of(m, "flows", a->flows, a->flows_count, flow);
	if (a->targets_count == 0)
		gy_model_wrong(m, NULL, "app %s has no targets: nothing could be bound to it",
			       a->name);
}

/* One URL names one app: two that claim it would both be refused when a card is bound. */
static void unique_urls(struct gy_model *m, const struct gy_yaml_file *f)
{
	for (unsigned i = 0; i < f->apps_count; i++)
		for (unsigned u = 0; u < f->apps[i].urls_count; u++)
			for (unsigned j = 0; j < i; j++)
				for (unsigned v = 0; v < f->apps[j].urls_count; v++) {
					if (strcmp(f->apps[i].urls[u], f->apps[j].urls[v]) != 0)
						continue;
					gy_model_entry(m, "apps/%u", i);
					gy_model_wrong(m, "urls", "%s is also of app %s",
						       f->apps[i].urls[u], f->apps[j].name);
				}
}

/* --- products ---- */

/* Columns of a product, see section.c. */
enum {
	CODE,
	NAME,
	PRICE,
	CURRENCY,
	UNIT,
	QUOTA,
	VALIDITY,
	VALIDITY_FROM,
	DIRECTED,
	APP,
	AUDIENCE,
	ON_SALE,
	SALE_FROM,
	SALE_UNTIL,
	STOCK,
	PER_BUYER,
	HOLD,
	MAX_BINDINGS,
	CAP,
	SETTLE,
	USAGE_PRICE,
	USAGE_PER,
	POLICY,
	PRIORITY,
	HOURS
};

/* Minutes of "HH:MM"; -1: it is none. */
static int minute_of(const char *text)
{
	if (strlen(text) != 5 || text[2] != ':' || !isdigit((unsigned char)text[0]) ||
	    !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[3]) ||
	    !isdigit((unsigned char)text[4]) || text[3] > '5')
		return -1;
	return (text[0] - '0') * 600 + (text[1] - '0') * 60 + (text[3] - '0') * 10 +
	       (text[4] - '0');
}

/* "22:00-06:00": from a minute of the local day to before another, over midnight if that is less.
 */
static const char *hours(struct gy_model *m, const char *text)
{
	char *from, *until;
	int low, high;

	if (!text)
		return NULL;
	from = talloc_strndup(m->ctl->pool, text, strcspn(text, "-"));
	until = strchr(text, '-') ? talloc_strdup(m->ctl->pool, strchr(text, '-') + 1) : from;
	low = minute_of(from);
	high = minute_of(until);
	if (low < 0 || high < 0 || low >= DAY_MINUTES || high > DAY_MINUTES || low == high) {
		gy_model_wrong(m, "hours", "hours %s are not such as 00:00-08:00 or 22:00-06:00",
			       text);
		return NULL;
	}
	return talloc_strdup(m->out, text);
}

static void priority(struct gy_model *m, const struct gy_yaml_product *p, const char **c)
{
	int word = p->priority ? gy_word_number(gy_words_priority, p->priority) : 1;
	int64_t n;

	c[POLICY] = word > 0 ? gy_model_decimal(m, word) : "3";
	c[PRIORITY] = "0";
	if (word == 3 || (word < 0 && !gy_number_parse(p->priority, 0, UINT32_MAX, &n)))
		gy_model_wrong(m, "priority",
			       "priority %s is neither top, by_expiry nor a number from 0 to %u",
			       p->priority, UINT32_MAX);
	else if (word < 0)
		c[PRIORITY] = gy_model_decimal(m, n);
}

static void usage_price(struct gy_model *m, const struct gy_yaml_product *p, const char **c)
{
	bool usage = c[SETTLE] && *c[SETTLE] == '2';

	c[USAGE_PRICE] = "0";
	c[USAGE_PER] = "1";
	if (c[SETTLE] && usage != (p->usage_price != NULL))
		gy_model_wrong(m, usage ? "settle" : "usage_price",
			       "settle: usage and a usage_price go together");
	if (!p->usage_price)
		return;
	c[USAGE_PRICE] = gy_model_money(m, "usage_price/price", p->usage_price->price, 0,
					GY_PRICE_CELL_MAX, NULL);
	c[USAGE_PER] =
		gy_model_size(m, "usage_price/per", p->usage_price->per, 1, GY_AMOUNT_MAX, NULL);
	if (c[USAGE_PRICE] && c[USAGE_PER] && c[QUOTA] &&
	    (__int128)gy_model_value(c[QUOTA]) * gy_model_value(c[USAGE_PRICE]) >
		    (__int128)GY_AMOUNT_MAX * gy_model_value(c[USAGE_PER]))
		gy_model_wrong(m, "usage_price",
			       "the whole quota at this price is more money than can be counted");
}

/* What would never be bought, bound or used. */
static void sense(struct gy_model *m, const struct gy_yaml_product *p, const char **c)
{
	bool directed = c[DIRECTED] && *c[DIRECTED] != '0';

	if (c[DIRECTED] && !directed && !p->audience)
		gy_model_wrong(m, NULL,
			       "product %s has neither an audience nor directed info: nobody could "
			       "use it",
			       p->code);
	if (p->app && c[DIRECTED] && !directed)
		gy_model_wrong(m, "app",
			       "a product for an app takes directed info: directed: required");
	if (c[UNIT] && gy_model_value(c[UNIT]) == GY_UNIT_MONEY)
		gy_model_wrong(m, "unit", "a card holds octets, seconds or service, not money");
	if (p->validity_from && !p->validity)
		gy_model_wrong(m, "validity_from", "validity_from needs a validity");
	if (c[CAP] && c[QUOTA] && gy_model_value(c[CAP]) > gy_model_value(c[QUOTA]))
		gy_model_wrong(m, "cap", "cap %s is more than quota %s", p->cap, p->quota);
}

static void read_product(struct gy_model *m, const struct gy_yaml_product *p)
{
	const char **c = gy_model_item(m, GY_PRODUCTS)->cells;
	int64_t from, until;

	c[CODE] = gy_model_text(m, "code", p->code);
	c[NAME] = gy_model_text(m, "name", p->name);
	c[PRICE] = gy_model_money(m, "price", p->price, 0, GY_PRICE_CELL_MAX, "0");
	c[CURRENCY] = gy_model_number(m, "currency", p->currency, 1, 999, NULL);
	c[UNIT] = gy_model_word(m, "unit", p->unit, gy_words_unit, "1");
	c[QUOTA] = gy_model_size(m, "quota", p->quota, 1, GY_AMOUNT_MAX, NULL);
	c[VALIDITY] = gy_model_duration(m, "validity", p->validity, 1, CENTURY_S, "0");
	c[VALIDITY_FROM] =
		gy_model_word(m, "validity_from", p->validity_from, gy_words_validity_from, "1");
	c[DIRECTED] =
		gy_model_word(m, "directed", p->directed, gy_words_directed, p->app ? "2" : "0");
	c[APP] = gy_model_text(m, "app", p->app);
	c[AUDIENCE] = gy_model_text(m, "audience", p->audience);
	c[ON_SALE] = gy_model_bool(m, "on_sale", p->on_sale, "t");
	c[SALE_FROM] = gy_model_instant(m, "sale_from", p->sale_from, "-infinity");
	c[SALE_UNTIL] = gy_model_instant(m, "sale_until", p->sale_until, "infinity");
	c[STOCK] = gy_model_number(m, "stock", p->stock, 0, GY_AMOUNT_MAX, NULL);
	c[PER_BUYER] = gy_model_number(m, "per_buyer", p->per_buyer, 1, INT32_MAX, NULL);
	c[HOLD] = gy_model_duration(m, "hold", p->hold, 1, 86400, "300");
	c[MAX_BINDINGS] = gy_model_number(m, "max_bindings", p->max_bindings, 1, INT32_MAX, "1");
	c[CAP] = gy_model_size(m, "cap", p->cap, 1, GY_AMOUNT_MAX, NULL);
	c[SETTLE] = gy_model_word(m, "settle", p->settle, gy_words_settle, "1");
	c[HOURS] = hours(m, p->hours);
	usage_price(m, p, c);
	priority(m, p, c);
	sense(m, p, c);
	if (p->sale_from && p->sale_until && gy_instant_parse(p->sale_from, &from) &&
	    gy_instant_parse(p->sale_until, &until) && from >= until)
		gy_model_wrong(m, "sale_until", "sale_until %s is not after sale_from %s",
			       p->sale_until, p->sale_from);
}

void gy_model_cards(struct gy_model *m, const struct gy_yaml_file *f)
{
	m->out->lists[GY_AUDIENCES].present = f->audiences != NULL;
	m->out->lists[GY_APPS].present = f->apps != NULL;
	m->out->lists[GY_PRODUCTS].present = f->products != NULL;
	for (unsigned i = 0; i < f->audiences_count; i++) {
		gy_model_entry(m, "audiences/%u", i);
		read_audience(m, &f->audiences[i]);
	}
	for (unsigned i = 0; i < f->apps_count; i++) {
		gy_model_entry(m, "apps/%u", i);
		read_app(m, &f->apps[i]);
	}
	unique_urls(m, f);
	for (unsigned i = 0; i < f->products_count; i++) {
		gy_model_entry(m, "products/%u", i);
		read_product(m, &f->products[i]);
	}
}
