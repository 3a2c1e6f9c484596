-- Dynamic rules, their operands as numbers of the type of the attribute they look at. $1 version.
WITH archived AS (
    SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint
)
SELECT r.rule_id, coalesce(r.tariff_id, 0), coalesce(r.code_id, 0), coalesce(r.attribute_id, 0),
       coalesce(r.rating_group, -1), coalesce(r.unit, 0)::smallint, r.match,
       coalesce(t.value_type, 3)::smallint,
       gyro.value_number(coalesce(t.value_type, 3)::smallint, r.low), r.low,
       gyro.value_number(coalesce(t.value_type, 3)::smallint, r.high), r.high,
       (SELECT string_agg(CASE WHEN t.value_type = 3 THEN v
                               ELSE gyro.value_number(t.value_type, v)::text END, E'\n' ORDER BY n)
          FROM unnest(r.set_values) WITH ORDINALITY AS s (v, n)),
       r.effect, r.amount, r.block, coalesce(r.redirect_type, 0)::smallint, r.redirect_address, r.precedence,
       r.stack_group, r.valid_from, r.valid_until
  FROM archived a
 CROSS JOIN LATERAL jsonb_populate_recordset(NULL::gyro.dynamic_rule, a.content -> 'dynamic_rule') r
  LEFT JOIN LATERAL jsonb_populate_recordset(NULL::gyro.dynamic_code, a.content -> 'dynamic_code') c
         ON c.code_id = r.code_id
  LEFT JOIN LATERAL jsonb_populate_recordset(NULL::gyro.attribute_type, a.content -> 'attribute_type') t
         ON t.attribute_id = coalesce(c.attribute_id, r.attribute_id)
 ORDER BY r.rule_id
