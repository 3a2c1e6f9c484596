-- What operators and other systems call: everything gyroctl does is one of these.

-- Opens an account with an opening balance (micro-units), not below its credit limit.
CREATE FUNCTION gyro.account_open(for_account bigint, currency_number smallint, opening_micros bigint,
                                  credit_limit_micros bigint DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF opening_micros + credit_limit_micros < 0 THEN
        RAISE EXCEPTION 'account % would open below its credit limit', for_account USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO gyro.account (account_id, group_id, currency, credit_limit, balance)
    VALUES (for_account, for_account, currency_number, credit_limit_micros, opening_micros);
    INSERT INTO gyro.payment (account_id, group_id, kind, amount, balance, reference)
    VALUES (for_account, for_account, 1, opening_micros, opening_micros, 'opening');
END $$;

-- Whether an operator takes more than the locked account can spare: money that is reserved, is owed for the usage of its
-- cards, or isn't there. Raises if it is so and wasn't meant to be.
CREATE FUNCTION gyro.overdraws(for_account bigint, taken_micros bigint, forced boolean) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    spare numeric;
BEGIN
    SELECT a.balance + a.credit_limit - a.reserved - gyro.account_unsettled(a) INTO spare
      FROM gyro.account a WHERE account_id = for_account;
    IF taken_micros <= 0 OR taken_micros <= spare THEN
        RETURN false;
    ELSIF NOT forced THEN
        RAISE EXCEPTION 'account % can spare %, not %', for_account, trim_scale(greatest(spare, 0) / 1000000.0),
                        trim_scale(taken_micros / 1000000.0)
            USING ERRCODE = 'check_violation', HINT = 'the rest is reserved, owed or not there; forced, it is taken all the same';
    END IF;
    RETURN true;
END $$;

-- Adds to (kind 2) or adjusts (kind 3) a balance; the same reference pays once. Returns the balance.
-- forced: also takes what the account can't spare, and says so in the ledger.
CREATE FUNCTION gyro.pay(for_account bigint, amount_micros bigint, payment_reference text, payment_kind smallint,
                         forced boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    owner   bigint;
    current bigint;
    earlier bigint;
BEGIN
    IF abs(amount_micros) > 1152921504606846976 THEN
        RAISE EXCEPTION 'amount out of range' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    SELECT group_id, balance INTO owner, current FROM gyro.account WHERE account_id = for_account FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account % does not exist', for_account USING ERRCODE = 'no_data_found';
    END IF;
    SELECT amount INTO earlier FROM gyro.payment WHERE account_id = for_account AND reference = payment_reference;
    IF FOUND THEN
        IF earlier <> amount_micros THEN
            RAISE EXCEPTION 'reference % was used for another amount', payment_reference
                USING ERRCODE = 'unique_violation';
        END IF;
        RETURN current;
    END IF;
    forced := gyro.overdraws(for_account, -amount_micros, forced);
    UPDATE gyro.account SET balance = balance + amount_micros, version = version + 1
     WHERE account_id = for_account RETURNING balance INTO current;
    INSERT INTO gyro.payment (account_id, group_id, kind, amount, balance, reference, forced)
    VALUES (for_account, owner, payment_kind, amount_micros, current, payment_reference, forced);
    RETURN current;
END $$;

-- Sets how far a balance may go below zero. forced: also to less than is in use; then the ledger says so, under the
-- reference, with an amount of 0.
CREATE FUNCTION gyro.account_credit(for_account bigint, limit_micros bigint, payment_reference text DEFAULT NULL,
                                    forced boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    SELECT credit_limit INTO before FROM gyro.account WHERE account_id = for_account FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account % does not exist', for_account USING ERRCODE = 'no_data_found';
    END IF;
    IF gyro.overdraws(for_account, before - limit_micros, forced) THEN
        INSERT INTO gyro.payment (account_id, group_id, kind, amount, balance, reference, forced)
        SELECT account_id, group_id, 3, 0, balance, payment_reference, true FROM gyro.account WHERE account_id = for_account;
    END IF;
    UPDATE gyro.account SET credit_limit = limit_micros WHERE account_id = for_account;
END $$;

CREATE FUNCTION gyro.topup(for_account bigint, amount_micros bigint, payment_reference text)
RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF amount_micros <= 0 THEN
        RAISE EXCEPTION 'a top-up must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN gyro.pay(for_account, amount_micros, payment_reference, 2::smallint);
END $$;

-- Asks the sweeper to end a session: its reservations are released within a sweep period.
CREATE FUNCTION gyro.session_release(wanted uuid) RETURNS boolean LANGUAGE sql AS $$
    UPDATE gyro.session_index SET release_requested = true, check_at = now()
     WHERE session = wanted AND NOT ended RETURNING true
$$;

-- A gateway told a greater Origin-State-Id: it has lost its sessions (G-92). Notes it, and no more: there may be very
-- many of them. The sweeper ends them in portions; a request of one of their accounts does it before. ends: false for
-- gateways whose number says nothing about their sessions (gyro.peer_profile). news: this call noted a restart; the
-- rest is what is known now, whoever told it.
CREATE FUNCTION gyro.gateway_restarted(told bigint, told_state bigint, told_by uuid, ends boolean,
                                       OUT news boolean, OUT known_state bigint, OUT restarted timestamptz,
                                       OUT teller uuid)
LANGUAGE plpgsql AS $$
BEGIN
    -- Two nodes that hear it at the same time: the second waits, and finds it known. Sessions that it opens are
    -- younger than the time noted here, since it reads the clock later.
    SELECT origin_state INTO known_state FROM gyro.gateway WHERE gateway_id = told FOR UPDATE;
    -- 0: the first that it ever told, there is nothing to compare it with.
    news := ends AND known_state > 0 AND known_state < told_state;
    UPDATE gyro.gateway
       SET origin_state = told_state, restart_open = restart_open OR news,
           restarted_at = CASE WHEN news THEN clock_timestamp() ELSE restarted_at END,
           restarted_by = CASE WHEN news THEN told_by ELSE restarted_by END
     WHERE gateway_id = told AND known_state < told_state;
    SELECT origin_state, restarted_at, restarted_by INTO known_state, restarted, teller FROM gyro.gateway WHERE gateway_id = told;
END $$;

-- Makes the daily partitions of gyro.record for today and the next days; returns how many were new.
-- Rows that no partition takes go to gyro.record_default: nothing is lost if nobody calls this.
--
-- Made apart and attached: that lets usage be recorded meanwhile, and waits for nobody but who reads the default partition,
-- an audit for instance. Whoever calls tries again later rather than let others queue behind it. What is in the
-- default partition has to be read while it is locked: only if that is soon done.
CREATE FUNCTION gyro.record_partition(days_ahead integer DEFAULT 7) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '20ms' AS $$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('gyro.record_partition')) THEN
        RETURN 0; -- somebody is at it
    END IF;
    FOR day IN SELECT d::date FROM generate_series(current_date, current_date + days_ahead, interval '1 day') d LOOP
        name := 'record_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('gyro.' || name) IS NOT NULL;
        EXIT WHEN pg_relation_size('gyro.record_default') > 16777216;
        -- A day that already has rows in the default partition stays there (record_default_keep).
        CONTINUE WHEN EXISTS (SELECT FROM gyro.record_default
                               WHERE at >= day::timestamptz AND at < (day + 1)::timestamptz);
        EXECUTE format('CREATE TABLE gyro.%I (LIKE gyro.record INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE gyro.%I ALTER COLUMN charges SET STATISTICS 0', name); -- a copy doesn't take it over
        EXECUTE format('ALTER TABLE gyro.record ATTACH PARTITION gyro.%I FOR VALUES FROM (%L) TO (%L)',
                       name, day::timestamptz, (day + 1)::timestamptz);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Makes a partition of the default one, with all that is in it, and a new, empty default partition: for an operator, where
-- no partitions were made in time. Returns its name, NULL if nothing was in it. No row is moved, but all are read
-- while nothing can be charged: some seconds a gigabyte. Fails where other partitions lie between the days of its
-- rows: what is astray (a clock that jumped) has to be moved first.
CREATE FUNCTION gyro.record_default_keep() RETURNS text LANGUAGE plpgsql SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
    first timestamptz;
    until timestamptz;
    kept  text;
BEGIN
    LOCK TABLE gyro.record IN ACCESS EXCLUSIVE MODE;
    SELECT date_trunc('day', min(at)), date_trunc('day', max(at)) + interval '1 day' INTO first, until FROM gyro.record_default;
    IF first IS NULL THEN
        RETURN NULL;
    END IF;
    kept := 'record_' || to_char(first, 'YYYYMMDD');
    ALTER TABLE gyro.record DETACH PARTITION gyro.record_default;
    EXECUTE format('ALTER TABLE gyro.record_default RENAME TO %I', kept);
    EXECUTE format('ALTER TABLE gyro.record ATTACH PARTITION gyro.%I FOR VALUES FROM (%L) TO (%L)', kept, first, until);
    CREATE TABLE gyro.record_default PARTITION OF gyro.record DEFAULT;
    ALTER TABLE gyro.record_default ALTER COLUMN charges SET STATISTICS 0;
    RETURN kept;
END $$;

-- Number of rows of a bigint matrix.
CREATE FUNCTION gyro.matrix_rows(matrix bigint[]) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_length(matrix, 1), 0)
$$;

-- A row of a matrix.
CREATE FUNCTION gyro.matrix_row(matrix bigint[], n integer) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(matrix[n][i] ORDER BY i) FROM generate_series(1, array_length(matrix, 2)) i
$$;

-- What records say of cards; for the audit, and for what it needs of closed records.
CREATE TYPE gyro.card_entry AS (card_id bigint, rating_group bigint, used bigint, debit bigint, usage boolean, purchase boolean);
CREATE FUNCTION gyro.card_entries(charges bigint[]) RETURNS SETOF gyro.card_entry LANGUAGE sql IMMUTABLE AS $$
    SELECT charges[n][17], charges[n][1], charges[n][4], charges[n][5], charges[n][16] = 2, charges[n][3] >> 32 & 15 = 4
      FROM generate_series(1, gyro.matrix_rows(charges)) n
     WHERE charges[n][16] = 2 OR charges[n][13] & 128 <> 0
$$;

CREATE VIEW gyro.record_day AS
SELECT c.relname::text AS partition, bounds[1]::timestamptz AS since, bounds[2]::timestamptz AS until
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)') bounds
 WHERE i.inhparent = 'gyro.record'::regclass AND bounds IS NOT NULL;
