-- Gateways to which something is to be sent, or is on its way: few, whatever their number of rows. Jumps
-- from gateway to gateway in the index. Also in how many milliseconds the next row of each becomes due
-- that is not yet due; -1: none.
WITH RECURSIVE gateways (gateway_id) AS (
    (SELECT gateway_id FROM gyro.outbox WHERE state IN (1, 2) ORDER BY gateway_id LIMIT 1)
    UNION ALL
    SELECT (SELECT o.gateway_id FROM gyro.outbox o
             WHERE o.state IN (1, 2) AND o.gateway_id > w.gateway_id ORDER BY o.gateway_id LIMIT 1)
      FROM gateways w WHERE w.gateway_id IS NOT NULL
)
SELECT g.gateway_id, g.origin_host, g.origin_realm,
       coalesce((SELECT ceil(extract(epoch FROM o.next_at - now()) * 1000)::bigint FROM gyro.outbox o
                  WHERE o.gateway_id = g.gateway_id AND o.state IN (1, 2) AND o.next_at > now()
                  ORDER BY o.next_at LIMIT 1), -1)
  FROM gateways JOIN gyro.gateway g USING (gateway_id)
