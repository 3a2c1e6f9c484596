-- A greater Origin-State-Id than the one known. $1 gateway, $2 state, $3 the session that goes on.
SELECT gyro.gateway_restarted($1::bigint, $2::bigint, $3::uuid)
