-- Dynamic codes. $1 version.
SELECT code_id, code, attribute_id, on_missing
  FROM jsonb_populate_recordset(NULL::gyro.dynamic_code,
                                (SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint) -> 'dynamic_code')
 ORDER BY code_id
