-- Which of these Session-Ids have an index row: those of CCR-Is that can't simply be new.
SELECT session FROM gyro.session_index WHERE session = ANY ($1::uuid[])
