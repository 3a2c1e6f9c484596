-- Identities to subscribers. $1 kinds, $2 values; position from 1. The first identity of a request
-- that is found wins (G-16): the caller knows the order.
SELECT i.position, s.subscriber_id, s.account_id, s.group_id, a.profile_version, s.tariff_id, s.state,
       EXISTS (SELECT FROM gyro.card_binding b WHERE b.subscriber_id = s.subscriber_id AND b.unbound_at IS NULL) AS has_cards
  FROM unnest($1::smallint[], $2::text[]) WITH ORDINALITY AS i (kind, value, position)
  JOIN gyro.subscriber_identity si ON si.kind = i.kind AND si.value = i.value
  JOIN gyro.subscriber s ON s.subscriber_id = si.subscriber_id
  JOIN gyro.account a ON a.account_id = s.account_id AND a.group_id = s.group_id
