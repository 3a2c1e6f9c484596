-- Days of the holiday calendars, calendar by calendar; also calendars without any. $1 version.
WITH archived AS (
    SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint
)
SELECT k.calendar_id, k.name, d.day - date '1970-01-01'
  FROM archived a
 CROSS JOIN LATERAL jsonb_populate_recordset(NULL::gyro.calendar, a.content -> 'calendar') k
  LEFT JOIN LATERAL jsonb_populate_recordset(NULL::gyro.calendar_day, a.content -> 'calendar_day') d
    ON d.calendar_id = k.calendar_id
 ORDER BY k.calendar_id, d.day
