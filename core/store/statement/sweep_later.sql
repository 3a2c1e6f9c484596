-- What the sweeper found: when to look again, and whether the session has ended. $1 sessions, $2 when,
-- $3 ended.
UPDATE gyro.session_index x
   SET check_at = i.check_at, ended = i.ended, release_requested = x.release_requested AND NOT i.ended
  FROM unnest($1::uuid[], $2::timestamptz[], $3::boolean[]) AS i (session, check_at, ended)
 WHERE x.session = i.session
