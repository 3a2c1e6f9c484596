-- Accounts, subscribers, sessions, records: what a request touches.
--
-- One row of gyro.account is one lock, one version and one update per request: it holds the purse
-- and the open sessions. The sessions, reservations and kept answers are bigint matrices; the views
-- gyro.session, gyro.reservation and gyro.kept_answer show them as relations. core/store/row.c
-- reads and writes the same columns; the numbers of the columns stand there and here.

CREATE TABLE gyro.gateway (
    gateway_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin_host  text NOT NULL,
    origin_realm text NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT now(),
    origin_state bigint NOT NULL DEFAULT 0 CHECK (origin_state BETWEEN 0 AND 4294967295),
    restarted_at timestamptz,
    restarted_by uuid,
    restart_open boolean NOT NULL DEFAULT false,
    CHECK (restarted_at IS NOT NULL OR NOT restart_open)
);
-- A DiameterIdentity is the same in capitals (RFC 6733 4.3.1); it is ASCII, whatever the database's locale makes of an I.
CREATE UNIQUE INDEX gateway_origin_host ON gyro.gateway (lower(origin_host COLLATE "C"));
COMMENT ON TABLE gyro.gateway IS 'every Origin-Host that a request came from';
COMMENT ON COLUMN gyro.gateway.gateway_id IS 'number used in sessions and records';
COMMENT ON COLUMN gyro.gateway.origin_host IS 'Origin-Host (RFC 6733 6.3) as it writes itself: Destination-Host of requests to it';
COMMENT ON COLUMN gyro.gateway.origin_realm IS 'Origin-Realm when first seen';
COMMENT ON COLUMN gyro.gateway.first_seen IS 'when it sent its first request';
COMMENT ON COLUMN gyro.gateway.origin_state IS 'greatest Origin-State-Id it sent (RFC 6733 8.16); a greater one ends its older sessions (G-92)';
COMMENT ON COLUMN gyro.gateway.restarted_at IS 'when it told a greater Origin-State-Id last: its sessions opened before are lost there; NULL: never';
COMMENT ON COLUMN gyro.gateway.restarted_by IS 'the session of the request that told it, which goes on, however old';
COMMENT ON COLUMN gyro.gateway.restart_open IS 'the sweeper has not yet ended all of them';

CREATE TABLE gyro.account (
    account_id      bigint NOT NULL,
    group_id        bigint NOT NULL,
    version         bigint NOT NULL DEFAULT 1,
    profile_version bigint NOT NULL DEFAULT 1,
    balance         bigint NOT NULL DEFAULT 0,
    reserved        bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    credit_limit    bigint NOT NULL DEFAULT 0 CHECK (credit_limit BETWEEN 0 AND 1152921504606846976),
    valid_until     timestamptz NOT NULL DEFAULT 'infinity',
    state           smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2)),
    currency        smallint NOT NULL CHECK (currency BETWEEN 1 AND 999),
    sessions        bigint[] NOT NULL DEFAULT '{}',
    reservations    bigint[] NOT NULL DEFAULT '{}',
    answers         bigint[] NOT NULL DEFAULT '{}',
    slices          bigint[] NOT NULL DEFAULT '{}',
    counters        bigint[] NOT NULL DEFAULT '{}',
    draws           bigint[] NOT NULL DEFAULT '{}',
    card_use        bigint[] NOT NULL DEFAULT '{}',
    -- Last: an update of usage leaves it alone, and what is the same at the end of a row isn't logged.
    cards           bigint[] NOT NULL DEFAULT '{}',
    CHECK (array_length(card_use, 1) IS NOT DISTINCT FROM array_length(cards, 1)),
    PRIMARY KEY (account_id, group_id)
) WITH (fillfactor = 75);
-- Rows are found by their key alone: ANALYZE needn't look into the arrays, which costs more than all else of it.
ALTER TABLE gyro.account
    ALTER COLUMN sessions SET STATISTICS 0, ALTER COLUMN reservations SET STATISTICS 0, ALTER COLUMN answers SET STATISTICS 0,
    ALTER COLUMN slices SET STATISTICS 0, ALTER COLUMN counters SET STATISTICS 0, ALTER COLUMN draws SET STATISTICS 0,
    ALTER COLUMN card_use SET STATISTICS 0, ALTER COLUMN cards SET STATISTICS 0;
