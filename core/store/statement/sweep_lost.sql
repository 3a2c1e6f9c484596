-- Open sessions that their gateways have lost (G-92), $1 at most of each; whoever has them locked looks after them. Those
-- that were put off because somebody holds their account make way: they are due within the second, and come back here then.
SELECT x.session, x.account_id, g.gateway_id, g.restarted_at
  FROM gyro.gateway g
 CROSS JOIN LATERAL (
       SELECT i.session, i.account_id FROM gyro.session_index i
        WHERE i.gateway_id = g.gateway_id AND i.opened < g.restarted_at AND NOT i.ended AND NOT i.taken_over AND NOT i.release_requested
          AND i.session <> g.restarted_by
          AND i.check_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 second'
        ORDER BY i.opened LIMIT $1::integer
          FOR UPDATE OF i SKIP LOCKED) x
 WHERE g.restart_open
 LIMIT $1::integer