COMMENT ON VIEW gyro.record_day IS 'partitions of gyro.record, without the default one';

-- Takes a partition out of gyro.record, so that it can be exported and dropped; returns how many records it has. What the
-- audit needs of them is carried forward in the same transaction: sums that were right stay right, and an error stays found.
--
-- Refuses what may still be asked for: records of the last 24 hours, and of sessions (and events) that are open or within the
-- late window, for copies and late usage find their records in there. gyro.session_index knows them all.
-- Only the end of it, once all is written, keeps others out, for as long as COMMIT takes; where somebody reads records for a
-- long time it gives up (lock_not_available), and nothing has happened.
CREATE FUNCTION gyro.record_close(closing text) RETURNS bigint LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    day    gyro.record_day;
    asked  text;
    closed gyro.record_closed;
BEGIN
    SELECT * INTO day FROM gyro.record_day WHERE partition = closing;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'gyro.record has no partition %', closing USING ERRCODE = 'no_data_found';
    ELSIF day.until > now() - interval '24 hours' THEN
        RAISE EXCEPTION 'records of % may still be asked for: they are of the last 24 hours', closing USING ERRCODE = 'object_in_use';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('gyro.record_close'));
    EXECUTE format('LOCK TABLE gyro.%I IN SHARE MODE', closing);
    EXECUTE format('SELECT x.session_id FROM gyro.session_index x
                     WHERE x.opened < $1 + interval ''3 hours''
                       AND EXISTS (SELECT FROM gyro.%I r WHERE r.session = x.session AND r.opened = x.opened)
                     ORDER BY x.opened LIMIT 1', closing) INTO asked USING day.until;
    IF asked IS NOT NULL THEN
        RAISE EXCEPTION 'records of % may still be asked for: by session %, for one', closing, asked
            USING ERRCODE = 'object_in_use', HINT = 'it is open, or ended within the late window: release it, or close later';
    END IF;
    EXECUTE format('INSERT INTO gyro.record_closed (partition, since, until, records, debit, card_used)
                    SELECT $1, $2, $3, count(*), coalesce(sum(r.debit), 0),
                           coalesce(sum((SELECT sum(e.used) FROM gyro.card_entries(r.charges) e)), 0)
                      FROM gyro.%I r RETURNING *', closing) INTO closed USING closing, day.since, day.until;
    EXECUTE format('INSERT INTO gyro.record_closed_account AS c (account_id, debit, over_used)
                    SELECT account_id, sum(debit), bool_or(flags & 1 = 1) FROM gyro.%I GROUP BY account_id ORDER BY account_id
                    ON CONFLICT (account_id) DO UPDATE
                       SET debit = c.debit + excluded.debit, over_used = c.over_used OR excluded.over_used', closing);
    EXECUTE format('INSERT INTO gyro.record_closed_card (partition, account_id, subscriber_id, card_id, rating_group, usage, purchase,
                                                         used, debit)
                    SELECT $1, r.account_id, r.subscriber_id, e.card_id, e.rating_group, e.usage, e.purchase, sum(e.used),
                           sum(e.debit)
                      FROM gyro.%I r CROSS JOIN LATERAL gyro.card_entries(r.charges) e
                     GROUP BY 2, 3, 4, 5, 6, 7, CASE WHEN e.purchase AND NOT e.usage THEN r.ctid END', closing) USING closing;
    PERFORM set_config('lock_timeout', '15ms', true); -- usage waits behind it, and no longer than 20 ms
    FOR attempt IN 1 .. 50 LOOP
        BEGIN
            EXECUTE format('ALTER TABLE gyro.record DETACH PARTITION gyro.%I', closing);
            RETURN closed.records;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1);
        END;
    END LOOP;
    RAISE EXCEPTION 'somebody has been reading gyro.record for some time: % stays there', closing USING ERRCODE = 'lock_not_available';
END $$;

-- Two halves of a session key as the uuid that gyro.session_index and gyro.record use.
CREATE FUNCTION gyro.session_uuid(hi bigint, lo bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(hi), 16, '0') || lpad(to_hex(lo), 16, '0'))::uuid
$$;

-- Quota-Holding-Time in column 4 of an answer, 3 of a charge: 0 is none, 65535 a time of 0.
CREATE FUNCTION gyro.quota_holding(shape bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE shape >> 40 & 65535 WHEN 0 THEN NULL ELSE (shape >> 40 & 65535) % 65535 END
$$;

CREATE VIEW gyro.session AS
-- sessions[n][11]: the End-to-End-Id, 1 << 32 if another gateway has had it than the one that opened it, its realm << 33.
SELECT a.account_id, n AS session_no, gyro.session_uuid(a.sessions[n][1], a.sessions[n][2]) AS session,
       i.session_id, i.sub_session,
       a.sessions[n][3] AS subscriber_id, a.sessions[n][4] AS gateway_id,
       a.sessions[n][5]::smallint AS state,
       CASE a.sessions[n][5] WHEN 1 THEN 'open' WHEN 2 THEN 'terminated' WHEN 3 THEN 'expired'
            WHEN 4 THEN 'released' END AS state_name,
       to_timestamp(a.sessions[n][6] / 1000000.0) AS opened,
       to_timestamp(a.sessions[n][7] / 1000000.0) AS deadline,
       a.sessions[n][8] AS highest_number, a.sessions[n][9] AS seen,
       a.sessions[n][10] AS initial_number, a.sessions[n][11] & 4294967295 AS initial_end_to_end, a.sessions[n][12] AS place,
       a.sessions[n][11] >> 32 & 1 = 1 AS taken_over
  FROM gyro.account a
 CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(a.sessions)) n
  LEFT JOIN gyro.session_index i ON i.session = gyro.session_uuid(a.sessions[n][1], a.sessions[n][2]);
COMMENT ON VIEW gyro.session IS 'sessions in the account rows: open ones, and the last ended ones';

CREATE VIEW gyro.reservation AS
SELECT a.account_id, r[n][1]::integer AS session_no,
       gyro.session_uuid(a.sessions[r[n][1]][1], a.sessions[r[n][1]][2]) AS session,
       r[n][2] AS rating_group, r[n][3] AS service_key, (r[n][4] & 255)::smallint AS unit, r[n][5] AS granted,
       r[n][6] AS reserved, r[n][7] AS price_micros, r[n][8] AS block, r[n][9] AS carry,
       r[n][10] AS rule_id, r[n][11] & 4294967295 AS validity_s, n AS reservation_no,
       CASE WHEN r[n][12] <> 0 THEN to_timestamp(r[n][12] / 1000000.0) END AS tariff_change,
       CASE WHEN r[n][11] >> 32 <> 0 THEN to_timestamp(r[n][11] >> 32 & 4294967295) END AS granted_at,
       nullif(r[n][4] >> 8 & 65535, 0) AS pool, r[n][4] >> 32 & 1 = 1 AS final
  FROM gyro.account a
 CROSS JOIN LATERAL (SELECT a.reservations AS r) m
 CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(r)) n;
