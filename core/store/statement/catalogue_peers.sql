-- What differs for some gateways; the longest pattern, and so the most specific, first. $1 version.
SELECT peer, tariff_time_change, coalesce(free_answer, 0)::smallint, coalesce(terminate_only, false),
       coalesce(credit_pools, true), coalesce(restart_ends_sessions, true)
  FROM jsonb_populate_recordset(NULL::gyro.peer_profile,
                                (SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint) -> 'peer_profile')
 ORDER BY (peer LIKE '*.%'), length(peer) DESC, peer
