-- The same for rows that were held too often: waits its turn, as long as lock_timeout lets it.
SELECT account_id, group_id, version, profile_version, state, currency, balance, reserved,
       credit_limit, valid_until, sessions, reservations, answers, slices, counters, draws, card_use, cards
  FROM gyro.account
 WHERE account_id = ANY ($1::bigint[])
 ORDER BY account_id
   FOR NO KEY UPDATE
