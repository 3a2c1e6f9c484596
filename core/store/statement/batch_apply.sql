-- One batch: account rows, session index, records. The counts of changed rows are checked inside,
-- so that a wrong one fails the transaction before its COMMIT, which is already on its way.
-- $1-$26 accounts, $27-$47 and $61 records, $48-$59 opened sessions, $60 rows expected in all.
WITH changed AS (
    UPDATE gyro.account a
       SET version = a.version + 1, balance = i.balance, reserved = i.reserved,
           sessions = ($20::bigint[])[i.s_from:i.s_to],
           reservations = ($21::bigint[])[i.r_from:i.r_to],
           answers = ($22::bigint[])[i.a_from:i.a_to],
           slices = ($23::bigint[])[i.l_from:i.l_to],
           counters = ($24::bigint[])[i.c_from:i.c_to],
           draws = ($25::bigint[])[i.d_from:i.d_to],
           card_use = ($26::bigint[])[i.k_from:i.k_to]
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                  $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                  $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[],
                  $19::bigint[])
           AS i (account_id, group_id, version, balance, reserved, s_from, s_to, r_from, r_to, a_from, a_to,
                 l_from, l_to, c_from, c_to, d_from, d_to, k_from, k_to)
     WHERE a.account_id = i.account_id AND a.group_id = i.group_id AND a.version = i.version
    RETURNING 1
), recorded AS (
    INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened,
                             request_number, end_to_end, content_hash, debit, balance, reserved,
                             result, request_type, flags, catalogue, inputs, correlation, charges)
    SELECT r.at, r.account_id, r.group_id, r.subscriber_id, r.gateway_id, r.session, r.opened,
           r.request_number, r.end_to_end, r.content_hash, r.debit, r.balance, r.reserved,
           r.result, r.request_type, r.flags, r.catalogue, nullif(r.inputs, ''), nullif(r.correlation, ''),
           ($47::bigint[])[r.c_from:r.c_to]
      FROM unnest($27::timestamptz[], $28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[],
                  $32::uuid[], $33::timestamptz[], $34::bigint[], $35::bigint[], $36::bigint[],
                  $37::bigint[], $38::bigint[], $39::bigint[], $40::integer[], $41::smallint[],
                  $42::smallint[], $43::bigint[], $44::text[], $61::text[], $45::bigint[], $46::bigint[])
           AS r (at, account_id, group_id, subscriber_id, gateway_id, session, opened,
                 request_number, end_to_end, content_hash, debit, balance, reserved, result,
                 request_type, flags, catalogue, inputs, correlation, c_from, c_to)
    RETURNING 1
), opened AS (
    SELECT * FROM unnest($48::uuid[], $49::text[], $50::text[], $51::bigint[], $52::bigint[], $53::bigint[],
                         $54::bigint[], $55::timestamptz[], $56::timestamptz[], $57::boolean[], $58::bigint[], $59::timestamptz[])
               AS i (session, session_id, sub_session, account_id, group_id, subscriber_id, gateway_id,
                     opened, check_at, known, of_account, of_opened)
), indexed AS (
    -- Of a Session-Id that was not known. If another node has made the row since, for another account, this fails
    -- (unique_violation): taking the row over would leave the other session without supervision.
    INSERT INTO gyro.session_index (session, session_id, sub_session, account_id, group_id, subscriber_id,
                                    gateway_id, opened, check_at)
    SELECT session, session_id, nullif(sub_session, '')::numeric, account_id, group_id, subscriber_id, gateway_id,
           opened, check_at
      FROM opened WHERE NOT known
    RETURNING 1
), indexed_again AS (
    -- Of one whose earlier session has ended: the account's own, or the very one that the decision saw. If another node
    -- has taken the row over since, nothing is changed, and the count is wrong.
    INSERT INTO gyro.session_index AS x (session, session_id, sub_session, account_id, group_id, subscriber_id,
                                         gateway_id, opened, check_at)
    SELECT session, session_id, nullif(sub_session, '')::numeric, account_id, group_id, subscriber_id, gateway_id,
           opened, check_at
      FROM opened WHERE known
    ON CONFLICT (session) DO UPDATE
       SET account_id = excluded.account_id, group_id = excluded.group_id,
           subscriber_id = excluded.subscriber_id, gateway_id = excluded.gateway_id,
           opened = excluded.opened, check_at = excluded.check_at,
           release_requested = false, ended = false, taken_over = false
     WHERE x.account_id = excluded.account_id
        OR EXISTS (SELECT FROM opened o WHERE o.session = x.session AND o.of_account = x.account_id AND o.of_opened = x.opened)
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM changed) + (SELECT count(*) FROM recorded)
            + (SELECT count(*) FROM indexed) + (SELECT count(*) FROM indexed_again) = $60::bigint)::integer
