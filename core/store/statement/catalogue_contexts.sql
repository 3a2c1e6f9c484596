-- Service contexts; longer suffixes first, so that the most specific one matches.
SELECT suffix, coalesce(default_rating_group, -1) FROM gyro.service_context
 ORDER BY length(suffix) DESC, suffix
