-- The number of an Origin-Host, made when it is new, its greatest Origin-State-Id, and its last restart. Its realm may
-- have changed, and how it writes its name.
WITH made AS (
    INSERT INTO gyro.gateway (origin_host, origin_realm) VALUES ($1::text, $2::text)
    ON CONFLICT (lower(origin_host COLLATE "C")) DO UPDATE
       SET origin_host = excluded.origin_host, origin_realm = excluded.origin_realm
     WHERE gateway.origin_host <> excluded.origin_host OR gateway.origin_realm <> excluded.origin_realm
    RETURNING gateway_id, origin_state, restarted_at, restarted_by
)
SELECT gateway_id, origin_state, restarted_at, restarted_by FROM made
UNION ALL
SELECT gateway_id, origin_state, restarted_at, restarted_by FROM gyro.gateway
 WHERE lower(origin_host COLLATE "C") = lower($1::text COLLATE "C")
LIMIT 1
