-- What the specs need beside the product's schema: three accounts, and a node's memory between its two round trips.
--
-- A node locks rows by the product's own statement (into the temporary table held), decides with node.decide, which
-- knows just enough of charging to be audited (Rating-Group 10 at 1 micro-unit per octet, grants as far as the money
-- goes), and writes by the product's own batch_apply with what the functions at the end make of its memory.
CREATE SCHEMA node;

-- Keys of the sessions that specs name; filled by the runner.
CREATE TABLE node.key (name text PRIMARY KEY, session uuid NOT NULL, hi bigint NOT NULL, lo bigint NOT NULL);

CREATE FUNCTION node.sessions() RETURNS uuid[] LANGUAGE sql AS $$ SELECT array_agg(session) FROM node.key $$;

CREATE FUNCTION node.reset() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE gyro.record, gyro.session_index, gyro.payment, gyro.subscriber_identity, gyro.subscriber, gyro.account,
             gyro.gateway RESTART IDENTITY CASCADE;
    INSERT INTO gyro.gateway (origin_host, origin_realm) VALUES ('pgw1.gyro.test', 'gyro.test');
    PERFORM gyro.account_open(n, 156::smallint, 1000) FROM generate_series(1, 3) n;
    INSERT INTO gyro.subscriber (subscriber_id, account_id, group_id, tariff_id)
        SELECT 10 + n, n, n, 1 FROM generate_series(1, 3) n;
    INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id)
        SELECT 1, 'imsi' || n, 10 + n FROM generate_series(1, 3) n;
    UPDATE gyro.account SET version = 1, profile_version = 1;
END $$;

-- What a node knows after its first round trip; nothing of rows that it was not given.
CREATE FUNCTION node.sees() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE $q$
        SELECT format('account %s: balance %s, reserved %s, version %s, profile %s, sessions %s', account_id, balance,
                      reserved, version, profile_version,
                      (SELECT coalesce(string_agg(k.name || ' ' || CASE sessions[n][5] WHEN 1 THEN 'open' ELSE 'ended' END
                                                  || CASE WHEN sessions[n][8] >= 0 THEN ' U' || sessions[n][8] ELSE '' END,
                                                  ', ' ORDER BY n), 'none')
                         FROM generate_series(1, coalesce(array_length(sessions, 1), 0)) n
                         JOIN node.key k ON k.hi = sessions[n][1] AND k.lo = sessions[n][2]))
          FROM held ORDER BY account_id $q$;
    RETURN QUERY EXECUTE 'SELECT ''the index knows '' || name FROM seen JOIN node.key USING (session) ORDER BY name';
END $$;

CREATE TABLE node.decision (
    no integer GENERATED ALWAYS AS IDENTITY, at timestamptz, account_id bigint, subscriber_id bigint, session uuid,
    session_id text, opened timestamptz, request_number bigint, debit bigint, balance bigint, reserved bigint,
    result integer, request_type smallint, flags smallint, charges bigint[], opens boolean, known boolean,
    of_account bigint, of_opened timestamptz
);

