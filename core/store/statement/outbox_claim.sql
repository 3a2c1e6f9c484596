-- Takes rows to be sent, so that no other node does. $1 gateways that this node reaches, $2 milliseconds
-- for which each is left to a node that knows it better, $3 rows at most for each, $4 this node, $5
-- milliseconds until its claim ends, $6 tries at most. One request of a session at a time, an ASR first.
-- Rows that need not or must not be sent any more are finished instead; state tells.
WITH due AS (
    SELECT d.outbox_id, d.group_id
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS g (gateway_id, leave_ms, room)
     CROSS JOIN LATERAL (
           SELECT o.outbox_id, o.group_id
             FROM gyro.outbox o
            WHERE o.gateway_id = g.gateway_id AND o.state IN (1, 2)
              AND o.next_at <= now() - g.leave_ms * interval '1 millisecond'
              AND (o.state = 2 OR NOT EXISTS (
                   SELECT FROM gyro.outbox other
                    WHERE other.session = o.session AND other.group_id = o.group_id
                      AND (other.state = 2 OR other.state = 1 AND other.kind > o.kind)))
            ORDER BY o.next_at LIMIT g.room
              FOR UPDATE OF o SKIP LOCKED) d
), judged AS (
    SELECT o.outbox_id, o.group_id, gyro.outbox_moot(o) AS moot, o.attempts >= $6::bigint AS tired
      FROM due JOIN gyro.outbox o USING (outbox_id, group_id)
)
UPDATE gyro.outbox o
   SET state = CASE WHEN j.moot IS NOT NULL THEN 3 WHEN j.tired THEN 4 ELSE 2 END,
       attempts = o.attempts + (j.moot IS NULL AND NOT j.tired)::integer,
       node = CASE WHEN j.moot IS NULL AND NOT j.tired THEN $4::text ELSE o.node END,
       sent_at = CASE WHEN j.moot IS NULL AND NOT j.tired THEN now() ELSE o.sent_at END,
       next_at = now() + $5::bigint * interval '1 millisecond',
       outcome = CASE WHEN j.moot IS NOT NULL THEN j.moot WHEN j.tired THEN 'no answer' END,
       finished_at = CASE WHEN j.moot IS NOT NULL OR j.tired THEN now() END
  FROM judged j
 WHERE o.outbox_id = j.outbox_id AND o.group_id = j.group_id
RETURNING o.outbox_id, o.group_id, o.gateway_id, o.state, o.attempts, o.kind, coalesce(o.rating_group, -1),
          o.session_id, o.sub_session::text