COMMENT ON TABLE gyro.account IS 'a purse and its open sessions: one lock, one update per request';
COMMENT ON COLUMN gyro.account.account_id IS 'the account';
COMMENT ON COLUMN gyro.account.group_id IS 'distribution key: the account itself, or the owner of its pool';
COMMENT ON COLUMN gyro.account.version IS 'grows with every change of the row';
COMMENT ON COLUMN gyro.account.profile_version IS 'grows when a subscriber, identity or tariff code of this account changes';
COMMENT ON COLUMN gyro.account.balance IS 'micro-units; below the credit limit only by booked over-use (G-37), or forced by an operator';
COMMENT ON COLUMN gyro.account.reserved IS 'micro-units held by open reservations and purchases (I3)';
COMMENT ON COLUMN gyro.account.credit_limit IS 'micro-units the balance may go below zero';
COMMENT ON COLUMN gyro.account.valid_until IS 'no grant reaches beyond; afterwards the account is refused (4010)';
COMMENT ON COLUMN gyro.account.state IS '1 active, 2 barred';
COMMENT ON COLUMN gyro.account.currency IS 'ISO 4217 number';
COMMENT ON COLUMN gyro.account.sessions IS 'one row per session, see view gyro.session';
COMMENT ON COLUMN gyro.account.reservations IS 'one row per session and Rating-Group, see view gyro.reservation';
COMMENT ON COLUMN gyro.account.answers IS 'last answers of each session, see view gyro.kept_answer';
COMMENT ON COLUMN gyro.account.slices IS 'parts of grants that are more than money at one price, see view gyro.slice';
COMMENT ON COLUMN gyro.account.counters IS 'used and paid today and this month, see view gyro.counter';
COMMENT ON COLUMN gyro.account.draws IS 'what was drawn from cards, see view gyro.card_draw';
COMMENT ON COLUMN gyro.account.card_use IS 'what usage changes of the traffic cards, row by row of cards';
COMMENT ON COLUMN gyro.account.cards IS 'the traffic cards of the account, see view gyro.card_row';

CREATE TABLE gyro.subscriber (
    subscriber_id bigint PRIMARY KEY,
    account_id    bigint NOT NULL,
    group_id      bigint NOT NULL,
    tariff_id     integer NOT NULL REFERENCES gyro.specific_tariff,
    state         smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2)),
    created       timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (account_id, group_id) REFERENCES gyro.account
);
CREATE INDEX subscriber_by_account ON gyro.subscriber (account_id);
COMMENT ON TABLE gyro.subscriber IS 'who uses the network; charged to one account';
COMMENT ON COLUMN gyro.subscriber.subscriber_id IS 'the subscriber';
COMMENT ON COLUMN gyro.subscriber.account_id IS 'the account that pays';
COMMENT ON COLUMN gyro.subscriber.group_id IS 'distribution key of that account';
COMMENT ON COLUMN gyro.subscriber.tariff_id IS 'the specific tariff code (S-2)';
COMMENT ON COLUMN gyro.subscriber.state IS '1 active, 2 barred';
COMMENT ON COLUMN gyro.subscriber.created IS 'when the row was made';

