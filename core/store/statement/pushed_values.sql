-- Values pushed from outside, as they are now.
SELECT p.attribute_id, p.scope, t.value_type, gyro.value_number(t.value_type, p.value), p.value,
       p.valid_from, p.valid_until
  FROM gyro.pushed_value p JOIN gyro.attribute_type t USING (attribute_id)
 WHERE p.valid_until > clock_timestamp()
