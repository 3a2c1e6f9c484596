-- One batch: account rows, session index, records. The counts of changed rows are checked inside,
-- so that a wrong one fails the transaction before its COMMIT, which is already on its way.
-- $1-$20 accounts, $21-$41 and $53 records, $42-$51 opened sessions, $52 rows expected in all.
WITH changed AS (
    UPDATE gyro.account a
       SET version = a.version + 1, balance = i.balance, reserved = i.reserved,
           sessions = ($16::bigint[])[i.s_from:i.s_to],
           reservations = ($17::bigint[])[i.r_from:i.r_to],
           answers = ($18::bigint[])[i.a_from:i.a_to],
           slices = ($19::bigint[])[i.l_from:i.l_to],
           counters = ($20::bigint[])[i.c_from:i.c_to]
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                  $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                  $13::bigint[], $14::bigint[], $15::bigint[])
           AS i (account_id, group_id, version, balance, reserved, s_from, s_to, r_from, r_to, a_from, a_to,
                 l_from, l_to, c_from, c_to)
     WHERE a.account_id = i.account_id AND a.group_id = i.group_id AND a.version = i.version
    RETURNING 1
), recorded AS (
    INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened,
                             request_number, end_to_end, content_hash, debit, balance, reserved,
                             result, request_type, flags, catalogue, inputs, correlation, charges)
    SELECT r.at, r.account_id, r.group_id, r.subscriber_id, r.gateway_id, r.session, r.opened,
           r.request_number, r.end_to_end, r.content_hash, r.debit, r.balance, r.reserved,
           r.result, r.request_type, r.flags, r.catalogue, nullif(r.inputs, ''), nullif(r.correlation, ''),
           ($41::bigint[])[r.c_from:r.c_to]
      FROM unnest($21::timestamptz[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[],
                  $26::uuid[], $27::timestamptz[], $28::bigint[], $29::bigint[], $30::bigint[],
                  $31::bigint[], $32::bigint[], $33::bigint[], $34::integer[], $35::smallint[],
                  $36::smallint[], $37::bigint[], $38::text[], $53::text[], $39::bigint[], $40::bigint[])
           AS r (at, account_id, group_id, subscriber_id, gateway_id, session, opened,
                 request_number, end_to_end, content_hash, debit, balance, reserved, result,
                 request_type, flags, catalogue, inputs, correlation, c_from, c_to)
    RETURNING 1
), opened AS (
    SELECT * FROM unnest($42::uuid[], $43::text[], $44::text[], $45::bigint[], $46::bigint[], $47::bigint[],
                         $48::bigint[], $49::timestamptz[], $50::timestamptz[], $51::boolean[])
               AS i (session, session_id, sub_session, account_id, group_id, subscriber_id, gateway_id,
                     opened, check_at, known)
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
    -- Of one whose earlier session has ended.
    INSERT INTO gyro.session_index AS x (session, session_id, sub_session, account_id, group_id, subscriber_id,
                                         gateway_id, opened, check_at)
    SELECT session, session_id, nullif(sub_session, '')::numeric, account_id, group_id, subscriber_id, gateway_id,
           opened, check_at
      FROM opened WHERE known
    ON CONFLICT (session) DO UPDATE
       SET account_id = excluded.account_id, group_id = excluded.group_id,
           subscriber_id = excluded.subscriber_id, gateway_id = excluded.gateway_id,
           opened = excluded.opened, check_at = excluded.check_at,
           release_requested = false, ended = false
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM changed) + (SELECT count(*) FROM recorded)
            + (SELECT count(*) FROM indexed) + (SELECT count(*) FROM indexed_again) = $52::bigint)::integer