CREATE TABLE gyro.subscriber_identity (
    kind          smallint NOT NULL CHECK (kind BETWEEN 1 AND 6),
    value         text NOT NULL CHECK (value <> '' AND (kind <> 2 OR value NOT LIKE '+%')),
    subscriber_id bigint NOT NULL REFERENCES gyro.subscriber ON DELETE CASCADE,
    PRIMARY KEY (kind, value)
);
CREATE INDEX subscriber_identity_by_subscriber ON gyro.subscriber_identity (subscriber_id);
COMMENT ON TABLE gyro.subscriber_identity IS 'identities by which requests name a subscriber (G-16)';
COMMENT ON COLUMN gyro.subscriber_identity.kind IS '1 IMSI, 2 E.164 (no plus), 3 NAI, 4 SIP URI, 5 private, 6 User-Name';
COMMENT ON COLUMN gyro.subscriber_identity.value IS 'as it stands in Subscription-Id-Data or User-Name';
COMMENT ON COLUMN gyro.subscriber_identity.subscriber_id IS 'whose it is';

CREATE TABLE gyro.session_index (
    session           uuid PRIMARY KEY,
    session_id        text NOT NULL,
    sub_session       numeric(20),
    account_id        bigint NOT NULL,
    group_id          bigint NOT NULL,
    subscriber_id     bigint NOT NULL,
    gateway_id        bigint NOT NULL,
    opened            timestamptz NOT NULL,
    check_at          timestamptz NOT NULL,
    release_requested boolean NOT NULL DEFAULT false,
    ended             boolean NOT NULL DEFAULT false,
    taken_over        boolean NOT NULL DEFAULT false
) WITH (fillfactor = 90);
CREATE INDEX session_index_check ON gyro.session_index (check_at);
CREATE INDEX session_index_gateway ON gyro.session_index (gateway_id, opened) WHERE NOT ended AND NOT taken_over;
COMMENT ON TABLE gyro.session_index IS 'Session-Id to account; also the supervision timer: written at CCR-I, then only when check_at has come, or comes nearer';
COMMENT ON COLUMN gyro.session_index.session IS '128-bit hash of Session-Id and CC-Sub-Session-Id';
COMMENT ON COLUMN gyro.session_index.session_id IS 'Session-Id (RFC 6733 8.8)';
COMMENT ON COLUMN gyro.session_index.sub_session IS 'CC-Sub-Session-Id; NULL if none';
COMMENT ON COLUMN gyro.session_index.account_id IS 'the account whose row holds the session';
COMMENT ON COLUMN gyro.session_index.group_id IS 'distribution key of that account';
COMMENT ON COLUMN gyro.session_index.subscriber_id IS 'whose session it is';
COMMENT ON COLUMN gyro.session_index.gateway_id IS 'the gateway that opened it';
COMMENT ON COLUMN gyro.session_index.opened IS 'time of the CCR-I';
COMMENT ON COLUMN gyro.session_index.check_at IS 'when the sweeper looks at the session next: its deadline may have moved since';
COMMENT ON COLUMN gyro.session_index.release_requested IS 'an operator asked to end it, or it ended because its gateway restarted (G-92)';
COMMENT ON COLUMN gyro.session_index.taken_over IS 'the sweeper saw that another gateway has had it since: a restart of the first one does not end it';
COMMENT ON COLUMN gyro.session_index.ended IS 'the sweeper saw that it has ended: the row goes at check_at, after the late window';

CREATE TABLE gyro.record (
    at             timestamptz NOT NULL,
    account_id     bigint NOT NULL,
    group_id       bigint NOT NULL,
    subscriber_id  bigint NOT NULL,
    gateway_id     bigint NOT NULL,
    session        uuid NOT NULL,
    opened         timestamptz NOT NULL,
    request_number bigint NOT NULL,
    end_to_end     bigint NOT NULL,
    content_hash   bigint NOT NULL,
    debit          bigint NOT NULL,
    balance        bigint NOT NULL,
    reserved       bigint NOT NULL,
    result         integer NOT NULL,
    request_type   smallint NOT NULL,
    flags          smallint NOT NULL,
    catalogue      bigint NOT NULL,
    charges        bigint[] NOT NULL,
    inputs         text,
    correlation    text
) PARTITION BY RANGE (at);
ALTER TABLE gyro.record ALTER COLUMN charges SET STATISTICS 0;
CREATE TABLE gyro.record_default PARTITION OF gyro.record DEFAULT;
ALTER TABLE gyro.record_default ALTER COLUMN charges SET STATISTICS 0;
CREATE INDEX record_at ON gyro.record USING brin (at) WITH (pages_per_range = 32, autosummarize = on);
-- What is looked for when a request comes late or twice (core/store/statement/history_*.sql): the ends of sessions, late
-- usage, refunds. All other records pay nothing for it. By opened, not by session: what ends today was mostly opened a short
-- time ago, so inserts stay on few pages, where the hash would touch all of them after each checkpoint.
CREATE INDEX record_late ON gyro.record (opened)
 WHERE request_type IN (0, 3) OR flags & 4 <> 0 OR request_type = 4 AND at <> opened;
