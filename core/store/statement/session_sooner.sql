-- Sessions whose deadline has come nearer than it was: their first grant, or one with a shorter Validity-Time (G-67).
-- $1 sessions, $2 when to look. What is looked at before then anyway stays as it is.
UPDATE gyro.session_index x SET check_at = i.check_at
  FROM unnest($1::uuid[], $2::timestamptz[]) AS i (session, check_at)
 WHERE x.session = i.session AND x.check_at > i.check_at AND NOT x.ended