COMMENT ON VIEW gyro.reservation IS 'what each session holds per Rating-Group and service set';

CREATE VIEW gyro.slice AS
-- s[n][1]: reservation, phase << 32, source << 40; s[n][6]: the home of a card, else what is held.
SELECT a.account_id, (s[n][1] & 4294967295)::integer AS reservation_no, (s[n][1] >> 32 & 255)::integer AS phase,
       CASE s[n][1] >> 40 WHEN 1 THEN 'free' WHEN 2 THEN 'card' WHEN 3 THEN 'money' END AS source, s[n][2] AS source_id,
       s[n][3] AS units, s[n][4] AS price_micros, s[n][5] AS block, CASE WHEN s[n][1] >> 40 = 2 THEN 0 ELSE s[n][6] END AS held,
       CASE WHEN s[n][1] >> 40 = 2 THEN s[n][6] END AS home_account_id
  FROM gyro.account a
 CROSS JOIN LATERAL (SELECT a.slices AS s) m
 CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(s)) n;
COMMENT ON VIEW gyro.slice IS 'parts of grants from other sources than money, or with a change of tariff: phase 0 before, 1 after it; home: the account whose row holds the card';

CREATE VIEW gyro.counter AS
SELECT a.account_id, c[n][1] AS subscriber_id,
       CASE c[n][2] WHEN 1 THEN 'rating group' WHEN 2 THEN 'all' WHEN 3 THEN 'free' END AS counted, c[n][3] AS id,
       c[n][4]::smallint AS unit, date '1970-01-01' + c[n][5]::integer AS day, c[n][7] AS units_day, c[n][8] AS micros_day,
       (c[n][6] - 1) / 12 AS year, (c[n][6] - 1) % 12 + 1 AS month, c[n][9] AS units_month, c[n][10] AS micros_month
  FROM gyro.account a
 CROSS JOIN LATERAL (SELECT a.counters AS c) m
 CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(c)) n;