COMMENT ON TABLE gyro.record IS 'append-only: ledger and charging data record, one row per request that was decided';
COMMENT ON COLUMN gyro.record.at IS 'when it was decided, by the clock of the database';
COMMENT ON COLUMN gyro.record.account_id IS 'the account debited';
COMMENT ON COLUMN gyro.record.group_id IS 'distribution key of that account';
COMMENT ON COLUMN gyro.record.subscriber_id IS 'whose request';
COMMENT ON COLUMN gyro.record.gateway_id IS 'who sent it';
COMMENT ON COLUMN gyro.record.session IS 'see gyro.session_index';
COMMENT ON COLUMN gyro.record.opened IS 'when that session was opened: tells two sessions of one Session-Id apart';
COMMENT ON COLUMN gyro.record.request_number IS 'CC-Request-Number; of an end without a request, the highest that its session had';
COMMENT ON COLUMN gyro.record.end_to_end IS 'End-to-End Identifier: find it in a trace';
COMMENT ON COLUMN gyro.record.content_hash IS 'tells a resend from a reused number (G-86)';
COMMENT ON COLUMN gyro.record.debit IS 'micro-units taken from the balance by this request';
COMMENT ON COLUMN gyro.record.balance IS 'micro-units after it';
COMMENT ON COLUMN gyro.record.reserved IS 'micro-units held after it, whole account';
COMMENT ON COLUMN gyro.record.result IS 'Result-Code of the command';
COMMENT ON COLUMN gyro.record.request_type IS 'CC-Request-Type; 0: ended by supervision or operator';
COMMENT ON COLUMN gyro.record.flags IS '1 over-use booked below zero, 2 usage without tariff, 4 late usage of an ended session; times 256: kind of the identity that named the subscriber, 0 its session did';
COMMENT ON COLUMN gyro.record.catalogue IS 'version of the catalogue that priced it, see gyro.catalogue_archive; 0: none was asked';
COMMENT ON COLUMN gyro.record.inputs IS 'what dynamic rules looked at, a line each: service (from 0), dynamic code or 0, attribute or 0, origin (0 missing, 1 own source, 2 default, 3 no attribute), type, number or text. Origin 4 is no code: free units that a rule (in the code''s place; 0: any other, no counter being left) had given that day, type 1, units. Origin 5: the price after a Tariff-Time-Change, micro-units in the code''s place, the block in the attribute''s, type 1, specific rule';
COMMENT ON COLUMN gyro.record.correlation IS 'what the request said of the larger thing it is part of (G-31), a line each: cause and Termination-Cause, correlation and CC-Correlation-Id in hex, multi (or multi-hex) and Acct-Multi-Session-Id; NULL: nothing. See gyro.record_line';
COMMENT ON COLUMN gyro.record.charges IS 'one row per service, see view gyro.charge';

