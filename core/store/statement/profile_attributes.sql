-- The tariff half of subscribers' profiles: zone, codes and stored values (S-2, S-11). $1 subscribers.
-- kind: 0 zone, 1 code, 2 value.
SELECT i.position, 0::smallint AS kind, coalesce(s.zone_id, 0) AS id, 0::smallint AS value_type, 0::bigint AS number,
       NULL::text AS value, '-infinity'::timestamptz AS valid_from, 'infinity'::timestamptz AS valid_until
  FROM unnest($1::bigint[]) WITH ORDINALITY AS i (subscriber_id, position)
  JOIN gyro.subscriber s USING (subscriber_id)
UNION ALL
SELECT i.position, 1::smallint, c.code_id, 0::smallint, 0, NULL, c.valid_from, c.valid_until
  FROM unnest($1::bigint[]) WITH ORDINALITY AS i (subscriber_id, position)
  JOIN gyro.subscriber_dynamic_code c USING (subscriber_id)
 WHERE c.valid_until > clock_timestamp()
UNION ALL
SELECT i.position, 2::smallint, a.attribute_id, t.value_type, gyro.value_number(t.value_type, a.value), a.value,
       a.valid_from, a.valid_until
  FROM unnest($1::bigint[]) WITH ORDINALITY AS i (subscriber_id, position)
  JOIN gyro.subscriber_attribute a USING (subscriber_id)
  JOIN gyro.attribute_type t USING (attribute_id)
 WHERE a.valid_until > clock_timestamp()