COMMENT ON VIEW gyro.counter IS 'what subscribers used and paid in a local day and month; kept while rules ask for it';

CREATE VIEW gyro.kept_answer AS
SELECT a.account_id, session_no,
       gyro.session_uuid(a.sessions[session_no][1], a.sessions[session_no][2]) AS session,
       (w[n][2] >> 32)::smallint AS request_type, w[n][2] & 4294967295 AS request_number,
       w[n][1] >> 32 & 4294967295 AS end_to_end,
       w[n][3] AS content_hash, (w[n][4] & 65535)::integer AS result,
       (w[n][4] >> 16 & 65535)::integer AS service_result, (w[n][4] >> 32 & 15)::smallint AS unit,
       (w[n][4] >> 36 & 15)::smallint - 1 AS final_unit, gyro.quota_holding(w[n][4]) AS quota_holding_s,
       w[n][5] AS rating_group, w[n][6] AS service_key, w[n][7] AS granted,
       w[n][8] >> 32 & 4294967295 AS validity_s, w[n][8] & 4294967295 AS threshold,
       w[n][9] >> 32 & 4294967295 AS tariff_change_s, w[n][9] & 4294967295 AS redirect_rule,
       nullif(w[n][1] >> 16 & 65535, 0) AS pool
  FROM gyro.account a
 CROSS JOIN LATERAL (SELECT a.answers AS w) m
 CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(w)) n
 CROSS JOIN LATERAL (SELECT (w[n][1] & 65535)::integer AS session_no) s;