CREATE FUNCTION node.us(t timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (extract(epoch FROM t) * 1000000)::bigint
$$;

-- Row of charges: result, used, granted, reserved.
CREATE FUNCTION node.charge(result bigint, used bigint, granted bigint, late integer) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT ARRAY[ARRAY[10, 0, result << 16 | 1::bigint << 32 | 0, used, used, granted, granted, 1, 1, 0, 1, 3600::bigint << 32,
                       late, sign(used)::bigint, sign(used)::bigint, sign(used)::bigint * 3, sign(used)::bigint, 0]]::bigint[]
$$;

-- Decides one request on what this node holds: says what it would answer. Types 1, 2, 3 as in CCR; 0: the sweeper.
CREATE FUNCTION node.decide(on_account bigint, name text, kind integer, number bigint, used bigint DEFAULT 0)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    h       record;
    k       node.key;
    now_us  bigint := node.us(clock_timestamp());
    n       integer;
    grants  bigint := 0;
    ended   boolean := false;
    seen    boolean;
BEGIN
    SELECT * INTO k FROM node.key WHERE node.key.name = decide.name;
    EXECUTE 'SELECT * FROM held WHERE account_id = $1' INTO h USING on_account;
    IF h.account_id IS NULL THEN
        RETURN 'held by others: later';
    END IF;
    SELECT max(i) INTO n FROM generate_series(1, coalesce(array_length(h.sessions, 1), 0)) i
     WHERE h.sessions[i][1] = k.hi AND h.sessions[i][2] = k.lo;
    IF kind = 1 AND n IS NOT NULL THEN
        RETURN 'a copy: nothing changes';
    ELSIF kind = 1 THEN
        n := coalesce(array_length(h.sessions, 1), 0) + 1;
        h.sessions := h.sessions || ARRAY[ARRAY[k.hi, k.lo, on_account + 10, 1, 1, now_us, now_us + 7200000000, -1, 0, number, 1, 0]];
        h.reservations := h.reservations || ARRAY[ARRAY[n, 10, 0, 1, 0, 0, 1, 1, 0, 1, 3600, 0]]::bigint[];
    ELSIF n IS NULL THEN
        RETURN 'no such session here';
    ELSE
        ended := h.sessions[n][5] <> 1;
        seen := kind = 2 AND h.sessions[n][8] >= number AND h.sessions[n][9] >> (h.sessions[n][8] - number)::integer & 1 = 1;
        IF seen OR ended AND kind IN (0, 3) THEN
            RETURN CASE WHEN kind = 0 THEN 'ended already' ELSE 'a copy: nothing changes' END;
        END IF;
    END IF;
    h.reserved := h.reserved - h.reservations[n][6];
    h.balance := h.balance - used;
    IF kind IN (1, 2) AND NOT ended THEN
        grants := least(600, h.balance - h.reserved);
    END IF;
    h.reserved := h.reserved + grants;
    h.reservations[n][5] := grants;
    h.reservations[n][6] := grants;
    IF kind = 2 AND number > h.sessions[n][8] THEN
        h.sessions[n][9] := h.sessions[n][9] << (number - h.sessions[n][8])::integer | 1;
        h.sessions[n][8] := number;
    ELSIF kind = 2 THEN
        h.sessions[n][9] := h.sessions[n][9] | 1::bigint << (h.sessions[n][8] - number)::integer;
    ELSIF kind IN (0, 3) THEN
        h.sessions[n][5] := CASE kind WHEN 3 THEN 2 ELSE 3 END;
    END IF;
    EXECUTE 'UPDATE held SET balance = $1, reserved = $2, sessions = $3, reservations = $4, changed = true WHERE account_id = $5'
        USING h.balance, h.reserved, h.sessions, h.reservations, on_account;
    EXECUTE 'INSERT INTO decided (at, account_id, subscriber_id, session, session_id, opened, request_number, debit, balance,
             reserved, result, request_type, flags, charges, opens, known, of_account, of_opened)
             SELECT timestamptz ''epoch'' + $1 * interval ''1 microsecond'', $2, $2 + 10, $3, $4,
                    timestamptz ''epoch'' + $5 * interval ''1 microsecond'', $6, $7, $8, $9, $10, $11, $12, $13, $14, EXISTS (SELECT FROM seen WHERE seen.session = $3),
                    coalesce((SELECT account_id FROM gyro.session_index x WHERE x.session = $3), 0),
                    coalesce((SELECT opened FROM gyro.session_index x WHERE x.session = $3), ''epoch'')'
        USING now_us, on_account, k.session, name, h.sessions[n][6], number, used, h.balance, h.reserved,
              CASE WHEN ended THEN 5002 ELSE 2001 END, kind::smallint, CASE WHEN ended THEN 4 ELSE 0 END::smallint,
              node.charge(2001, used, grants, CASE WHEN ended THEN 4 ELSE 0 END), kind = 1;
    RETURN CASE WHEN ended THEN format('late usage: %s paid, answered 5002', used)
                WHEN kind = 0 THEN 'ended, what it held is given back'
                ELSE format('%s paid, %s granted', used, grants) END;
END $$;

-- --- the node's memory as parameters of batch_apply, in its order

-- One column of the changed rows, and the rows' shares of the matrices: from and to, counted from 1.
CREATE FUNCTION node.numbers(source text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    found bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(%s ORDER BY account_id), ''{}'') FROM held WHERE changed', source) INTO found;
    RETURN found;
END $$;

CREATE FUNCTION node.share(source text, relation text, sort text, wanted text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    found bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(CASE $1 WHEN ''from'' THEN upto - rows + 1 ELSE upto END ORDER BY %1$s), ''{}'')
                      FROM (SELECT %1$s, rows, sum(rows) OVER (ORDER BY %1$s) AS upto
                              FROM (SELECT %1$s, coalesce(array_length(%2$s, 1), 0) AS rows FROM %3$s) a) b',
                   sort, source, relation) INTO found USING wanted;
    RETURN found;
