-- The catalogue: what is sold at which price. Small; every node keeps it as one snapshot.

CREATE SCHEMA IF NOT EXISTS gyro;
COMMENT ON SCHEMA gyro IS 'Gyro online charging system';

CREATE TABLE gyro.schema_version (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gyro.schema_version IS 'migrations applied to this database, by gyroctl migrate';
COMMENT ON COLUMN gyro.schema_version.version IS 'number of the migration file';
COMMENT ON COLUMN gyro.schema_version.name IS 'name of the migration file without number and ending';
COMMENT ON COLUMN gyro.schema_version.applied_at IS 'when it was applied';

CREATE TABLE gyro.catalogue_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL DEFAULT 1,
    pushed   bigint NOT NULL DEFAULT 1
);
COMMENT ON TABLE gyro.catalogue_version IS 'one row; its version grows with every change of a catalogue table';
COMMENT ON COLUMN gyro.catalogue_version.only_row IS 'always true: keeps the table at one row';
COMMENT ON COLUMN gyro.catalogue_version.version IS 'compared by nodes with the snapshot they hold';
COMMENT ON COLUMN gyro.catalogue_version.pushed IS 'grows with every change of a pushed value: far more often, and kept out of the archive';
INSERT INTO gyro.catalogue_version DEFAULT VALUES;

CREATE TABLE gyro.service_context (
    suffix               text PRIMARY KEY CHECK (suffix <> ''),
    default_rating_group bigint CHECK (default_rating_group BETWEEN 0 AND 4294967295),
    cards                boolean NOT NULL DEFAULT false,
    apns                 text[] CHECK (cardinality(apns) > 0)
);
COMMENT ON TABLE gyro.service_context IS 'service contexts that are charged (RFC 8506 8.42, rule G-30)';
COMMENT ON COLUMN gyro.service_context.suffix IS 'a Service-Context-Id matches if it is this, or ends in a dot and this';
COMMENT ON COLUMN gyro.service_context.default_rating_group IS 'for services without Rating-Group (G-44); NULL: refused with 5031';
COMMENT ON COLUMN gyro.service_context.cards IS 'true: its requests are card operations (spec/cards.md), not usage';
-- Another name for them is another row, instead of this one or beside it.
INSERT INTO gyro.service_context (suffix, cards) VALUES ('cards@gyro', true);

COMMENT ON COLUMN gyro.service_context.apns IS 'Called-Station-Ids that may be used in it, without operator identifier; a session of another one is refused with 5003 (G-21). NULL: all';