COMMENT ON VIEW gyro.kept_answer IS 'answers kept for duplicates, one row per service';

CREATE VIEW gyro.charge AS
SELECT r.at, r.account_id, r.subscriber_id, r.session, r.opened, r.request_type, r.request_number, n AS position,
       r.charges[n][1] AS rating_group, r.charges[n][2] AS service_key,
       (r.charges[n][3] >> 16 & 65535)::integer AS result, (r.charges[n][3] >> 32 & 15)::smallint AS unit,
       (r.charges[n][3] >> 36 & 15)::smallint - 1 AS final_unit,
       gyro.quota_holding(r.charges[n][3]) AS quota_holding_s,
       r.charges[n][4] AS used, r.charges[n][5] AS debit, r.charges[n][6] AS granted, r.charges[n][7] AS reserved,
       r.charges[n][8] AS price_micros, r.charges[n][9] AS block, r.charges[n][10] AS carry,
       r.charges[n][11] AS rule_id, r.charges[n][12] >> 32 & 4294967295 AS validity_s,
       r.charges[n][12] & 4294967295 AS threshold, (r.charges[n][13] & 32767)::smallint AS flags,
       r.charges[n][14] AS debit_price_micros, r.charges[n][15] AS debit_block,
       CASE r.charges[n][16] WHEN 1 THEN 'free' WHEN 2 THEN 'card' WHEN 3 THEN 'money' END AS debit_source,
       r.charges[n][17] AS debit_source_id, r.charges[n][18] >> 32 & 4294967295 AS tariff_change_s,
       r.charges[n][18] & 4294967295 AS redirect_rule, nullif(r.charges[n][13] >> 32, 0) AS pool
  FROM gyro.record r CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(r.charges)) n;
COMMENT ON VIEW gyro.charge IS 'records, one row per service: usage at the debit price, grant at the price; flag 16: a further part of the usage before it, or, with 256, what another of its pool left of a grant; 64: an event, 128: of a card';

-- Both sides of the ledger: money in (payments) and out (usage).
CREATE VIEW gyro.ledger AS
SELECT at, account_id, amount, balance,
       CASE kind WHEN 1 THEN 'opening' WHEN 2 THEN 'top-up' ELSE 'adjustment' END AS entry, reference
  FROM gyro.payment
UNION ALL
SELECT at, account_id, -debit, balance, 'usage', session::text || ' ' || request_type || '/' || request_number
  FROM gyro.record WHERE debit <> 0;
COMMENT ON VIEW gyro.ledger IS 'every change of a balance';
