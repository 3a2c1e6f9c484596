-- What gyroctl needs beyond single statements: subscribers as one call, records as flat lines.
--
-- Refuses what would leave money or sessions behind: a subscriber with open sessions is neither moved
-- to another account nor removed. What was drawn and counted for him moves with him.

-- Days of records are days in UTC, whatever the time zone of the caller: else two callers' days overlap.
ALTER FUNCTION gyro.record_partition(integer) SET timezone TO 'UTC';

-- Opens an account, or changes an existing one: its balance is never touched, its currency must be the
-- same. A credit limit isn't lowered below what is in use. NULL leaves a value as it is; for a new account it is no credit, active, valid forever.
CREATE FUNCTION gyro.account_put(for_account bigint, currency_number smallint, opening_micros bigint,
                                 credit_limit_micros bigint, new_state smallint, new_valid_until timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before smallint;
BEGIN
    SELECT currency INTO before FROM gyro.account WHERE account_id = for_account FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM gyro.account_open(for_account, currency_number, coalesce(opening_micros, 0),
                                  coalesce(credit_limit_micros, 0));
    ELSIF before <> currency_number THEN
        RAISE EXCEPTION 'account % is in currency %, which cannot become %', for_account, before, currency_number
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF credit_limit_micros IS NOT NULL THEN
        PERFORM gyro.account_credit(for_account, credit_limit_micros);
    END IF;
    UPDATE gyro.account SET state = coalesce(new_state, state), valid_until = coalesce(new_valid_until, valid_until)
     WHERE account_id = for_account;
END $$;

-- Locks an account and counts the open sessions of one of its subscribers.
CREATE FUNCTION gyro.subscriber_sessions(for_subscriber bigint, for_account bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM gyro.account WHERE account_id = for_account AND NOT gyro.is_trial() FOR NO KEY UPDATE;
    RETURN (SELECT count(*) FROM gyro.session s
             WHERE s.account_id = for_account AND s.subscriber_id = for_subscriber AND s.state = 1);
END $$;

-- Makes a subscriber. State: 1 active, 2 barred.
CREATE FUNCTION gyro.subscriber_add(for_subscriber bigint, for_account bigint, tariff_code text,
                                    new_state smallint DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owner  bigint;
    tariff integer;
BEGIN
    SELECT group_id INTO owner FROM gyro.account WHERE account_id = for_account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account % does not exist', for_account USING ERRCODE = 'no_data_found';
    END IF;
    SELECT tariff_id INTO tariff FROM gyro.specific_tariff WHERE code = tariff_code;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tariff % does not exist', tariff_code USING ERRCODE = 'no_data_found';
    END IF;
    INSERT INTO gyro.subscriber (subscriber_id, account_id, group_id, tariff_id, state)
    VALUES (for_subscriber, for_account, owner, tariff, new_state);
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'subscriber % exists', for_subscriber USING ERRCODE = 'unique_violation';
END $$;

-- The rows of a matrix that have this number in this column, or all its others.
CREATE FUNCTION gyro.matrix_part(matrix bigint[], col integer, number bigint, others boolean) RETURNS bigint[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(gyro.matrix_row(matrix, n) ORDER BY n), '{}')
      FROM generate_series(1, gyro.matrix_rows(matrix)) n WHERE (matrix[n][col] <> number) = others
$$;

-- What a subscriber drew under caps and what was counted goes with him: neither a cap nor the free units of a day begin
-- anew. Both accounts are locked and no session of his is open, so grants hold nothing of either. A removed subscriber
-- of the same number may have left rows there: the ledger has his draws, too, and they are added up; his counters go.
CREATE FUNCTION gyro.subscriber_rows_move(whose bigint, from_account bigint, to_account bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    drawn   bigint[];
    counted bigint[];
BEGIN
    SELECT gyro.matrix_part(draws, 2, whose, false), gyro.matrix_part(counters, 1, whose, false) INTO drawn, counted
      FROM gyro.account WHERE account_id = from_account;
    IF drawn = '{}' AND counted = '{}' OR gyro.is_trial() THEN
        RETURN;
    END IF;
    UPDATE gyro.account
       SET version = version + 1, draws = gyro.matrix_part(draws, 2, whose, true),
           counters = gyro.matrix_part(counters, 1, whose, true)
     WHERE account_id = from_account;
    SELECT drawn || gyro.matrix_part(draws, 2, whose, false) INTO drawn FROM gyro.account WHERE account_id = to_account;
    SELECT coalesce(array_agg(ARRAY[card, whose, rating_group, used, closed] ORDER BY card, rating_group), '{}') INTO drawn
      FROM (SELECT drawn[n][1] AS card, drawn[n][3] AS rating_group, sum(drawn[n][4])::bigint AS used,
                   sum(drawn[n][5])::bigint AS closed
              FROM generate_series(1, gyro.matrix_rows(drawn)) n GROUP BY 1, 2) d;
    UPDATE gyro.account
       SET version = version + 1, draws = gyro.matrix_part(draws, 2, whose, true) || drawn,
           counters = gyro.matrix_part(counters, 1, whose, true) || counted
     WHERE account_id = to_account;
END $$;

-- Makes a subscriber, or gives an existing one this account, tariff code and state.
-- State NULL: active if new, else as it was.
CREATE FUNCTION gyro.subscriber_put(for_subscriber bigint, for_account bigint, tariff_code text, new_state smallint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owner  bigint;
    tariff integer;
    before bigint;
BEGIN
    -- No stronger, since a binding refers to this row while it holds the account's.
    SELECT account_id INTO before FROM gyro.subscriber WHERE subscriber_id = for_subscriber FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM gyro.subscriber_add(for_subscriber, for_account, tariff_code, coalesce(new_state, 1::smallint));
        RETURN;
    END IF;
    SELECT group_id INTO owner FROM gyro.account WHERE account_id = for_account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account % does not exist', for_account USING ERRCODE = 'no_data_found';
    END IF;
    SELECT tariff_id INTO tariff FROM gyro.specific_tariff WHERE code = tariff_code;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tariff % does not exist', tariff_code USING ERRCODE = 'no_data_found';
    END IF;
    -- In the order of their numbers, as nodes do.
    PERFORM FROM gyro.account WHERE account_id IN (before, for_account) AND NOT gyro.is_trial()
      ORDER BY account_id FOR NO KEY UPDATE;
    IF before <> for_account THEN
        IF gyro.subscriber_sessions(for_subscriber, before) > 0 THEN
            RAISE EXCEPTION 'subscriber % has open sessions on account %', for_subscriber, before
                USING ERRCODE = 'object_in_use', HINT = 'release them first, then move the subscriber';
        END IF;
        PERFORM gyro.subscriber_rows_move(for_subscriber, before, for_account);
    END IF;
    UPDATE gyro.subscriber
       SET account_id = for_account, group_id = owner, tariff_id = tariff, state = coalesce(new_state, state)
     WHERE subscriber_id = for_subscriber;
END $$;

-- Removes a subscriber with its identities; the account, its money and the records stay.
CREATE FUNCTION gyro.subscriber_remove(for_subscriber bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    account bigint;
BEGIN
    SELECT account_id INTO account FROM gyro.subscriber WHERE subscriber_id = for_subscriber FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'subscriber % does not exist', for_subscriber USING ERRCODE = 'no_data_found';
    END IF;
    IF gyro.subscriber_sessions(for_subscriber, account) > 0 THEN
        RAISE EXCEPTION 'subscriber % has open sessions on account %', for_subscriber, account
            USING ERRCODE = 'object_in_use', HINT = 'release them first, then remove the subscriber';
    END IF;
    -- Identities first: their trigger finds the account through the subscriber.
    DELETE FROM gyro.subscriber_identity WHERE subscriber_id = for_subscriber;
    DELETE FROM gyro.subscriber WHERE subscriber_id = for_subscriber;
END $$;

-- The subscriber that somebody names: by number, or by an identity as kind:value (imsi, e164, nai, sip_uri, private,
-- user_name), or by a value that only one subscriber has. Raises if there is none; NULL with must false.
CREATE FUNCTION gyro.subscriber_named(who text, must boolean DEFAULT true) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    of_kind smallint := array_position(ARRAY['imsi', 'e164', 'nai', 'sip_uri', 'private', 'user_name'],
                                       replace(split_part(who, ':', 1), '-', '_'));
    wanted  text := CASE WHEN of_kind IS NULL THEN who ELSE substr(who, strpos(who, ':') + 1) END;
    found_id bigint;
BEGIN
    IF who ~ '^[0-9]{1,18}$' THEN
        SELECT subscriber_id INTO found_id FROM gyro.subscriber WHERE subscriber_id = who::bigint;
    END IF;
    IF found_id IS NULL THEN
        SELECT min(subscriber_id) INTO found_id FROM gyro.subscriber_identity
         WHERE (of_kind IS NULL OR kind = of_kind) AND value IN (wanted, CASE WHEN kind = 2 THEN ltrim(wanted, '+') END)
        HAVING count(DISTINCT subscriber_id) = 1;
    END IF;
    IF found_id IS NULL AND must THEN
        RAISE EXCEPTION 'no subscriber is %', who USING ERRCODE = 'no_data_found';
    END IF;
    RETURN found_id;
END $$;

-- The value that stands behind a word in gyro.record.correlation; NULL: there is none.
CREATE FUNCTION gyro.correlation_part(correlation text, word text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(correlation FROM '(?n)^' || word || ' (.*)$')
$$;

CREATE VIEW gyro.record_line AS
SELECT r.at, r.account_id, r.subscriber_id, r.gateway_id, r.session, r.opened, r.request_type, r.request_number, r.result,
       c.position, c.rating_group, c.service_result, c.unit, c.used, coalesce(c.debit, r.debit) AS debit, c.granted,
       c.reserved, c.price_micros, c.block, c.debit_price_micros, c.debit_block, c.rule_id, r.balance,
       r.reserved AS account_reserved, r.flags, r.end_to_end,
       gyro.correlation_part(r.correlation, 'cause')::bigint AS termination_cause,
       gyro.correlation_part(r.correlation, 'correlation') AS correlation_id,
       coalesce(gyro.correlation_part(r.correlation, 'multi'),
                '0x' || gyro.correlation_part(r.correlation, 'multi-hex')) AS multi_session_id,
       c.source, c.source_id, c.operation
  FROM gyro.record r
  LEFT JOIN LATERAL (
       SELECT n AS position, nullif(r.charges[n][1], -1) AS rating_group,
              (r.charges[n][3] >> 16 & 65535)::integer AS service_result, (r.charges[n][3] >> 32 & 15)::smallint AS unit,
              r.charges[n][4] AS used, r.charges[n][5] AS debit, r.charges[n][6] AS granted, r.charges[n][7] AS reserved,
              r.charges[n][8] AS price_micros, r.charges[n][9] AS block, r.charges[n][11] AS rule_id,
              r.charges[n][14] AS debit_price_micros, r.charges[n][15] AS debit_block,
              CASE r.charges[n][16] WHEN 1 THEN 'free' WHEN 2 THEN 'card' WHEN 3 THEN 'money' END AS source,
              r.charges[n][17] AS source_id,
              CASE WHEN r.charges[n][13] & 128 = 0 THEN NULL WHEN r.charges[n][3] >> 32 & 15 <> 4 THEN 'settlement'
                   WHEN r.charges[n][5] < 0 THEN 'refund' ELSE 'purchase' END AS operation
         FROM generate_series(1, gyro.matrix_rows(r.charges)) n) c ON true;
COMMENT ON VIEW gyro.record_line IS 'records as an export: one row per service and source of its units, and one for a request without services';
