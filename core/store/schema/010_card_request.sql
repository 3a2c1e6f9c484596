-- Cards: statistics windows and their settlement (spec/cards.md Z-11), and the one entry of all operations.

-- --- statistics and settlement --------------------------------------------------------------------------------------

-- Closes the open window of a card, if anything was drawn in it: its owner's account row is locked, so nothing is
-- drawn meanwhile, whatever the clocks say. Returns its number, what the owner owes for it and the charges of the
-- record; number NULL: nothing was drawn.
CREATE FUNCTION gyro.card_window_close(k gyro.card, OUT number bigint, OUT amount bigint, OUT charges bigint[]) LANGUAGE plpgsql AS $$
DECLARE
    a     gyro.account;
    due   numeric;
    rest  bigint;
    unit  smallint;
BEGIN
    SELECT * INTO a FROM gyro.account WHERE account_id = k.account_id;
    SELECT carry INTO rest FROM gyro.card WHERE card_id = k.card_id;
    unit := a.cards[gyro.card_row_no(a.cards, k.card_id)][3];
    amount := 0;
    charges := '{}';
    FOR n IN 1 .. gyro.matrix_rows(a.draws) LOOP
        CONTINUE WHEN a.draws[n][1] <> k.card_id OR a.draws[n][2] <> 0 OR a.draws[n][4] = a.draws[n][5];
        IF number IS NULL THEN
            INSERT INTO gyro.usage_window (card_id, opened, closed, amount)
            SELECT c.card_id, c.settled_until, greatest(clock_timestamp(), c.settled_until + interval '1 microsecond'), 0
              FROM gyro.card c WHERE c.card_id = k.card_id RETURNING window_id INTO number;
        END IF;
        due := (a.draws[n][4] - a.draws[n][5])::numeric * k.usage_price + rest;
        rest := due % k.usage_block;
        due := div(due, k.usage_block);
        amount := amount + due;
        INSERT INTO gyro.usage_window_line VALUES (number, a.draws[n][3], a.draws[n][4] - a.draws[n][5], due);
        IF due > 0 THEN
            charges := charges || gyro.card_charge(k.card_id, a.draws[n][3], unit, 0, due::bigint, k.usage_price, k.usage_block);
        END IF;
        a.draws[n][5] := a.draws[n][4];
    END LOOP;
    IF number IS NOT NULL THEN
        UPDATE gyro.usage_window w SET amount = card_window_close.amount WHERE window_id = number;
        UPDATE gyro.card c SET settled_until = w.closed, carry = rest
          FROM gyro.usage_window w WHERE c.card_id = k.card_id AND w.window_id = number;
        UPDATE gyro.account SET version = version + 1, draws = a.draws, balance = balance - card_window_close.amount
         WHERE account_id = k.account_id;
    END IF;
END $$;

