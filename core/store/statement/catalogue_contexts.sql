-- Service contexts; longer suffixes first, so that the most specific one matches. $1 version.
SELECT suffix, coalesce(default_rating_group, -1), array_to_string(apns, E'\n'), coalesce(cards, false)
  FROM jsonb_populate_recordset(NULL::gyro.service_context,
                                (SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint) -> 'service_context')
 ORDER BY length(suffix) DESC, suffix