END $$;

CREATE FUNCTION node.rows(source text, relation text, sort text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    found bigint[] := '{}';
    one   bigint[];
BEGIN
    FOR one IN EXECUTE format('SELECT %s FROM %s ORDER BY %s', source, relation, sort) LOOP
        found := found || one;
    END LOOP;
    RETURN found;
END $$;

CREATE FUNCTION node.share(source text, wanted text) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT node.share(source, '(SELECT * FROM held WHERE changed) x', 'account_id', wanted)
$$;

CREATE FUNCTION node.rows(source text) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT node.rows(source, '(SELECT * FROM held WHERE changed) x', 'account_id')
$$;

-- One column of the decisions, as an array of whatever type kind is.
CREATE FUNCTION node.decisions(source text, kind anyarray, only_opened boolean DEFAULT false) RETURNS anyarray LANGUAGE plpgsql AS $$
DECLARE
    found kind%TYPE;
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(%s ORDER BY no), ''{}'') FROM decided WHERE opens OR NOT %L', source, only_opened)
       INTO found;
    RETURN found;
END $$;

CREATE FUNCTION node.expected() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found bigint;
BEGIN
    EXECUTE 'SELECT (SELECT count(*) FROM held WHERE changed) + (SELECT count(*) + count(*) FILTER (WHERE opens) FROM decided)'
       INTO found;
    RETURN found;
END $$;

-- --- what everybody can see afterwards

CREATE VIEW node.purse AS
SELECT a.account_id AS account, a.balance, a.reserved, a.version,
       (SELECT count(*) FROM gyro.record r WHERE r.account_id = a.account_id) AS records,
       (SELECT coalesce(sum(debit), 0) FROM gyro.record r WHERE r.account_id = a.account_id) AS debits,
       (SELECT coalesce(string_agg(k.name || CASE sessions[n][5] WHEN 1 THEN ' open' ELSE ' ended' END, ', ' ORDER BY n), '')
          FROM generate_series(1, coalesce(array_length(sessions, 1), 0)) n
          JOIN node.key k ON k.hi = sessions[n][1] AND k.lo = sessions[n][2]) AS sessions
  FROM gyro.account a ORDER BY 1;

-- The sweeper's memory, as parameters.
CREATE FUNCTION node.due(source text, kind anyarray) RETURNS anyarray LANGUAGE plpgsql AS $$
DECLARE
    found kind%TYPE;
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(%s ORDER BY session), ''{}'') FROM due', source) INTO found;
    RETURN found;
END $$;

CREATE FUNCTION node.session(named text) RETURNS uuid LANGUAGE sql AS $$ SELECT session FROM node.key WHERE name = named $$;
CREATE FUNCTION node.opened(named text) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT opened FROM gyro.session_index WHERE session_id = named
$$;

-- --- cards: the product's own gyro.card_request, in few words

-- One product of which there is one, one that is paid by usage; card numbers from 1.
CREATE FUNCTION node.shop() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM node.reset();
    TRUNCATE gyro.purchase, gyro.product, gyro.audience, gyro.card_answer, gyro.card, gyro.usage_window RESTART IDENTITY CASCADE;
    PERFORM setval('gyro.card_number', 1, false);
    INSERT INTO gyro.audience (name, kind) VALUES ('everyone', 1);
    INSERT INTO gyro.product (code, price, currency, quota, audience_id, stock) VALUES ('last', 300, 156, 1000, 1, 1),
           ('base', 300, 156, 1000, 1, NULL);
    INSERT INTO gyro.product (code, currency, quota, audience_id, max_bindings, settle, usage_price, usage_block)
    VALUES ('pool', 156, 1000, 1, 9, 2, 7, 3);
END $$;

