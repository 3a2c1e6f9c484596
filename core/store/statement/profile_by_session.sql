-- Sessions to subscribers, for requests that name none (G-17). $1 sessions; position from 1.
SELECT i.position, s.subscriber_id, s.account_id, s.group_id, a.profile_version, s.tariff_id, s.state,
       EXISTS (SELECT FROM gyro.card_binding b WHERE b.subscriber_id = s.subscriber_id AND b.unbound_at IS NULL) AS has_cards
  FROM unnest($1::uuid[]) WITH ORDINALITY AS i (session, position)
  JOIN gyro.session_index x ON x.session = i.session
  JOIN gyro.subscriber s ON s.subscriber_id = x.subscriber_id
  JOIN gyro.account a ON a.account_id = s.account_id AND a.group_id = s.group_id
