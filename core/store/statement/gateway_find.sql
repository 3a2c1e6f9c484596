-- The number of an Origin-Host, made when it is new, its greatest Origin-State-Id, and its last restart. Its realm may
-- have changed.
WITH made AS (
    INSERT INTO gyro.gateway (origin_host, origin_realm) VALUES ($1::text, $2::text)
    ON CONFLICT (origin_host) DO UPDATE SET origin_realm = excluded.origin_realm
     WHERE gateway.origin_realm <> excluded.origin_realm
    RETURNING gateway_id, origin_state, restarted_at, restarted_by
)
SELECT gateway_id, origin_state, restarted_at, restarted_by FROM made
UNION ALL
SELECT gateway_id, origin_state, restarted_at, restarted_by FROM gyro.gateway WHERE origin_host = $1::text
LIMIT 1
