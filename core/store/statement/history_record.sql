-- The record of one request of a session. $1 session, $2 opened, $3 type, $4 number, $5 whether usage in its course may
-- have that number. The rows of the account's batch are locked meanwhile, so only the last resort reads whole days:
-- ends, late usage and refunds have an index, whatever opens a session was decided at that very time.
-- What was decided after the database's clock was set back, by up to three hours, is older than its session (P9).
SELECT content_hash, end_to_end, result, charges
  FROM gyro.record
 WHERE session = $1::uuid AND opened = $2::timestamptz AND at >= $2::timestamptz - interval '3 hours'
   AND request_type = $3::smallint AND request_number = $4::bigint
   AND (request_type IN (0, 3) OR flags & 4 <> 0 OR request_type = 4 AND at <> opened)
UNION ALL
SELECT content_hash, end_to_end, result, charges
  FROM gyro.record
 WHERE session = $1::uuid AND opened = $2::timestamptz AND at = $2::timestamptz
   AND request_type = $3::smallint AND request_number = $4::bigint AND $3::smallint IN (1, 4)
UNION ALL
SELECT content_hash, end_to_end, result, charges
  FROM gyro.record
 WHERE session = $1::uuid AND opened = $2::timestamptz AND at >= $2::timestamptz
   AND request_type = 2 AND request_number = $4::bigint AND $3::smallint = 2 AND $5::boolean
UNION ALL
SELECT content_hash, end_to_end, result, charges
  FROM gyro.record
 WHERE session = $1::uuid AND opened = $2::timestamptz
   AND at < $2::timestamptz AND at >= $2::timestamptz - interval '3 hours'
   AND request_type = 2 AND request_number = $4::bigint AND $3::smallint = 2 AND $5::boolean
 LIMIT 1
