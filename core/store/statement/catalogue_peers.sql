-- What differs for some gateways; the longest pattern, and so the most specific, first.
SELECT peer, tariff_time_change FROM gyro.peer_profile
 ORDER BY (peer LIKE '*.%'), length(peer) DESC, peer
