-- The record of one request of a session. $1 session, $2 opened, $3 type, $4 number.
SELECT content_hash, end_to_end, result, charges
  FROM gyro.record
 WHERE session = $1::uuid AND opened = $2::timestamptz AND at >= $2::timestamptz
   AND request_type = $3::smallint AND request_number = $4::bigint
 LIMIT 1
