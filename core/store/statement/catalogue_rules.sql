-- Specific rules; sorted again by the reader.
SELECT rule_id, tariff_id, rating_group, unit, kind, price_micros, block, valid_from, valid_until
  FROM gyro.specific_rule
