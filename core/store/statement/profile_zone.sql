-- The time zone of those of the subscribers who are bound to a card with hours, as its changes. $1 subscribers.
SELECT i.position, z.zone_id, c.at, c.offset_s
  FROM unnest($1::bigint[]) WITH ORDINALITY AS i (subscriber_id, position)
  JOIN gyro.subscriber s ON s.subscriber_id = i.subscriber_id
  JOIN gyro.time_zone z ON z.zone_id = s.zone_id OR s.zone_id IS NULL AND z.is_default
  JOIN gyro.time_zone_change c ON c.zone_id = z.zone_id
 WHERE EXISTS (SELECT FROM gyro.card_binding b JOIN gyro.card k USING (card_id)
                WHERE b.subscriber_id = i.subscriber_id AND b.unbound_at IS NULL AND k.window_from IS NOT NULL)
 ORDER BY i.position, c.at
