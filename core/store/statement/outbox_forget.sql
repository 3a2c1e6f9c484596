-- Finished rows that have been kept long enough, a part of them at a time; and causes that nobody could spread.
WITH unspread AS (
    DELETE FROM gyro.outbox_cause WHERE due_at < now() - interval '1 hour'
)
DELETE FROM gyro.outbox
 WHERE (outbox_id, group_id) IN (
       SELECT o.outbox_id, o.group_id FROM gyro.outbox o, gyro.outbox_policy p
        WHERE o.state IN (3, 4) AND o.finished_at < now() - p.keep
        ORDER BY o.finished_at LIMIT 5000)
