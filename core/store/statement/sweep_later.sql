-- What the sweeper found: when to look again, and whether the session has ended. $1 sessions, $2 when, $3 ended, $4 its
-- gateway has lost it, and it has ended or ends by itself at that time, $5 another gateway has had it.
UPDATE gyro.session_index x
   SET check_at = i.check_at, ended = i.ended, release_requested = i.lost OR x.release_requested AND NOT i.ended,
       taken_over = x.taken_over OR i.taken_over
  FROM unnest($1::uuid[], $2::timestamptz[], $3::boolean[], $4::boolean[], $5::boolean[])
       AS i (session, check_at, ended, lost, taken_over)
 WHERE x.session = i.session