-- What the audit needs of records that are no longer in gyro.record (gyro.record_close).
CREATE TABLE gyro.record_closed (
    partition text PRIMARY KEY,
    since     timestamptz NOT NULL,
    until     timestamptz NOT NULL,
    closed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    records   bigint NOT NULL,
    debit     numeric NOT NULL,
    card_used numeric NOT NULL
);
COMMENT ON TABLE gyro.record_closed IS 'partitions of gyro.record that were closed: their sums stand here, they are tables apart, to be exported and dropped';
COMMENT ON COLUMN gyro.record_closed.partition IS 'its name in the schema gyro';
COMMENT ON COLUMN gyro.record_closed.since IS 'its records were decided at or after this time';
COMMENT ON COLUMN gyro.record_closed.until IS '... and before this one';
COMMENT ON COLUMN gyro.record_closed.closed_at IS 'when it was closed';
COMMENT ON COLUMN gyro.record_closed.records IS 'how many it has: an export must have as many';
COMMENT ON COLUMN gyro.record_closed.debit IS 'micro-units debited by all of them; what gyro.record_closed_account got';
COMMENT ON COLUMN gyro.record_closed.card_used IS 'units they took from cards; what gyro.record_closed_card got';

CREATE TABLE gyro.record_closed_account (
    account_id bigint PRIMARY KEY,
    debit      numeric NOT NULL,
    over_used  boolean NOT NULL
);
COMMENT ON TABLE gyro.record_closed_account IS 'what all closed records debited, account by account';
COMMENT ON COLUMN gyro.record_closed_account.account_id IS 'the account';
COMMENT ON COLUMN gyro.record_closed_account.debit IS 'micro-units';
COMMENT ON COLUMN gyro.record_closed_account.over_used IS 'one of them booked over-use below zero (flag 1)';

CREATE TABLE gyro.record_closed_card (
    partition     text NOT NULL REFERENCES gyro.record_closed,
    account_id    bigint NOT NULL,
    subscriber_id bigint NOT NULL,
    card_id       bigint NOT NULL,
    rating_group  bigint,
    usage         boolean NOT NULL,
    purchase      boolean NOT NULL,
    used          bigint NOT NULL,
    debit         bigint NOT NULL
);
COMMENT ON TABLE gyro.record_closed_card IS 'what closed records say of cards: usage and settlements as sums, purchases one by one';
COMMENT ON COLUMN gyro.record_closed_card.partition IS 'where the records were';
COMMENT ON COLUMN gyro.record_closed_card.account_id IS 'the account debited';
COMMENT ON COLUMN gyro.record_closed_card.subscriber_id IS 'whose request';
COMMENT ON COLUMN gyro.record_closed_card.card_id IS 'the card';
COMMENT ON COLUMN gyro.record_closed_card.rating_group IS 'Rating-Group';
COMMENT ON COLUMN gyro.record_closed_card.usage IS 'units drawn from it; false: an operation debited';
COMMENT ON COLUMN gyro.record_closed_card.purchase IS 'that was a purchase or its refund; false: a settlement';
COMMENT ON COLUMN gyro.record_closed_card.used IS 'units';
COMMENT ON COLUMN gyro.record_closed_card.debit IS 'micro-units';

CREATE TABLE gyro.payment (
    payment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL,
    group_id   bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind       smallint NOT NULL CHECK (kind IN (1, 2, 3)),
    amount     bigint NOT NULL,
    balance    bigint NOT NULL,
    reference  text NOT NULL,
    forced     boolean NOT NULL DEFAULT false,
    UNIQUE (account_id, reference),
    FOREIGN KEY (account_id, group_id) REFERENCES gyro.account
);
COMMENT ON TABLE gyro.payment IS 'what changes a balance besides usage: the other side of the ledger';
COMMENT ON COLUMN gyro.payment.payment_id IS 'number of the entry';
COMMENT ON COLUMN gyro.payment.account_id IS 'the account credited';
COMMENT ON COLUMN gyro.payment.group_id IS 'distribution key of that account';
COMMENT ON COLUMN gyro.payment.at IS 'when';
COMMENT ON COLUMN gyro.payment.kind IS '1 opening balance, 2 top-up, 3 adjustment';
COMMENT ON COLUMN gyro.payment.amount IS 'micro-units; negative takes away';
COMMENT ON COLUMN gyro.payment.balance IS 'micro-units after it';
COMMENT ON COLUMN gyro.payment.reference IS 'the payer''s number: the same reference pays once';
COMMENT ON COLUMN gyro.payment.forced IS 'an operator took money that was reserved or not there; amount 0: lowered the credit limit so far';

