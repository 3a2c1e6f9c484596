-- Specific rules; sorted again by the reader. $1 version.
SELECT rule_id, tariff_id, rating_group, unit, kind, price_micros, block, valid_from, valid_until
  FROM jsonb_populate_recordset(NULL::gyro.specific_rule,
                                (SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint) -> 'specific_rule')
