-- What is known of a session that the account row has forgotten. $1 session, $2 type, $3 number. It has ended, so there is
-- a record of it; if not since it opened, the clock was set back (see history_record.sql).
SELECT x.account_id, x.subscriber_id, x.gateway_id, x.opened,
       coalesce((SELECT max(r.at) FROM gyro.record r
                  WHERE r.session = x.session AND r.opened = x.opened AND r.at >= x.opened
                    AND r.request_type IN (0, 3) AND r.flags & 4 = 0),
                (SELECT max(r.at) FROM gyro.record r
                  WHERE r.session = x.session AND r.opened = x.opened
                    AND r.at < x.opened AND r.at >= x.opened - interval '3 hours'
                    AND r.request_type IN (0, 3) AND r.flags & 4 = 0)) AS ended,
       (SELECT g.origin_realm FROM gyro.gateway g WHERE g.gateway_id = x.gateway_id) AS origin_realm
  FROM gyro.session_index x WHERE x.session = $1::uuid
