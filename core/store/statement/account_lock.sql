-- Locks and reads account rows, in the order of their number: no deadlock between nodes. A row that
-- somebody else holds is left out; its requests are tried again in a later batch.
SELECT account_id, group_id, version, profile_version, state, currency, balance, reserved,
       credit_limit, valid_until, sessions, reservations, answers, slices, counters, draws, card_use, cards
  FROM gyro.account
 WHERE account_id = ANY ($1::bigint[])
 ORDER BY account_id
   FOR NO KEY UPDATE SKIP LOCKED
