-- Usage of a session that was never seen, for the operator (G-24). A copy of it is kept once.
INSERT INTO gyro.unmatched_usage (at, session, session_id, origin_host, request_type, request_number,
                                  content_hash, usage)
VALUES (clock_timestamp(), $1::uuid, $2::text, $3::text, $4::smallint, $5::bigint, $6::bigint, $7::bigint[])
ON CONFLICT DO NOTHING