CREATE FUNCTION node.operation(name text, kind integer, number bigint, operation integer, who bigint, product text, purchase text,
                               card text, whom bigint, units bigint, action integer DEFAULT 0) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(', ', r.result::text, r.message, 'card ' || r.card, 'holds ' || r.granted, 'paid ' || r.cost,
                     'binding ' || r.binding, 'priority ' || r.priority,
                     (SELECT string_agg(format('window %s of Rating-Group %s: %s units, %s to pay', s[n][7], s[n][2], s[n][3], s[n][6]), ', ')
                        FROM (SELECT r.statistics AS s) m, generate_series(1, gyro.matrix_rows(s)) n))
      FROM gyro.card_request(md5(name)::uuid, kind::smallint, number, action::smallint, operation::smallint, who, product, purchase, card,
                             CASE WHEN whom = 0 THEN 0 ELSE 1 END::smallint, CASE WHEN whom = 0 THEN '' ELSE 'imsi' || whom - 10 END,
                             -1, units, '{}', '{}', '{}', 1, 1, 7, false) r
$$;

-- name: of the session. steps: CCR-I, CCR-T; buy: a CCR-E.
CREATE FUNCTION node.begins(name text, who bigint, product text, purchase text) RETURNS text LANGUAGE sql AS $$
    SELECT node.operation(name, 1, 0, 0, who, product, purchase, '', 0, -1)
$$;
CREATE FUNCTION node.ends(name text, units bigint) RETURNS text LANGUAGE sql AS $$
    SELECT node.operation(name, 3, 1, 0, 0, '', '', '', 0, units)
$$;
CREATE FUNCTION node.buys(name text, who bigint, product text, purchase text) RETURNS text LANGUAGE sql AS $$
    SELECT node.operation(name, 4, 0, 0, who, product, purchase, '', 0, -1)
$$;
CREATE FUNCTION node.refunds(name text, who bigint, purchase text) RETURNS text LANGUAGE sql AS $$
    SELECT node.operation(name, 4, 0, 0, who, '', purchase, '', 0, -1, 1)
$$;
CREATE FUNCTION node.binds(name text, who bigint, card text, whom bigint) RETURNS text LANGUAGE sql AS $$
    SELECT node.operation(name, 4, 0, 1, who, '', '', card, whom, -1)
$$;
CREATE FUNCTION node.statistics(name text, who bigint, card text) RETURNS text LANGUAGE sql AS $$
    SELECT node.operation(name, 4, 0, 3, who, '', '', card, 0, -1)
$$;

-- Usage of a subscriber out of a card, as a node writes it: both rows locked in order, then changed, then the record.
CREATE FUNCTION node.draws(who bigint, card_code text, units bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    k gyro.card;
    n integer;
    d bigint[];
    i integer;
BEGIN
    SELECT * INTO k FROM gyro.card WHERE code = card_code;
    PERFORM FROM gyro.account WHERE account_id IN (k.account_id, who - 10) ORDER BY account_id FOR NO KEY UPDATE;
    SELECT gyro.card_row_no(cards, k.card_id), draws INTO n, d FROM gyro.account WHERE account_id = k.account_id;
    SELECT min(j) INTO i FROM generate_series(1, gyro.matrix_rows(d)) j WHERE d[j][1] = k.card_id AND d[j][3] = 10;
    IF i IS NULL THEN
        d := d || ARRAY[[k.card_id, 0, 10, units, 0]];
    ELSE
        d[i][4] := d[i][4] + units;
    END IF;
    UPDATE gyro.account SET version = version + 1, card_use[n][1] = card_use[n][1] + units, draws = d WHERE account_id = k.account_id;
    INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened, request_number, end_to_end,
                             content_hash, debit, balance, reserved, result, request_type, flags, catalogue, charges)
    SELECT t, account_id, group_id, who, 1, gen_random_uuid(), t, 0, 1, 7, 0, balance, reserved, 2001, 4, 0, 1,
           ARRAY[[10, 0, (2001::bigint << 16) | (1::bigint << 32), units, 0, 0, 0, 0, 1, 0, 0, 0, 64, 0, 1, 2, k.card_id, 0]]
      FROM gyro.account, clock_timestamp() t WHERE account_id = who - 10;
    RETURN format('%s drawn', units);
END $$;

CREATE VIEW node.till AS
SELECT a.account_id AS account, a.balance, a.reserved,
       (SELECT coalesce(string_agg(format('%s %s', q.purchase_id, q.state), ', ' ORDER BY q.purchase_id), '')
          FROM gyro.purchase_state q WHERE q.account_id = a.account_id) AS purchases,
       (SELECT coalesce(string_agg(format('%s %s used %s', k.code, k.state, k.used), ', ' ORDER BY k.code), '')
          FROM gyro.card_state k WHERE k.account_id = a.account_id) AS cards
  FROM gyro.account a ORDER BY 1;
