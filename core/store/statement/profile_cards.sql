-- The cards that subscribers are bound to, a row for each target; a general binding has one without. $1 subscribers.
-- Their time zone by number only, 0 the default one: where that is, the catalogue knows.
SELECT i.position, b.binding_id, b.card_id, k.account_id, b.directed, b.priority, coalesce(b.cap, 0) AS cap,
       coalesce(k.window_from, -1)::smallint AS window_from, coalesce(k.window_until, -1)::smallint AS window_until,
       coalesce(t.rating_group, -1) AS rating_group, coalesce(t.service_id, -1) AS service_id,
       coalesce(s.zone_id, 0) AS zone_id
  FROM unnest($1::bigint[]) WITH ORDINALITY AS i (subscriber_id, position)
  JOIN gyro.subscriber s ON s.subscriber_id = i.subscriber_id
  JOIN gyro.card_binding b ON b.subscriber_id = i.subscriber_id AND b.unbound_at IS NULL
  JOIN gyro.card k ON k.card_id = b.card_id AND k.retired IS NULL
  LEFT JOIN gyro.binding_target t ON t.binding_id = b.binding_id
 ORDER BY i.position, b.binding_id, t.rating_group, t.service_id
