-- Sessions whose time of supervision has come; whoever has them locked looks after them. $1 at most.
SELECT session, account_id, release_requested, ended
  FROM gyro.session_index
 WHERE check_at <= clock_timestamp()
 ORDER BY check_at LIMIT $1::integer
   FOR UPDATE SKIP LOCKED
