-- A card operation, see gyro.card_request. $1 session, $2 CC-Request-Type, $3 CC-Request-Number, $4 Requested-Action,
-- $5 Card-Operation, $6 requester, $7 product, $8 purchase, $9 card, $10 and $11 beneficiary, $12 priority, $13 units,
-- $14 to $16 apps, URLs, flows, $17 gateway, $18 End-to-End-Id, $19 hash of the content, $20 T bit.
SELECT (r).*
  FROM gyro.card_request($1::uuid, $2::smallint, $3::bigint, $4::smallint, $5::smallint, $6::bigint, $7::text, $8::text,
                         $9::text, $10::smallint, $11::text, $12::bigint, $13::bigint, $14::text[], $15::text[],
                         $16::text[], $17::bigint, $18::bigint, $19::bigint, $20::boolean) r
