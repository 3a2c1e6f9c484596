-- What is known of a session that the account row has forgotten. $1 session. It has ended, so there is a record of that,
-- found by the index record_late; it may be older than the session if the clock was set back (see history_record.sql).
-- highest: of its numbers, if supervision or an operator ended it.
SELECT x.account_id, x.subscriber_id, x.gateway_id, x.opened, e.ended,
       (SELECT g.origin_realm FROM gyro.gateway g WHERE g.gateway_id = x.gateway_id) AS origin_realm, e.highest
  FROM gyro.session_index x
 CROSS JOIN LATERAL (SELECT max(r.at) AS ended, max(r.request_number) FILTER (WHERE r.request_type = 0) AS highest
                       FROM gyro.record r
                      WHERE r.session = x.session AND r.opened = x.opened AND r.at >= x.opened - interval '3 hours'
                        AND r.request_type IN (0, 3) AND r.flags & 4 = 0) e
 WHERE x.session = $1::uuid