-- Takes out of an account row the cards that nothing can be drawn from any more: the row stays small.
CREATE FUNCTION gyro.card_retire(for_account bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    a     gyro.account;
    k     gyro.card;
    o     gyro.card_order;
    w     record;
    n     integer;
    mine  bigint[];
    used  bigint[];
    spent bigint[] := '{}';
    gone  integer := 0;
BEGIN
    -- Nearly always none, however many cards there are: one pass over the unpacked array.
    SELECT x.cards, x.card_use INTO mine, used FROM gyro.account x WHERE account_id = for_account;
    FOR i IN 1 .. gyro.matrix_rows(mine) LOOP
        IF mine[i][2] IN (2, 4) AND used[i][2] = 0 AND mine[i][6] = 0
           AND (mine[i][2] = 4 OR used[i][1] >= mine[i][4] OR used[i][3] <= gyro.us(clock_timestamp())) THEN
            spent := spent || mine[i][1];
        END IF;
    END LOOP;
    FOR k IN SELECT c.* FROM gyro.card c WHERE c.card_id = ANY (spent)
                AND NOT EXISTS (SELECT FROM gyro.purchase q WHERE q.purchase_id = c.purchase_id AND q.state = 4) LOOP
        SELECT * INTO w FROM gyro.card_window_close(k);
        IF w.amount > 0 THEN
            o := ROW(gen_random_uuid(), 0, 0, -1, 3, k.owner, '', '', '', 0, -1, -1, '{}', '{}', '{}', 0, 0, 0);
            PERFORM gyro.card_record(o, for_account, k.issued_at, w.amount, w.charges);
        END IF;
        SELECT * INTO a FROM gyro.account WHERE account_id = for_account;
        n := gyro.card_row_no(a.cards, k.card_id);
        UPDATE gyro.card SET retired = gyro.matrix_row(a.cards, n) || gyro.matrix_row(a.card_use, n)
         WHERE card_id = k.card_id;
        UPDATE gyro.account
           SET version = version + 1, cards = gyro.matrix_without(cards, n), card_use = gyro.matrix_without(card_use, n),
               draws = coalesce((SELECT array_agg(ARRAY[a.draws[i][1], a.draws[i][2], a.draws[i][3], a.draws[i][4], a.draws[i][5]] ORDER BY i)
                                   FROM generate_series(1, gyro.matrix_rows(a.draws)) i
                                  WHERE a.draws[i][1] <> k.card_id), '{}')
         WHERE account_id = for_account;
        gone := gone + 1;
    END LOOP;
    RETURN gone;
END $$;

CREATE FUNCTION gyro.card_statistics(o gyro.card_order) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    r       gyro.card_reply := gyro.card_refuse(2001, NULL);
    k       gyro.card;
    w       record;
    home    bigint;
    total   bigint;
    unit    bigint;
    mine    bigint[];
    charges bigint[];
BEGIN
    r.statistics := '{}';
    r.cards := '{}';
    FOR home IN SELECT DISTINCT account_id FROM gyro.card
                 WHERE owner = o.requester AND o.card IN ('', code) ORDER BY 1 LOOP
        total := 0;
        charges := '{}';
        SELECT a.cards INTO mine FROM gyro.account a WHERE a.account_id = home;
        FOR k IN SELECT * FROM gyro.card WHERE owner = o.requester AND account_id = home AND o.card IN ('', code) ORDER BY card_id LOOP
            SELECT * INTO w FROM gyro.card_window_close(k);
            total := total + w.amount;
            charges := charges || w.charges;
            r.cards := r.cards || k.code;
            unit := coalesce(mine[gyro.card_row_no(mine, k.card_id)][3], k.retired[3]);
            -- Nothing new: the last window is told again.
            r.statistics := r.statistics || coalesce((
                SELECT array_agg(ARRAY[array_length(r.cards, 1) - 1, l.rating_group, l.used, gyro.us(x.opened), gyro.us(x.closed), l.amount,
                                       x.window_id, unit] ORDER BY l.rating_group)
                  FROM (SELECT * FROM gyro.usage_window u WHERE u.card_id = k.card_id ORDER BY u.window_id DESC LIMIT 1) x
                  JOIN gyro.usage_window_line l USING (window_id)), '{}');
        END LOOP;
        IF total > 0 THEN
            PERFORM gyro.card_record(o, home, clock_timestamp(), total, charges);
        END IF;
    END LOOP;
    SELECT a.currency INTO r.currency FROM gyro.account a JOIN gyro.subscriber s USING (account_id) WHERE s.subscriber_id = o.requester;
    RETURN r;
END $$;

-- --- the one entry ---------------------------------------------------------------------------------------------------

-- Locks the accounts that an operation touches: the card's, its user's (of a pool all its users', if it is about all
-- of them), the requester's and the beneficiary's.
CREATE FUNCTION gyro.card_lock(k gyro.card, subscribers bigint[], all_users boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
    SELECT count(*) FROM (
        SELECT FROM gyro.account WHERE account_id IN (
            SELECT k.account_id
            UNION SELECT s.account_id FROM gyro.subscriber s WHERE s.subscriber_id = ANY (subscribers)
            UNION SELECT s.account_id FROM gyro.card_binding b JOIN gyro.subscriber s USING (subscriber_id)
                   WHERE b.card_id = k.card_id AND b.unbound_at IS NULL AND (k.max_bindings = 1 OR all_users))
         ORDER BY account_id FOR NO KEY UPDATE) locked
$$;

CREATE FUNCTION gyro.card_decide(o gyro.card_order) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    k gyro.card;
    q gyro.purchase;
BEGIN
    IF o.operation = 5 AND o.request_type <> 4 THEN
        RETURN gyro.card_refuse(5004, 'CANCEL needs a CCR-E', 416);
    ELSIF o.operation = 5 AND o.action IN (2, 3) THEN -- what would only be asked must not be done
        RETURN gyro.card_refuse(5004, 'CANCEL has no such Requested-Action', 436);
    ELSIF o.operation IN (0, 5) THEN
        SELECT * INTO q FROM gyro.purchase WHERE purchase_id = o.purchase OR session = o.session AND o.request_type IN (2, 3) LIMIT 1;
        SELECT * INTO k FROM gyro.card WHERE card_id = q.card_id;
        k.account_id := coalesce(k.account_id, q.account_id);
        k.max_bindings := coalesce(k.max_bindings, 1);
        PERFORM gyro.card_lock(k, ARRAY[o.requester], o.action = 1);
        RETURN CASE WHEN o.operation = 5 OR o.action = 1 AND o.request_type = 4 THEN gyro.purchase_cancel(o)
                    WHEN o.request_type IN (1, 4) THEN gyro.purchase_begin(o)
                    ELSE gyro.purchase_go_on(o) END;
    ELSIF o.request_type <> 4 THEN
        RETURN gyro.card_refuse(5004, 'Card-Operation needs a CCR-E', 416);
    ELSIF o.operation NOT BETWEEN 1 AND 4 THEN
        RETURN gyro.card_refuse(5004, 'no such Card-Operation', 1);
    ELSIF o.action > 0 THEN
        RETURN gyro.card_refuse(5004, 'this Card-Operation has no such Requested-Action', 436);
    ELSIF o.card = '' AND o.operation <> 3 THEN
        RETURN gyro.card_refuse(5005, 'Card-Id is missing', 4);
    END IF;
    SELECT * INTO k FROM gyro.card WHERE code = o.card;
    IF NOT FOUND AND o.card <> '' THEN
        RETURN gyro.card_refuse(5004, 'no such card', 4);
    ELSIF o.operation = 3 AND k.owner <> o.requester THEN
        RETURN gyro.card_refuse(4010, 'not the owner of the card');
    END IF;
    k.max_bindings := coalesce(k.max_bindings, 1);
    IF o.operation = 3 THEN -- every account that holds a card of the requester
        PERFORM FROM gyro.account WHERE account_id IN (SELECT account_id FROM gyro.card WHERE owner = o.requester)
          ORDER BY account_id FOR NO KEY UPDATE;
        RETURN gyro.card_statistics(o);
    END IF;
    PERFORM gyro.card_lock(k, ARRAY[o.requester, o.beneficiary]);
    RETURN CASE o.operation WHEN 1 THEN gyro.card_bind(o, k) WHEN 2 THEN gyro.card_unbind(o, k) ELSE gyro.card_set_priority(o, k) END;
END $$;

-- One request. of_type, of_number: CC-Request-Type and -Number; of_action: Requested-Action, -1 none; operation:
-- Card-Operation; requester: the subscriber who asks, 0: whoever the session's purchase is of; texts '' where absent;
-- beneficiary: its kind and value of identity, kind 0: the requester; of_priority, of_units: -1 absent; apps, urls,
-- flows: of each Directed-Traffic-Info, '' where absent. Successes are kept: a copy gets the same answer.
CREATE FUNCTION gyro.card_request(of_session uuid, of_type smallint, of_number bigint, of_action smallint, operation smallint,
                                  requester bigint, product text, purchase text, card text, beneficiary_kind smallint,
                                  beneficiary_value text, of_priority bigint, of_units bigint, apps text[], urls text[],
                                  flows text[], gateway bigint, end_to_end bigint, of_content bigint, retransmitted boolean)
RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    o gyro.card_order;
    r gyro.card_reply;
    k gyro.card_answer;
BEGIN
    o := ROW(of_session, of_type, of_number, of_action, operation, requester, product, purchase, card, requester, of_priority, of_units,
             apps, urls, flows, gateway, end_to_end, of_content);
    -- Copies of one request at two nodes go one after the other; what the first has done the second sees.
    PERFORM pg_advisory_xact_lock(hashtextextended(of_session::text, 7));
    -- Locked, so that the COMMIT of a copy waits for the standby, too: whoever only reads may tell what a failover forgets.
    SELECT * INTO k FROM gyro.card_answer
     WHERE session = of_session AND request_type = of_type AND request_number = of_number FOR UPDATE;
    IF FOUND AND k.content_hash <> of_content AND NOT retransmitted THEN
        RETURN gyro.card_refuse(5004, 'CC-Request-Number was used for another request of this session', 415);
    ELSIF FOUND THEN
        RETURN k.reply;
    END IF;
    IF o.requester = 0 THEN
        SELECT buyer INTO o.requester FROM gyro.purchase q WHERE q.session = of_session ORDER BY at DESC LIMIT 1;
        IF NOT FOUND THEN
            RETURN gyro.card_refuse(5002, 'no such session');
        END IF;
        o.beneficiary := o.requester;
    END IF;
    IF beneficiary_kind <> 0 THEN
        SELECT subscriber_id INTO o.beneficiary FROM gyro.subscriber_identity WHERE kind = beneficiary_kind AND value = beneficiary_value;
        IF NOT FOUND THEN
            RETURN gyro.card_refuse(5030, 'beneficiary is unknown', 13);
        END IF;
    ELSIF of_type IN (2, 3) THEN -- whoever the session's purchase is for
        o.beneficiary := 0;
    END IF;
    r := gyro.card_decide(o);
    IF r.result = 2001 AND NOT (of_type = 4 AND of_action IN (2, 3)) THEN
        INSERT INTO gyro.card_answer (session, request_type, request_number, content_hash, reply)
        VALUES (of_session, of_type, of_number, of_content, r);
    END IF;
    RETURN r;
END $$;
