-- The record of one request of a session. $1 session, $2 opened, $3 type, $4 number. What was decided after the database's
-- clock was set back, by up to three hours, is older than its session (P9): looked for only where nothing else is found.
SELECT content_hash, end_to_end, result, charges
  FROM gyro.record
 WHERE session = $1::uuid AND opened = $2::timestamptz AND at >= $2::timestamptz
   AND request_type = $3::smallint AND request_number = $4::bigint
UNION ALL
SELECT content_hash, end_to_end, result, charges
  FROM gyro.record
 WHERE session = $1::uuid AND opened = $2::timestamptz
   AND at < $2::timestamptz AND at >= $2::timestamptz - interval '3 hours'
   AND request_type = $3::smallint AND request_number = $4::bigint
 LIMIT 1
