-- Time zones as their changes, zone by zone. $1 version.
WITH archived AS (
    SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint
)
SELECT z.zone_id, z.name, z.is_default, c.at, c.offset_s
  FROM archived a
 CROSS JOIN LATERAL jsonb_populate_recordset(NULL::gyro.time_zone, a.content -> 'time_zone') z
  JOIN LATERAL jsonb_populate_recordset(NULL::gyro.time_zone_change, a.content -> 'time_zone_change') c
    ON c.zone_id = z.zone_id
 ORDER BY z.zone_id, c.at
