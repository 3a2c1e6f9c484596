-- What came of requests that this node sent. $1, $2 rows, $3 attempts as it was when they were sent, $4
-- 1 done, 2 the gateway has no such session, 3 refused for good, 4 to be tried again, 5 never left
-- here; $5 Result-Code, -1 no answer; $6 milliseconds until the next try; $7 this node, $8 tries at most.
-- A session that the gateway doesn't know is released (G-81, G-83). Returns how many are.
WITH told AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
           AS t (outbox_id, group_id, attempts, told, code, pause_ms)
), settled AS (
    UPDATE gyro.outbox o
       SET state = s.state, attempts = o.attempts - (t.told = 5)::integer,
           next_at = now() + t.pause_ms * interval '1 millisecond',
           answer_code = CASE WHEN t.code >= 0 THEN t.code ELSE o.answer_code END,
           outcome = CASE s.state WHEN 3 THEN CASE t.told WHEN 1 THEN 'accepted'
                                                          WHEN 2 THEN 'the gateway has no such session'
                                                          ELSE 'merged into a later one' END
                                  WHEN 4 THEN CASE WHEN t.told = 3 OR t.code >= 0 THEN 'refused' ELSE 'no answer' END END,
           finished_at = CASE WHEN s.state IN (3, 4) THEN now() END
      FROM told t
      JOIN gyro.outbox b ON b.outbox_id = t.outbox_id AND b.group_id = t.group_id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN t.told IN (1, 2) THEN 3 WHEN t.told = 3 THEN 4
                       WHEN t.told = 4 AND t.attempts >= $8::bigint THEN 4
                       WHEN EXISTS (SELECT FROM gyro.outbox later
                                     WHERE later.session = b.session AND later.group_id = b.group_id
                                       AND later.kind = b.kind AND later.state = 1) THEN 3
                       ELSE 1 END AS state) s
     WHERE o.outbox_id = b.outbox_id AND o.group_id = b.group_id
       AND o.state = 2 AND o.node = $7::text AND o.attempts = t.attempts
    RETURNING o.session, o.opened, t.told
)
SELECT count(gyro.session_release(x.session))
  FROM settled JOIN gyro.session_index x ON x.session = settled.session AND x.opened = settled.opened
 WHERE settled.told = 2
