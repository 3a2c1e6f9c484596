-- Sessions that ended longer than the late window ago: no longer answerable.
DELETE FROM gyro.session_index WHERE session = ANY ($1::uuid[]) AND ended
