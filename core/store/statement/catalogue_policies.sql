-- How grants are sized and shaped; in the order of look-up.
SELECT rating_group, default_grant, max_grant, threshold, validity_s, quota_holding_s, final_unit,
       coalesce(redirect_type, 0)::smallint, redirect_address, array_to_string(filter_ids, E'\n')
  FROM gyro.rating_group ORDER BY rating_group