CREATE TABLE gyro.unmatched_usage (
    at             timestamptz NOT NULL,
    session        uuid NOT NULL,
    session_id     text NOT NULL,
    origin_host    text NOT NULL,
    request_type   smallint NOT NULL,
    request_number bigint NOT NULL,
    content_hash   bigint NOT NULL,
    usage          bigint[] NOT NULL,
    PRIMARY KEY (session, request_type, request_number, content_hash)
);
COMMENT ON TABLE gyro.unmatched_usage IS 'usage reported for sessions never seen (G-24): not charged, kept for the operator';
COMMENT ON COLUMN gyro.unmatched_usage.at IS 'when it was reported';
COMMENT ON COLUMN gyro.unmatched_usage.session IS 'hash of Session-Id and CC-Sub-Session-Id';
COMMENT ON COLUMN gyro.unmatched_usage.session_id IS 'Session-Id';
COMMENT ON COLUMN gyro.unmatched_usage.origin_host IS 'who reported';
COMMENT ON COLUMN gyro.unmatched_usage.request_type IS 'CC-Request-Type';
COMMENT ON COLUMN gyro.unmatched_usage.request_number IS 'CC-Request-Number';
COMMENT ON COLUMN gyro.unmatched_usage.content_hash IS 'as in gyro.record';
COMMENT ON COLUMN gyro.unmatched_usage.usage IS 'rows of {Rating-Group or -1, unit, units}';

-- A transaction that will be rolled back, to see what would come of it (gyroctl apply --dry-run), says so with
-- gyro.begin_trial(): then provisioning leaves the rows of accounts alone, since nodes refuse whose row is locked. The row
-- that says it can't be committed: nodes would not hear of what such a transaction changed.
CREATE TABLE gyro.trial (begun timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE gyro.trial IS 'the transaction that sees a row here is a trial; nobody else ever sees one';
COMMENT ON COLUMN gyro.trial.begun IS 'when the transaction began';

CREATE FUNCTION gyro.trial_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a trial is rolled back, never committed';
END $$;
CREATE CONSTRAINT TRIGGER trial_ends AFTER INSERT ON gyro.trial DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION gyro.trial_ends();

CREATE FUNCTION gyro.begin_trial() RETURNS void LANGUAGE sql AS 'INSERT INTO gyro.trial DEFAULT VALUES';

CREATE FUNCTION gyro.is_trial() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM gyro.trial)';

-- A change of what a cached profile holds makes every node reload it (no dependence on NOTIFY).
CREATE FUNCTION gyro.profile_touch(for_account bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE gyro.account SET profile_version = profile_version + 1, version = version + 1
     WHERE account_id = for_account AND NOT gyro.is_trial()
$$;

CREATE FUNCTION gyro.subscriber_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM gyro.profile_touch(OLD.account_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF TG_OP = 'INSERT' OR NEW.account_id <> OLD.account_id THEN
            PERFORM gyro.profile_touch(NEW.account_id);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER subscriber_changed AFTER INSERT OR UPDATE OR DELETE ON gyro.subscriber
    FOR EACH ROW EXECUTE FUNCTION gyro.subscriber_changed();

CREATE FUNCTION gyro.identity_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM gyro.profile_touch(account_id) FROM gyro.subscriber WHERE subscriber_id = OLD.subscriber_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM gyro.profile_touch(account_id) FROM gyro.subscriber WHERE subscriber_id = NEW.subscriber_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER identity_changed AFTER INSERT OR UPDATE OR DELETE ON gyro.subscriber_identity
    FOR EACH ROW EXECUTE FUNCTION gyro.identity_changed();

-- Fires only where these columns are named in SET: the hot path names none of them.
CREATE FUNCTION gyro.account_provisioned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER account_provisioned BEFORE UPDATE OF state, currency, credit_limit, valid_until ON gyro.account
    FOR EACH ROW EXECUTE FUNCTION gyro.account_provisioned();
