-- Rows whose gateway nobody reached before the supervision of their session ended.
UPDATE gyro.outbox SET state = 4, outcome = 'gateway not reached', finished_at = now()
 WHERE state IN (1, 2) AND give_up_at < now() AND next_at < now() - interval '2 seconds'
