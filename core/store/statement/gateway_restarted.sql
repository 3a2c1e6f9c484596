-- A greater Origin-State-Id than the one known. $1 gateway, $2 state, $3 the session that goes on, $4 whether it ends others.
SELECT $1::bigint AS gateway_id, known_state, restarted, teller, news
  FROM gyro.gateway_restarted($1::bigint, $2::bigint, $3::uuid, $4::boolean)