CREATE TABLE gyro.peer_profile (
    peer               text PRIMARY KEY CHECK (peer <> ''),
    tariff_time_change boolean NOT NULL DEFAULT true,
    free_answer        smallint NOT NULL DEFAULT 0 CHECK (free_answer IN (0, 1, 2)),
    terminate_only     boolean NOT NULL DEFAULT false,
    credit_pools       boolean NOT NULL DEFAULT true,
    restart_ends_sessions boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE gyro.peer_profile IS 'what differs for some gateways; others have all defaults';
COMMENT ON COLUMN gyro.peer_profile.peer IS 'Origin-Host, or *.realm for every host below it; the longest that fits counts';
COMMENT ON COLUMN gyro.peer_profile.tariff_time_change IS 'it reports usage before and after a Tariff-Time-Change apart (G-70); false: Validity-Time ends there instead';
COMMENT ON COLUMN gyro.peer_profile.free_answer IS 'how it is told that a service is free (G-34): 0 by 4011 in the service, 1 by 4011 for the command and no session, if it opens one for free services only, 2 by a grant that costs nothing';
COMMENT ON COLUMN gyro.peer_profile.terminate_only IS 'it knows no Final-Unit-Action but TERMINATE: policies that redirect or restrict end the service there';
COMMENT ON COLUMN gyro.peer_profile.credit_pools IS 'it counts grants with a G-S-U-Pool-Reference as one sum (G-72); false: it never gets one';
COMMENT ON COLUMN gyro.peer_profile.restart_ends_sessions IS 'a greater Origin-State-Id of it ends its older sessions (G-92); false: its number grows also when it has lost none, at every reconnect';

CREATE TABLE gyro.rating_group (
    rating_group     bigint PRIMARY KEY CHECK (rating_group BETWEEN 0 AND 4294967295),
    name             text NOT NULL,
    default_grant    bigint NOT NULL CHECK (default_grant > 0),
    max_grant        bigint NOT NULL,
    threshold        bigint NOT NULL DEFAULT 0 CHECK (threshold BETWEEN 0 AND 4294967295),
    validity_s       bigint NOT NULL CHECK (validity_s BETWEEN 1 AND 4294967295),
    quota_holding_s  integer CHECK (quota_holding_s BETWEEN 0 AND 65534),
    final_unit       smallint NOT NULL DEFAULT 0 CHECK (final_unit IN (0, 1, 2)),
    redirect_type    smallint CHECK (redirect_type BETWEEN 0 AND 3),
    redirect_address text,
    filter_ids       text[] NOT NULL DEFAULT '{}',
    filter_rules     text[] NOT NULL DEFAULT '{}'
        CHECK (array_to_string(filter_rules, E'\n') ~ '^((permit|deny) (in|out) [^\n]+(\n(?=.)|$))*$'),
    provisioned      boolean NOT NULL DEFAULT false,
    quota_consumption_s integer NOT NULL DEFAULT 0 CHECK (quota_consumption_s BETWEEN 0 AND 65535),
    triggers         integer[] CHECK (array_position(triggers, NULL) IS NULL),
    min_grant        bigint NOT NULL DEFAULT 1 CHECK (min_grant > 0),
    target_s         integer NOT NULL DEFAULT 0 CHECK (target_s BETWEEN 0 AND 86400),
    validity_jitter  smallint NOT NULL DEFAULT 0 CHECK (validity_jitter BETWEEN 0 AND 50),
    pool             integer NOT NULL DEFAULT 0 CHECK (pool BETWEEN 0 AND 65535),
    CHECK (min_grant <= max_grant),
    CHECK (final_unit <> 2 OR provisioned OR cardinality(filter_ids) + cardinality(filter_rules) > 0),
    CHECK (max_grant >= default_grant AND max_grant <= 1152921504606846976),
    CHECK ((final_unit = 1) = (redirect_type IS NOT NULL AND redirect_address IS NOT NULL))
);
COMMENT ON TABLE gyro.rating_group IS 'how grants of a Rating-Group are sized and shaped';
COMMENT ON COLUMN gyro.rating_group.rating_group IS 'Rating-Group (RFC 8506 8.29)';
COMMENT ON COLUMN gyro.rating_group.name IS 'for people';
COMMENT ON COLUMN gyro.rating_group.default_grant IS 'units granted when the request names no amount';
COMMENT ON COLUMN gyro.rating_group.max_grant IS 'units; no grant is larger';
COMMENT ON COLUMN gyro.rating_group.threshold IS 'remaining units at which the gateway reports (TS 32.299 Volume-, Time-, Unit-Quota-Threshold); 0: none';
COMMENT ON COLUMN gyro.rating_group.validity_s IS 'Validity-Time of a grant, seconds';
COMMENT ON COLUMN gyro.rating_group.quota_holding_s IS 'Quota-Holding-Time, seconds; 0: the gateway keeps unused quota, NULL: as it is configured (TS 32.299 7.2.131)';
COMMENT ON COLUMN gyro.rating_group.final_unit IS 'Final-Unit-Action: 0 TERMINATE, 1 REDIRECT, 2 RESTRICT_ACCESS';
COMMENT ON COLUMN gyro.rating_group.redirect_type IS 'Redirect-Address-Type: 0 IPv4, 1 IPv6, 2 URL, 3 SIP URI; only with REDIRECT';
COMMENT ON COLUMN gyro.rating_group.redirect_address IS 'Redirect-Server-Address; only with REDIRECT';
COMMENT ON COLUMN gyro.rating_group.filter_ids IS 'Filter-Id values sent with REDIRECT or RESTRICT_ACCESS';
COMMENT ON COLUMN gyro.rating_group.filter_rules IS 'Restriction-Filter-Rule values sent with REDIRECT or RESTRICT_ACCESS: IPFilterRule (RFC 6733 4.3.1)';
COMMENT ON COLUMN gyro.rating_group.provisioned IS 'the gateway knows by itself what RESTRICT_ACCESS leaves open (G-61): neither filters nor rules are needed';
COMMENT ON COLUMN gyro.rating_group.quota_consumption_s IS 'Quota-Consumption-Time (TS 32.299 7.2), seconds, sent with grants of time (G-51); 0: none';
COMMENT ON COLUMN gyro.rating_group.triggers IS 'Trigger-Types at which the gateway asks again (TS 32.299 7.2, G-52), sent with each grant; empty: none at all; NULL: the gateway decides';

COMMENT ON COLUMN gyro.rating_group.min_grant IS 'units; no adaptive grant is made smaller';
COMMENT ON COLUMN gyro.rating_group.target_s IS 'adaptive grants: seconds that a grant should last at the rate of the last report, between min_grant and max_grant, and less where sources run low; 0: grants of a fixed size';
COMMENT ON COLUMN gyro.rating_group.validity_jitter IS 'percent by which Validity-Time may be shorter, differently for each session: gateways then don''t come all at once';
COMMENT ON COLUMN gyro.rating_group.pool IS 'G-S-U-Pool-Identifier (RFC 8506 8.31): grants of Rating-Groups with the same one share their credit within a session (G-72); 0: none';

CREATE TABLE gyro.specific_tariff (
    tariff_id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    code      text NOT NULL UNIQUE CHECK (code <> ''),
    name      text NOT NULL DEFAULT ''
);
COMMENT ON TABLE gyro.specific_tariff IS 'specific tariff codes (S-2): each subscriber has one';
COMMENT ON COLUMN gyro.specific_tariff.tariff_id IS 'internal number of the code';
COMMENT ON COLUMN gyro.specific_tariff.code IS 'the code that people use';
COMMENT ON COLUMN gyro.specific_tariff.name IS 'for people';

CREATE TABLE gyro.specific_rule (
    rule_id      bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    tariff_id    integer NOT NULL REFERENCES gyro.specific_tariff ON DELETE CASCADE,
    rating_group bigint NOT NULL REFERENCES gyro.rating_group,
    unit         smallint NOT NULL DEFAULT 1 CHECK (unit IN (1, 2, 3)),
    kind         smallint NOT NULL DEFAULT 0 CHECK (kind IN (0, 1, 2)),
    price_micros bigint NOT NULL DEFAULT 0 CHECK (price_micros BETWEEN 0 AND 1000000000000000),
    block        bigint NOT NULL DEFAULT 1 CHECK (block BETWEEN 1 AND 1152921504606846976),
    valid_from   timestamptz NOT NULL DEFAULT '-infinity',
    valid_until  timestamptz NOT NULL DEFAULT 'infinity',
    CHECK (valid_from < valid_until),
    CHECK (kind = 0 OR price_micros = 0)
);
CREATE INDEX specific_rule_by_tariff ON gyro.specific_rule (tariff_id, rating_group);
COMMENT ON TABLE gyro.specific_rule IS 'specific tariff rules (S-3): the price of a Rating-Group under a specific code';
COMMENT ON COLUMN gyro.specific_rule.rule_id IS 'named by records and by explain';
COMMENT ON COLUMN gyro.specific_rule.tariff_id IS 'the specific code it belongs to';
COMMENT ON COLUMN gyro.specific_rule.rating_group IS 'the Rating-Group it prices';
COMMENT ON COLUMN gyro.specific_rule.unit IS 'what is counted: 1 octets, 2 seconds, 3 service-specific units';
COMMENT ON COLUMN gyro.specific_rule.kind IS '0 priced, 1 free (answered 4011), 2 forbidden (answered 4010)';
COMMENT ON COLUMN gyro.specific_rule.price_micros IS 'micro-units of the currency per block';
COMMENT ON COLUMN gyro.specific_rule.block IS 'units per block; the price is linear, blocks are not rounded up';
COMMENT ON COLUMN gyro.specific_rule.valid_from IS 'first instant of validity';
COMMENT ON COLUMN gyro.specific_rule.valid_until IS 'first instant after it';

-- Two rules for one (code, Rating-Group, unit) must not overlap in time: the price would be a matter of luck.
CREATE FUNCTION gyro.specific_rule_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    other bigint;
BEGIN
    PERFORM 1 FROM gyro.specific_tariff WHERE tariff_id = NEW.tariff_id FOR UPDATE;
    SELECT rule_id INTO other FROM gyro.specific_rule r
     WHERE r.tariff_id = NEW.tariff_id AND r.rating_group = NEW.rating_group AND r.unit = NEW.unit
       AND r.rule_id <> NEW.rule_id
       AND r.valid_from < NEW.valid_until AND NEW.valid_from < r.valid_until
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'rule % overlaps rule % for Rating-Group % in time', NEW.rule_id, other, NEW.rating_group
            USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER specific_rule_overlap AFTER INSERT OR UPDATE ON gyro.specific_rule
    FOR EACH ROW EXECUTE FUNCTION gyro.specific_rule_overlap();

CREATE FUNCTION gyro.catalogue_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gyro.catalogue_version SET version = version + 1;
    PERFORM pg_notify('gyro_catalogue', '');
    RETURN NULL;
END $$;
CREATE TRIGGER catalogue_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gyro.service_context
    FOR EACH STATEMENT EXECUTE FUNCTION gyro.catalogue_changed();
CREATE TRIGGER catalogue_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gyro.peer_profile
    FOR EACH STATEMENT EXECUTE FUNCTION gyro.catalogue_changed();
CREATE TRIGGER catalogue_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gyro.rating_group
    FOR EACH STATEMENT EXECUTE FUNCTION gyro.catalogue_changed();
CREATE TRIGGER catalogue_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gyro.specific_tariff
    FOR EACH STATEMENT EXECUTE FUNCTION gyro.catalogue_changed();
CREATE TRIGGER catalogue_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gyro.specific_rule
    FOR EACH STATEMENT EXECUTE FUNCTION gyro.catalogue_changed();
