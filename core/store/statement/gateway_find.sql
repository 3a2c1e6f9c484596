-- The number of an Origin-Host, made when it is new, and its greatest Origin-State-Id. Its realm may have
-- changed.
WITH made AS (
    INSERT INTO gyro.gateway (origin_host, origin_realm) VALUES ($1::text, $2::text)
    ON CONFLICT (origin_host) DO UPDATE SET origin_realm = excluded.origin_realm
     WHERE gateway.origin_realm <> excluded.origin_realm
    RETURNING gateway_id, origin_state
)
SELECT gateway_id, origin_state FROM made
UNION ALL
SELECT gateway_id, origin_state FROM gyro.gateway WHERE origin_host = $1::text
LIMIT 1
