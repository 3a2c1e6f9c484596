/* See order.h. */
#include "deploy/gyroctl/order.h"

#include <stdlib.h>
#include <talloc.h>

static const char sql[] =
	"SELECT r.* FROM (SELECT coalesce(array_agg(app), '{}') AS apps, coalesce(array_agg(url), "
	"'{}') AS urls,"
	" coalesce(array_agg(flow), '{}') AS flows FROM ("
	"  SELECT app, '' AS url, '' AS flow FROM unnest(string_to_array($11::text, E'\\n')) app"
	"  UNION ALL SELECT '', url, '' FROM unnest(string_to_array($12::text, E'\\n')) url"
	"  UNION ALL SELECT '', '', flow FROM unnest(string_to_array($13::text, E'\\n')) flow) "
	"one) info"
	" CROSS JOIN LATERAL gyro.card_request(coalesce($1::uuid, gen_random_uuid()), $2::smallint,"
	" CASE WHEN $2::smallint = 3 THEN 1 ELSE 0 END, $3::smallint, $4::smallint, $5::bigint,"
	" coalesce($6::text, ''), coalesce($7::text, ''), coalesce($8::text, ''),"
	" coalesce($9::smallint, 0::smallint), coalesce($10::text, ''), coalesce($14::bigint, -1), "
	"$15::bigint,"
	" info.apps, info.urls, info.flows, 0, 0, 0, false) r";

/* The function wants the beneficiary as requests name one: by an identity. */
static bool identify(struct gy_ctl *ctl, const char *subscriber, const char **kind,
		     const char **value)
{
	struct gy_rows *rows;

	*kind = *value = NULL;
	if (!subscriber)
		return true;
	rows = gy_db_query(ctl,
			   "SELECT kind, value FROM gyro.subscriber_identity"
			   " WHERE subscriber_id = $1 ORDER BY kind, value LIMIT 1",
			   subscriber);
	if (!rows)
		return false;
	if (rows->n == 0) {
		gy_fail(ctl, GY_EXIT_FAILED,
			"subscriber %s has no identity: gyroctl identity add gives it one",
			subscriber);
		return false;
	}
	*kind = gy_rows_get(rows, 0, "kind");
	*value = gy_rows_get(rows, 0, "value");
	return true;
}

struct gy_rows *gy_order_send(struct gy_ctl *ctl, const struct gy_order *order)
{
	const char *kind, *value, *message;
	struct gy_rows *rows;

	if (!identify(ctl, order->beneficiary, &kind, &value))
		return NULL;
	rows = gy_db_query(
		ctl, sql, order->session, talloc_asprintf(ctl->pool, "%d", order->request_type),
		talloc_asprintf(ctl->pool, "%d", (int)order->action),
		talloc_asprintf(ctl->pool, "%d", (int)order->operation), order->requester,
		order->product, order->purchase, order->card, kind, value, order->apps, order->urls,
		order->flows, order->priority, talloc_asprintf(ctl->pool, "%d", order->units));
	if (!rows)
		return NULL;
	message = gy_rows_get(rows, 0, "message");
	if (atoi(gy_rows_get(rows, 0, "result")) == 2001)
		return rows;
	gy_fail(ctl, GY_EXIT_FAILED, "refused with %s: %s", gy_rows_get(rows, 0, "result"),
		message ? message : "no reason given");
	return NULL;
}

struct gy_rows *gy_order_card(struct gy_ctl *ctl, const char *code)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT card_id, owner, beneficiary, account_id FROM gyro.card WHERE code = $1",
		code);

	if (rows && rows->n == 0) {
		gy_fail(ctl, GY_EXIT_FAILED,
			"card %s does not exist: gyroctl card list shows what does", code);
		return NULL;
	}
	return rows;
}
