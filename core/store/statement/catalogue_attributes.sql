-- Attribute types with their defaults. $1 version.
SELECT attribute_id, name, source, derivation, value_type, on_change, coalesce(calendar_id, 0), all_groups,
       gyro.value_number(value_type, default_value), default_value
  FROM jsonb_populate_recordset(NULL::gyro.attribute_type,
                                (SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint) -> 'attribute_type')
 ORDER BY attribute_id
