-- Which of these Session-Ids have an index row, and of which account: those of CCR-Is that can't simply be new.
SELECT session, account_id FROM gyro.session_index WHERE session = ANY ($1::uuid[])
