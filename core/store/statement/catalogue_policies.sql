-- How grants are sized and shaped; in the order of look-up. $1 version.
SELECT rating_group, default_grant, max_grant, threshold, validity_s, coalesce(quota_holding_s, -1), final_unit,
       coalesce(redirect_type, 0)::smallint, redirect_address, array_to_string(filter_ids, E'\n'),
       array_to_string(filter_rules, E'\n'), coalesce(quota_consumption_s, 0), array_to_string(triggers, E'\n'),
       coalesce(min_grant, 1), coalesce(target_s, 0), coalesce(validity_jitter, 0)::smallint,
       -- A pool is of several.
       CASE WHEN count(*) OVER (PARTITION BY pool) > 1 THEN coalesce(pool, 0) ELSE 0 END
  FROM jsonb_populate_recordset(NULL::gyro.rating_group,
                                (SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint) -> 'rating_group')
 ORDER BY rating_group
