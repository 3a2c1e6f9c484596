-- Open sessions that their gateways have lost (G-92), $1 at most of each; whoever has them locked looks after them.
SELECT x.session, x.account_id, g.gateway_id, g.restarted_at
  FROM gyro.gateway g
 CROSS JOIN LATERAL (
       SELECT i.session, i.account_id FROM gyro.session_index i
        WHERE i.gateway_id = g.gateway_id AND i.opened < g.restarted_at AND NOT i.ended AND NOT i.taken_over AND NOT i.release_requested
          AND i.session <> g.restarted_by
        ORDER BY i.opened LIMIT $1::integer
          FOR UPDATE OF i SKIP LOCKED) x
 WHERE g.restart_open
 LIMIT $1::integer
