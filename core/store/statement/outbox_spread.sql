-- Puts requests of causes with very many sessions into the outbox, those of $1 subscribers at most.
SELECT spread, due_in_ms FROM gyro.outbox_spread($1::bigint)
