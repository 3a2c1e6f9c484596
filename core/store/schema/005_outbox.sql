-- Server-initiated requests (RAR, ASR): what nodes are to send, written together with its cause.
--
-- A cause (a top-up, a barring) asks for a request in its own transaction, by one of the functions
-- below: reauthorize_* (RAR) and abort_* (ASR). A node that reaches the gateway takes the row, sends,
-- and writes down what came of it. Nothing depends on a row: the Validity-Time of the grants brings
-- the gateway back without it (G-68). It refuses to ask twice: a session has at most one request
-- of each kind waiting, and at most one on its way (G-83).

CREATE TABLE gyro.outbox (
    outbox_id     bigint GENERATED ALWAYS AS IDENTITY,
    group_id      bigint NOT NULL,
    account_id    bigint NOT NULL,
    gateway_id    bigint NOT NULL,
    session       uuid NOT NULL,
    opened        timestamptz NOT NULL,
    session_id    text NOT NULL,
    sub_session   numeric(20),
    kind          smallint NOT NULL CHECK (kind IN (1, 2)),
    rating_group  bigint CHECK (rating_group BETWEEN 0 AND 4294967295),
    reason        text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    number_before bigint NOT NULL,
    give_up_at    timestamptz NOT NULL,
    state         smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2, 3, 4)),
    next_at       timestamptz NOT NULL DEFAULT now(),
    attempts      smallint NOT NULL DEFAULT 0,
    node          text,
    sent_at       timestamptz,
    answer_code   bigint,
    outcome       text,
    finished_at   timestamptz,
    after_end     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (outbox_id, group_id),
    CHECK ((state IN (3, 4)) = (finished_at IS NOT NULL)),
    CHECK (state <> 2 OR (node IS NOT NULL AND sent_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX outbox_one_waiting ON gyro.outbox (session, kind, group_id) WHERE state = 1;
CREATE UNIQUE INDEX outbox_one_on_its_way ON gyro.outbox (session, group_id) WHERE state = 2;
CREATE INDEX outbox_to_send ON gyro.outbox (gateway_id, next_at) WHERE state IN (1, 2);
CREATE INDEX outbox_give_up ON gyro.outbox (give_up_at) WHERE state IN (1, 2);
CREATE INDEX outbox_finished ON gyro.outbox (finished_at) WHERE state IN (3, 4);
CREATE INDEX outbox_by_account ON gyro.outbox (account_id, at);
COMMENT ON TABLE gyro.outbox IS 'requests of the server to gateways (G-80, G-83): to be sent, on their way, and for a while what came of them';
COMMENT ON COLUMN gyro.outbox.outbox_id IS 'number of the row';
COMMENT ON COLUMN gyro.outbox.group_id IS 'distribution key of the account';
COMMENT ON COLUMN gyro.outbox.account_id IS 'the account whose row holds the session';
COMMENT ON COLUMN gyro.outbox.gateway_id IS 'who it goes to';
COMMENT ON COLUMN gyro.outbox.session IS 'see gyro.session_index';
COMMENT ON COLUMN gyro.outbox.opened IS 'when that session was opened: tells two sessions of one Session-Id apart';
COMMENT ON COLUMN gyro.outbox.session_id IS 'Session-Id (RFC 6733 8.8)';
COMMENT ON COLUMN gyro.outbox.sub_session IS 'CC-Sub-Session-Id; NULL if none';
COMMENT ON COLUMN gyro.outbox.kind IS '1 Re-Auth-Request (RFC 8506 5.5), 2 Abort-Session-Request (RFC 6733 8.5)';
COMMENT ON COLUMN gyro.outbox.rating_group IS 'only this one is re-authorised; NULL: the whole session';
COMMENT ON COLUMN gyro.outbox.reason IS 'the cause, for people; several if more came while it waited';
COMMENT ON COLUMN gyro.outbox.at IS 'time of the (first) cause';
COMMENT ON COLUMN gyro.outbox.number_before IS 'highest CCR-U number of the session decided before the (last) cause, -1 none: a higher one makes the RAR superfluous (G-82)';
COMMENT ON COLUMN gyro.outbox.give_up_at IS 'when the supervision of the session ends, as it was at the cause: later it is not sent any more';
COMMENT ON COLUMN gyro.outbox.state IS '1 waits to be sent, 2 on its way: a node has sent it and waits for the answer, 3 done, 4 failed';
COMMENT ON COLUMN gyro.outbox.next_at IS 'waiting: not to be sent before; on its way: the claim of its node ends then, and another may send it';
COMMENT ON COLUMN gyro.outbox.attempts IS 'how often it was sent since the last cause';
COMMENT ON COLUMN gyro.outbox.node IS 'identity of the node that sent it last';
COMMENT ON COLUMN gyro.outbox.sent_at IS 'when it was taken to be sent last';
COMMENT ON COLUMN gyro.outbox.answer_code IS 'Result-Code of the last RAA or ASA; 0: it had none; NULL: no answer';
COMMENT ON COLUMN gyro.outbox.outcome IS 'what came of it, for people';
COMMENT ON COLUMN gyro.outbox.finished_at IS 'when it was done or failed';

COMMENT ON COLUMN gyro.outbox.after_end IS 'the session has ended here already, and its gateway is to end it there (G-68)';

COMMENT ON COLUMN gyro.gateway.origin_realm IS 'Origin-Realm (RFC 6733 6.4), of the first request that each start of a node saw: Destination-Realm of requests to it';

CREATE TABLE gyro.outbox_policy (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    on_barring smallint NOT NULL DEFAULT 2 CHECK (on_barring IN (1, 2)),
    on_expiry  boolean NOT NULL DEFAULT false,
    keep       interval NOT NULL DEFAULT '1 day' CHECK (keep >= interval '0')
);
COMMENT ON TABLE gyro.outbox_policy IS 'one row: settings of the outbox';
COMMENT ON COLUMN gyro.outbox_policy.only_row IS 'always true: keeps the table at one row';
COMMENT ON COLUMN gyro.outbox_policy.on_barring IS 'what the open sessions of a barred subscriber or account get: 1 RAR (their next answer is 4010), 2 ASR (they end)';
COMMENT ON COLUMN gyro.outbox_policy.on_expiry IS 'a session that supervision has ended is ended at its gateway, too, by an ASR (G-68); what it still reports is charged as late usage';
COMMENT ON COLUMN gyro.outbox_policy.keep IS 'how long finished rows stay to be looked at';
INSERT INTO gyro.outbox_policy DEFAULT VALUES;

CREATE VIEW gyro.server_request AS
SELECT o.outbox_id, o.at, o.account_id, o.session_id, g.origin_host,
       CASE o.kind WHEN 1 THEN 'RAR' ELSE 'ASR' END AS kind_name, o.rating_group, o.reason,
       CASE o.state WHEN 1 THEN 'waiting' WHEN 2 THEN 'on its way' WHEN 3 THEN 'done' ELSE 'failed' END AS state_name,
       o.attempts, o.node, o.sent_at, o.answer_code, o.outcome, o.finished_at
  FROM gyro.outbox o LEFT JOIN gyro.gateway g USING (gateway_id);
COMMENT ON VIEW gyro.server_request IS 'the outbox for people';

-- Does a session of this account row wait for money? True if a service of it got less than a full
-- grant the last time: refused with 4012, granted as final units, or left without units after them
-- (G-48, G-60 to G-64). Of a service whose answer is no longer kept the reservation must tell: it holds
-- less than the default grant.
CREATE FUNCTION gyro.session_is_short(a gyro.account, number_in_row integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    WITH last_answer AS (
        SELECT DISTINCT ON (a.answers[n][5], a.answers[n][6])
               a.answers[n][5] AS rating_group, a.answers[n][6] AS service_key,
               (a.answers[n][4] >> 16 & 65535)::integer AS result, (a.answers[n][4] >> 36 & 15) - 1 AS final_unit,
               a.answers[n][7] AS granted
          FROM generate_series(1, gyro.matrix_rows(a.answers)) n
         WHERE a.answers[n][1] & 65535 = number_in_row AND a.answers[n][4] >> 16 & 65535 <> 0
         ORDER BY a.answers[n][5], a.answers[n][6], n DESC
    )
    SELECT EXISTS (SELECT FROM last_answer l
                    WHERE l.result = 4012 OR l.result = 2001 AND (l.final_unit >= 0 OR l.granted = 0))
        OR EXISTS (SELECT FROM generate_series(1, gyro.matrix_rows(a.reservations)) n
                     LEFT JOIN gyro.rating_group p ON p.rating_group = a.reservations[n][2]
                    WHERE a.reservations[n][1] = number_in_row
                      AND a.reservations[n][5] < coalesce(p.default_grant, 1)
                      AND NOT EXISTS (SELECT FROM last_answer l
                                       WHERE l.rating_group IN (a.reservations[n][2], -1)
                                         AND l.service_key = a.reservations[n][3]))
$$;

-- Has a CCR-U after this number reported or asked for a service? service_key NULL: for any of the Rating-Group.
CREATE FUNCTION gyro.asked_since(a gyro.account, number_in_row integer, number_before bigint, of_group bigint, of_key bigint)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM generate_series(1, gyro.matrix_rows(a.answers)) w
                    WHERE a.answers[w][1] & 65535 = number_in_row AND a.answers[w][2] >> 32 = 2
                      AND a.answers[w][2] & 4294967295 > number_before
                      AND a.answers[w][5] IN (of_group, -1) AND a.answers[w][4] >> 16 & 65535 <> 0
                      AND (of_key IS NULL OR a.answers[w][6] = of_key))
$$;

-- Why a row need not be sent any more; NULL: it must. A CCR-U that was decided after the cause counts
-- as the re-authorisation (G-82), if it or others after the cause asked for all services of the
-- session, also those that were refused and hold nothing; of a Rating-Group, for that.
CREATE FUNCTION gyro.outbox_moot(o gyro.outbox) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
           WHEN o.after_end AND NOT EXISTS (SELECT FROM gyro.session_index i WHERE i.session = o.session AND i.opened = o.opened)
           THEN 'the Session-Id is forgotten, or of a new session'
           WHEN s.no IS NULL AND NOT o.after_end THEN 'the session has ended'
           WHEN o.kind = 1 AND s.highest > o.number_before
                AND (o.rating_group IS NULL OR gyro.asked_since(a, s.no, o.number_before, o.rating_group, NULL))
                AND NOT EXISTS (
                    SELECT FROM (
                        SELECT a.reservations[r][2] AS rating_group, a.reservations[r][3] AS service_key
                          FROM generate_series(1, gyro.matrix_rows(a.reservations)) r WHERE a.reservations[r][1] = s.no
                         UNION ALL
                        SELECT a.answers[w][5], a.answers[w][6] FROM generate_series(1, gyro.matrix_rows(a.answers)) w
                         WHERE a.answers[w][1] & 65535 = s.no AND a.answers[w][4] >> 16 & 65535 IN (4010, 4012, 5031)) v
                     WHERE (o.rating_group IS NULL OR v.rating_group = o.rating_group)
                       AND NOT gyro.asked_since(a, s.no, o.number_before, v.rating_group, v.service_key))
           THEN 'the gateway asked by itself'
           END
      FROM (SELECT) one
      LEFT JOIN gyro.account a ON a.account_id = o.account_id AND a.group_id = o.group_id
      LEFT JOIN LATERAL (
           SELECT n AS no, a.sessions[n][8] AS highest
             FROM generate_series(1, gyro.matrix_rows(a.sessions)) n
            WHERE gyro.session_uuid(a.sessions[n][1], a.sessions[n][2]) = o.session AND a.sessions[n][5] = 1
              AND to_timestamp(a.sessions[n][6] / 1000000.0) = o.opened) s ON true
$$;

-- Asks for a request to open sessions of an account: all, those of a subscriber, one, or only those
-- that wait for money. Returns how many. Takes the account's lock until the end of the transaction: what
-- is decided after that sees the cause, and the numbers seen before are exact. Whoever does this for many
-- accounts in one transaction goes by their numbers, as nodes do. A session that has just been opened is left
-- alone for a moment: a request that overtakes the CCA would be answered 5002, and end it.
CREATE FUNCTION gyro.outbox_put(wanted_kind smallint, for_account bigint, for_subscriber bigint, for_session uuid,
                                only_rating_group bigint, only_short boolean, why text)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    a     gyro.account;
    asked integer;
BEGIN
    SELECT * INTO a FROM gyro.account WHERE account_id = for_account AND NOT gyro.is_trial() FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    INSERT INTO gyro.outbox AS o (group_id, account_id, gateway_id, session, opened, session_id, sub_session, kind,
                                  rating_group, reason, number_before, give_up_at, next_at)
    SELECT a.group_id, a.account_id, a.sessions[n][4], i.session, to_timestamp(a.sessions[n][6] / 1000000.0),
           i.session_id, i.sub_session, wanted_kind, only_rating_group, why, a.sessions[n][8],
           to_timestamp(a.sessions[n][7] / 1000000.0), greatest(now(), i.opened + interval '300 milliseconds')
      FROM generate_series(1, gyro.matrix_rows(a.sessions)) n
      JOIN gyro.session_index i ON i.session = gyro.session_uuid(a.sessions[n][1], a.sessions[n][2])
     WHERE a.sessions[n][5] = 1
       AND (for_subscriber IS NULL OR a.sessions[n][3] = for_subscriber)
       AND (for_session IS NULL OR i.session = for_session)
       AND (NOT only_short OR gyro.session_is_short(a, n))
        ON CONFLICT (session, kind, group_id) WHERE state = 1 DO UPDATE
       SET rating_group = CASE WHEN o.rating_group = excluded.rating_group THEN o.rating_group END,
           reason = CASE WHEN excluded.reason = ANY (string_to_array(o.reason, ', ')) THEN o.reason
                         ELSE left(o.reason || ', ' || excluded.reason, 200) END,
           opened = excluded.opened, gateway_id = excluded.gateway_id, number_before = excluded.number_before,
           give_up_at = excluded.give_up_at, next_at = excluded.next_at, attempts = 0;
    GET DIAGNOSTICS asked = ROW_COUNT;
    IF asked > 0 THEN
        PERFORM pg_notify('gyro_outbox', '');
    END IF;
    RETURN asked;
END $$;

-- What a cause calls, in its own transaction. RAR: the gateway is to ask anew, for the whole session or
-- one Rating-Group. ASR: it is to end the session. All return the number of sessions asked for; 0: none
-- is open.
CREATE FUNCTION gyro.reauthorize_session(wanted uuid, only_rating_group bigint, why text)
RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(sum(gyro.outbox_put(1::smallint, account_id, NULL, wanted, only_rating_group, false, why)), 0)::integer
      FROM gyro.session_index WHERE session = wanted AND NOT ended
$$;

CREATE FUNCTION gyro.reauthorize_subscriber(for_subscriber bigint, why text, only_short boolean DEFAULT false)
RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(sum(gyro.outbox_put(1::smallint, account_id, for_subscriber, NULL, NULL, only_short, why)), 0)::integer
      FROM gyro.subscriber WHERE subscriber_id = for_subscriber
$$;

CREATE FUNCTION gyro.reauthorize_account(for_account bigint, why text, only_short boolean DEFAULT false)
RETURNS integer LANGUAGE sql AS $$
    SELECT gyro.outbox_put(1::smallint, for_account, NULL, NULL, NULL, only_short, why)
$$;

CREATE FUNCTION gyro.abort_session(wanted uuid, why text) RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(sum(gyro.outbox_put(2::smallint, account_id, NULL, wanted, NULL, false, why)), 0)::integer
      FROM gyro.session_index WHERE session = wanted AND NOT ended
$$;

CREATE FUNCTION gyro.abort_subscriber(for_subscriber bigint, why text) RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(sum(gyro.outbox_put(2::smallint, account_id, for_subscriber, NULL, NULL, false, why)), 0)::integer
      FROM gyro.subscriber WHERE subscriber_id = for_subscriber
$$;

CREATE FUNCTION gyro.abort_account(for_account bigint, why text) RETURNS integer LANGUAGE sql AS $$
    SELECT gyro.outbox_put(2::smallint, for_account, NULL, NULL, NULL, false, why)
$$;

-- An abort whose only cause is gone again, and that nobody has sent yet.
CREATE FUNCTION gyro.outbox_withdraw(for_account bigint, for_subscriber bigint, cause text) RETURNS void LANGUAGE sql AS $$
    UPDATE gyro.outbox o SET state = 3, outcome = 'withdrawn', finished_at = now()
      FROM gyro.session_index i
     WHERE o.account_id = for_account AND o.state = 1 AND o.kind = 2 AND o.reason = cause
       AND i.session = o.session AND (for_subscriber IS NULL OR i.subscriber_id = for_subscriber)
$$;

-- --- causes: none of these fires on what a node writes for a request --------------------------------

-- Supervision has ended a session (G-68). The sweeper marks the index before the account row: there the
-- session is still open, or expired; one that a CCR-T or an operator has ended is not. One that its gateway has
-- lost is marked as released when it is ended.
CREATE FUNCTION gyro.expiry_aborts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT on_expiry FROM gyro.outbox_policy) THEN
        INSERT INTO gyro.outbox (group_id, account_id, gateway_id, session, opened, session_id, sub_session, kind, reason,
                                 number_before, give_up_at, after_end)
        SELECT a.group_id, a.account_id, a.sessions[n][4], NEW.session, NEW.opened, NEW.session_id, NEW.sub_session, 2,
               'supervision', a.sessions[n][8], now() + interval '5 minutes', true
          FROM gyro.account a CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(a.sessions)) n
         WHERE a.account_id = NEW.account_id AND a.group_id = NEW.group_id
           AND gyro.session_uuid(a.sessions[n][1], a.sessions[n][2]) = NEW.session AND a.sessions[n][5] IN (1, 3)
           AND to_timestamp(a.sessions[n][6] / 1000000.0) = NEW.opened
            ON CONFLICT DO NOTHING;
        PERFORM pg_notify('gyro_outbox', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER expiry_aborts AFTER UPDATE OF ended ON gyro.session_index
    FOR EACH ROW WHEN (NEW.ended AND NOT OLD.ended AND NOT OLD.release_requested AND NOT NEW.release_requested) EXECUTE FUNCTION gyro.expiry_aborts();

-- Money came: sessions that waited for it ask again. Those with a full grant need no hint.
CREATE FUNCTION gyro.payment_reauthorizes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gyro.reauthorize_account(NEW.account_id, CASE NEW.kind WHEN 2 THEN 'top-up' ELSE 'adjustment' END, true);
    RETURN NULL;
END $$;
CREATE TRIGGER payment_reauthorizes AFTER INSERT ON gyro.payment
    FOR EACH ROW WHEN (NEW.kind IN (2, 3) AND NEW.amount > 0) EXECUTE FUNCTION gyro.payment_reauthorizes();

-- State, credit limit or validity of an account. More credit concerns the sessions that wait for money
-- only, everything else all of them.
CREATE FUNCTION gyro.account_reauthorizes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NEW.state = 2 THEN
        PERFORM gyro.outbox_put(p.on_barring, NEW.account_id, NULL, NULL, NULL, false, 'account barred')
           FROM gyro.outbox_policy p;
    ELSIF NEW.state <> OLD.state THEN
        PERFORM gyro.outbox_withdraw(NEW.account_id, NULL, 'account barred');
        PERFORM gyro.reauthorize_account(NEW.account_id, 'account unbarred');
    ELSIF NEW.valid_until <> OLD.valid_until THEN
        PERFORM gyro.reauthorize_account(NEW.account_id, 'validity');
    ELSE
        PERFORM gyro.reauthorize_account(NEW.account_id, 'credit limit', NEW.credit_limit > OLD.credit_limit);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER account_reauthorizes AFTER UPDATE OF state, credit_limit, valid_until ON gyro.account
    FOR EACH ROW WHEN (NEW.state <> OLD.state OR NEW.credit_limit <> OLD.credit_limit OR
                       NEW.valid_until <> OLD.valid_until)
    EXECUTE FUNCTION gyro.account_reauthorizes();

-- State or tariff code of a subscriber: that one's sessions.
CREATE FUNCTION gyro.subscriber_reauthorizes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NEW.state = 2 THEN
        PERFORM gyro.outbox_put(p.on_barring, NEW.account_id, NEW.subscriber_id, NULL, NULL, false, 'subscriber barred')
           FROM gyro.outbox_policy p;
    ELSIF NEW.state <> OLD.state THEN
        PERFORM gyro.outbox_withdraw(NEW.account_id, NEW.subscriber_id, 'subscriber barred');
        PERFORM gyro.reauthorize_subscriber(NEW.subscriber_id, 'subscriber unbarred');
    ELSE
        PERFORM gyro.reauthorize_subscriber(NEW.subscriber_id, 'tariff');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER subscriber_reauthorizes AFTER UPDATE OF state, tariff_id ON gyro.subscriber
    FOR EACH ROW WHEN (NEW.state <> OLD.state OR NEW.tariff_id <> OLD.tariff_id)
    EXECUTE FUNCTION gyro.subscriber_reauthorizes();

-- --- causes with very many sessions --------------------------------------------------------------------

-- A pushed value (006_dynamic.sql) may concern very many: their subscribers are noted here, no account is locked, and
-- nodes ask for the RARs a few at a time, a moment later, when every node knows the value.
CREATE TABLE gyro.outbox_cause (
    account_id    bigint NOT NULL,
    subscriber_id bigint NOT NULL,
    reason        text NOT NULL,
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp() + interval '200 milliseconds',
    PRIMARY KEY (account_id, subscriber_id)
);
CREATE INDEX outbox_cause_due ON gyro.outbox_cause (due_at);
COMMENT ON TABLE gyro.outbox_cause IS 'subscribers whose open sessions are to ask again, before they are in gyro.outbox';
COMMENT ON COLUMN gyro.outbox_cause.account_id IS 'the account whose row holds the sessions';
COMMENT ON COLUMN gyro.outbox_cause.subscriber_id IS 'whose sessions';
COMMENT ON COLUMN gyro.outbox_cause.reason IS 'the cause, for people';
COMMENT ON COLUMN gyro.outbox_cause.due_at IS 'not before';

-- Asks for the RARs of at most so many subscribers that are due; accounts that somebody holds wait for the next time.
-- Returns how many they were, and in how many milliseconds the next one is due; -1: none is left. Reads no more causes than
-- it takes, however many there are.
CREATE FUNCTION gyro.outbox_spread(at_most bigint, OUT spread bigint, OUT due_in_ms bigint) LANGUAGE plpgsql AS $$
DECLARE
    one gyro.outbox_cause;
BEGIN
    spread := 0;
    FOR one IN
        WITH taken AS (
            DELETE FROM gyro.outbox_cause WHERE ctid = ANY (ARRAY(
                SELECT c.ctid FROM gyro.outbox_cause c JOIN gyro.account a USING (account_id)
                 WHERE c.due_at <= clock_timestamp() ORDER BY c.account_id, c.subscriber_id LIMIT at_most
                   FOR UPDATE OF c SKIP LOCKED FOR NO KEY UPDATE OF a SKIP LOCKED))
            RETURNING *)
        SELECT * FROM taken ORDER BY account_id, subscriber_id
    LOOP
        PERFORM gyro.outbox_put(1::smallint, one.account_id, one.subscriber_id, NULL, NULL, false, one.reason);
        spread := spread + 1;
    END LOOP;
    SELECT CASE WHEN min(due_at) IS NULL THEN -1
                ELSE greatest(50, ceil(extract(epoch FROM min(due_at) - clock_timestamp()) * 1000)) END
      INTO due_in_ms FROM gyro.outbox_cause;
END $$;
