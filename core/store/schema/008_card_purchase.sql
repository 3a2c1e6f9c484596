-- Card operations: what they share, and the purchase (spec/cards.md Z-2 to Z-6). Binding is in 009, the rest in 010.
--
-- One function, gyro.card_request, is called by nodes for each request of the cards' Service-Context and by
-- gyroctl: one transaction, all or nothing. Unlike usage, which core/charging decides, operations are decided here:
-- they are rare, span several tables, and other systems call them.
--
-- Locks, in this order: accounts by their numbers, product, purchase, card. Whoever holds the lock of a card's account
-- row has the card to himself: usage takes the same one.

CREATE TYPE gyro.card_order AS (
    session uuid, request_type smallint, request_number bigint, action smallint, operation smallint, requester bigint,
    product text, purchase text, card text, beneficiary bigint, priority bigint, units bigint,
    apps text[], urls text[], flows text[], gateway_id bigint, end_to_end bigint, content_hash bigint
);
COMMENT ON TYPE gyro.card_order IS 'a card operation, see gyro.card_request';

-- statistics: rows of {position in cards, Rating-Group, units, from, until (microseconds since 1970), micro-units, window,
-- unit}.
CREATE TYPE gyro.card_reply AS (
    result integer, message text, failed_code integer, failed_index integer, purchase text, card text, binding bigint,
    user_class smallint, priority bigint, targets bigint[], granted bigint, cost bigint, currency smallint,
    validity_s bigint, check_balance smallint, statistics bigint[], cards text[]
);
COMMENT ON TYPE gyro.card_reply IS 'what is answered: Result-Code, and what is not NULL; failed: the AVP to show, and which Directed-Traffic-Info from 0';

CREATE TABLE gyro.card_answer (
    session        uuid NOT NULL,
    request_type   smallint NOT NULL,
    request_number bigint NOT NULL,
    content_hash   bigint NOT NULL,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    reply          gyro.card_reply NOT NULL,
    PRIMARY KEY (session, request_type, request_number)
);
CREATE INDEX card_answer_at ON gyro.card_answer (at);
COMMENT ON TABLE gyro.card_answer IS 'answers kept for copies of card operations (G-84)';
COMMENT ON COLUMN gyro.card_answer.session IS 'hash of the Session-Id';
COMMENT ON COLUMN gyro.card_answer.request_type IS 'CC-Request-Type';
COMMENT ON COLUMN gyro.card_answer.request_number IS 'CC-Request-Number';
COMMENT ON COLUMN gyro.card_answer.content_hash IS 'as in gyro.record';
COMMENT ON COLUMN gyro.card_answer.at IS 'when it was answered';
COMMENT ON COLUMN gyro.card_answer.reply IS 'the answer';

-- --- helpers ---------------------------------------------------------------------------------------------------

CREATE FUNCTION gyro.us(t timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN isfinite(t) THEN (extract(epoch FROM t) * 1000000)::bigint ELSE 9223372036854775807 END
$$;

CREATE FUNCTION gyro.card_refuse(result integer, message text, failed_code integer DEFAULT NULL, failed_index integer DEFAULT 0)
RETURNS gyro.card_reply LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(result, message, failed_code, failed_index, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL)::gyro.card_reply
$$;

-- The row of a card in gyro.account.cards; NULL: it isn't there.
CREATE FUNCTION gyro.card_row_no(cards bigint[], card bigint) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    -- plpgsql unpacks the array once, SQL for each subscript.
    FOR n IN 1 .. gyro.matrix_rows(cards) LOOP
        IF cards[n][1] = card THEN
            RETURN n;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION gyro.matrix_without(matrix bigint[], n integer) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT matrix[1:n - 1][1:array_upper(matrix, 2)] || matrix[n + 1:array_upper(matrix, 1)][1:array_upper(matrix, 2)]
$$;

-- A row of gyro.record.charges for what an operation debits. Flags 64 and 128: an event, of a card.
CREATE FUNCTION gyro.card_charge(card bigint, rating_group bigint, unit smallint, used bigint, debit bigint, price bigint, block bigint)
RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[[rating_group, 0, (2001::bigint << 16) | (unit::bigint << 32), used, debit, 0, 0, 0, 1, 0, 0, 0, 192, price, block, 3, card, 0]]
$$;

-- The ledger's entry of an operation. Call it when the account row says what it says afterwards.
CREATE FUNCTION gyro.card_record(o gyro.card_order, for_account bigint, opened timestamptz, debited bigint, charges bigint[])
RETURNS void LANGUAGE sql AS $$
    INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened, request_number, end_to_end,
                             content_hash, debit, balance, reserved, result, request_type, flags, catalogue, charges)
    SELECT clock_timestamp(), a.account_id, a.group_id, o.requester, o.gateway_id, o.session, opened, o.request_number,
           o.end_to_end, o.content_hash, debited, a.balance, a.reserved, 2001, o.request_type,
           CASE WHEN debited > 0 AND a.balance + a.credit_limit < 0 THEN 1 ELSE 0 END, 0, charges
      FROM gyro.account a WHERE a.account_id = for_account
$$;

-- What an account owes for usage of its cards that no statistics window has closed, and for what is held of them:
-- gy_account_spendable in core/charging/card.c.
CREATE FUNCTION gyro.account_unsettled(a gyro.account) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    cards bigint[] := a.cards;
    used  bigint[] := a.card_use;
    draws bigint[] := a.draws;
    units numeric;
    due   numeric := 0;
BEGIN
    FOR n IN 1 .. gyro.matrix_rows(cards) LOOP
        CONTINUE WHEN cards[n][7] = 0;
        units := used[n][1] + used[n][2];
        FOR i IN 1 .. gyro.matrix_rows(draws) LOOP
            IF draws[i][1] = cards[n][1] AND draws[i][2] = 0 THEN
                units := units - draws[i][5];
            END IF;
        END LOOP;
        due := due + ceil(units * cards[n][7] / cards[n][8]);
    END LOOP;
    RETURN due;
END $$;

CREATE FUNCTION gyro.audience_names(audience integer, subscriber bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM gyro.audience u
                    WHERE u.audience_id = audience
                      AND CASE u.kind WHEN 1 THEN true
                          WHEN 2 THEN EXISTS (SELECT FROM gyro.audience_member m
                                               WHERE m.audience_id = audience AND m.subscriber_id = subscriber)
                          ELSE EXISTS (SELECT FROM gyro.subscriber_attribute v
                                        WHERE v.subscriber_id = subscriber AND v.attribute_id = u.attribute_id
                                          AND v.value = u.value AND now() >= v.valid_from AND now() < v.valid_until) END)
$$;

-- --- purchase: four steps over two ledgers ------------------------------------------------------------------------

-- Step 1, pre-authentication: NULL if this buyer may buy this now, else why not.
CREATE FUNCTION gyro.purchase_check(p gyro.product, buyer bigint, beneficiary bigint) RETURNS gyro.card_reply LANGUAGE plpgsql STABLE AS $$
DECLARE
    s gyro.subscriber;
    a gyro.account;
BEGIN
    SELECT * INTO s FROM gyro.subscriber WHERE subscriber_id = buyer;
    SELECT * INTO a FROM gyro.account WHERE account_id = s.account_id;
    IF s.state <> 1 OR a.state <> 1 OR a.valid_until <= clock_timestamp() THEN
        RETURN gyro.card_refuse(4010, 'buyer is barred');
    ELSIF NOT p.on_sale OR clock_timestamp() < p.sale_from OR clock_timestamp() >= p.sale_until THEN
        RETURN gyro.card_refuse(4010, 'product is not on sale');
    ELSIF p.currency <> a.currency THEN
        RETURN gyro.card_refuse(4010, 'product is sold in another currency than the account''s');
    ELSIF (SELECT count(*) FROM gyro.purchase q
            WHERE q.buyer = s.subscriber_id AND q.product_id = p.product_id AND q.state IN (3, 4, 5)) >= p.per_buyer THEN
        RETURN gyro.card_refuse(4010, 'buyer has bought as many as one may');
    ELSIF p.stock = 0 THEN
        RETURN gyro.card_refuse(4010, 'product is sold out');
    ELSIF gyro.matrix_rows(a.cards) >= 1000 THEN -- each request of the account reads its row
        RETURN gyro.card_refuse(4010, 'account has as many cards as one may');
    ELSIF p.directed = 0 AND NOT gyro.audience_names(p.audience_id, beneficiary) THEN
        RETURN gyro.card_refuse(4010, 'product is not for this beneficiary');
    ELSIF p.price > 0 AND a.balance + a.credit_limit - a.reserved - gyro.account_unsettled(a) < p.price THEN
        RETURN gyro.card_refuse(4012, 'not enough money for the price');
    END IF;
    RETURN NULL;
END $$;

-- Step 2, pre-deduction: the price is reserved, the card's row is there but gives nothing yet. The reservation of
-- stock is part of it.
CREATE FUNCTION gyro.purchase_hold(o gyro.card_order, p gyro.product) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    payer  gyro.subscriber;
    number bigint := nextval('gyro.card_number');
BEGIN
    SELECT * INTO payer FROM gyro.subscriber WHERE subscriber_id = o.requester;
    UPDATE gyro.product SET stock = stock - 1 WHERE product_id = p.product_id AND stock IS NOT NULL;
    UPDATE gyro.account
       SET version = version + 1, reserved = reserved + p.price,
           cards = cards || ARRAY[[number, 1, p.unit, p.quota, 0, p.price, p.usage_price, p.usage_block]],
           card_use = card_use || ARRAY[[0, 0, 9223372036854775807, 0]]
     WHERE account_id = payer.account_id;
    INSERT INTO gyro.purchase AS q (purchase_id, product_id, buyer, beneficiary, account_id, group_id, card_id, price, terms, state,
                                    session, hold_until)
    VALUES (o.purchase, p.product_id, o.requester, o.beneficiary, payer.account_id, payer.group_id, number, p.price, to_jsonb(p), 3,
            o.session, clock_timestamp() + p.hold_s * interval '1 second')
        ON CONFLICT (purchase_id) DO UPDATE -- refused before
       SET account_id = excluded.account_id, group_id = excluded.group_id, card_id = excluded.card_id, price = excluded.price,
           terms = excluded.terms, state = 3, session = excluded.session, at = excluded.at, hold_until = excluded.hold_until,
           changed_at = excluded.changed_at, why = ''
     WHERE q.state = 6 AND q.buyer = excluded.buyer;
    IF NOT FOUND THEN -- somebody else took the name at this very moment: the next try sees who
        RAISE EXCEPTION 'Purchase-Id % was taken', o.purchase USING ERRCODE = 'unique_violation';
    END IF;
END $$;

-- Gives the money and the stock back: CANCELLED 7 or EXPIRED 8.
CREATE FUNCTION gyro.purchase_undo(q gyro.purchase, new_state smallint, cause text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gyro.account
       SET version = version + 1, reserved = reserved - q.price,
           cards = gyro.matrix_without(cards, gyro.card_row_no(cards, q.card_id)),
           card_use = gyro.matrix_without(card_use, gyro.card_row_no(cards, q.card_id))
     WHERE account_id = q.account_id;
    UPDATE gyro.product SET stock = stock + 1 WHERE product_id = q.product_id AND stock IS NOT NULL;
    UPDATE gyro.purchase SET state = new_state, why = cause, terms = NULL, changed_at = clock_timestamp()
     WHERE purchase_id = q.purchase_id;
END $$;

-- Step 3, authentication confirm: the card is issued, by the terms of the day it was held. From here on there is only
-- forward.
CREATE FUNCTION gyro.purchase_confirm(q gyro.purchase) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p    gyro.product;
    n    integer;
    from_us bigint := gyro.us(clock_timestamp());
BEGIN
    SELECT * INTO p FROM jsonb_populate_record(NULL::gyro.product, q.terms);
    SELECT gyro.card_row_no(cards, q.card_id) INTO n FROM gyro.account WHERE account_id = q.account_id;
    UPDATE gyro.account
       SET version = version + 1, cards[n][2] = 2, cards[n][5] = from_us,
           card_use[n][3] = CASE WHEN p.validity_s > 0 AND p.validity_from = 1 THEN from_us + p.validity_s * 1000000
                                 ELSE 9223372036854775807 END,
           card_use[n][4] = CASE WHEN p.validity_from = 3 THEN p.validity_s * 1000000 ELSE 0 END
     WHERE account_id = q.account_id;
    INSERT INTO gyro.card (card_id, code, product_id, purchase_id, owner, beneficiary, account_id, group_id, validity_s,
                           validity_from, directed, app_id, audience_id, max_bindings, cap, settle, usage_price, usage_block,
                           priority_policy, priority, window_from, window_until)
    VALUES (q.card_id, 'c' || q.card_id, q.product_id, q.purchase_id, q.buyer, q.beneficiary, q.account_id, q.group_id,
            p.validity_s, p.validity_from, p.directed, p.app_id, p.audience_id, p.max_bindings, p.cap, p.settle, p.usage_price,
            p.usage_block, p.priority_policy, p.priority, p.window_from, p.window_until);
    UPDATE gyro.purchase SET state = 4, terms = NULL, changed_at = clock_timestamp() WHERE purchase_id = q.purchase_id;
END $$;

-- Step 4, deduction confirm: the price is debited.
CREATE FUNCTION gyro.purchase_debit(o gyro.card_order, q gyro.purchase) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    SELECT gyro.card_row_no(cards, q.card_id) INTO n FROM gyro.account WHERE account_id = q.account_id;
    UPDATE gyro.account
       SET version = version + 1, reserved = reserved - q.price, balance = balance - q.price, cards[n][6] = 0
     WHERE account_id = q.account_id;
    UPDATE gyro.purchase SET state = 5, changed_at = clock_timestamp() WHERE purchase_id = q.purchase_id;
    PERFORM gyro.card_record(o, q.account_id, q.at, q.price, gyro.card_charge(q.card_id, 0, 4::smallint, q.price, q.price, 1, 1));
END $$;

CREATE FUNCTION gyro.purchase_reply(wanted text) RETURNS gyro.card_reply LANGUAGE plpgsql STABLE AS $$
DECLARE
    r gyro.card_reply := gyro.card_refuse(2001, NULL);
    q gyro.purchase;
BEGIN
    SELECT * INTO q FROM gyro.purchase WHERE purchase_id = wanted;
    r.purchase := q.purchase_id;
    SELECT currency INTO r.currency FROM gyro.product WHERE product_id = q.product_id;
    IF q.state IN (4, 5) THEN
        SELECT code INTO r.card FROM gyro.card WHERE card_id = q.card_id;
    END IF;
    IF q.state = 5 THEN
        r.cost := q.price;
    ELSIF q.state IN (3, 4) THEN
        r.granted := q.price;
        r.validity_s := greatest(1, ceil(extract(epoch FROM q.hold_until - clock_timestamp())));
    END IF;
    RETURN r;
END $$;

-- A new opposite entry: money back, for a card that nobody has used.
CREATE FUNCTION gyro.purchase_refund(o gyro.card_order, q gyro.purchase) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    a gyro.account;
    n integer;
    r gyro.card_reply;
BEGIN
    SELECT * INTO a FROM gyro.account WHERE account_id = q.account_id;
    n := gyro.card_row_no(a.cards, q.card_id);
    IF q.state = 9 THEN
        r := gyro.purchase_reply(q.purchase_id);
        r.cost := q.price;
        RETURN r;
    ELSIF q.state <> 5 THEN
        RETURN gyro.card_refuse(4010, 'purchase is not paid');
    ELSIF n IS NULL OR a.card_use[n][1] > 0 OR a.card_use[n][2] > 0 THEN
        RETURN gyro.card_refuse(4010, CASE WHEN n IS NULL THEN 'card has ended' ELSE 'card has been used' END);
    END IF;
    PERFORM gyro.binding_reauthorize(b, 'card refunded') FROM gyro.card_binding b
      WHERE b.card_id = q.card_id AND b.unbound_at IS NULL;
    UPDATE gyro.card_binding SET unbound_at = clock_timestamp() WHERE card_id = q.card_id AND unbound_at IS NULL;
    UPDATE gyro.account
       SET version = version + 1, balance = balance + q.price, cards = gyro.matrix_without(cards, n),
           card_use = gyro.matrix_without(card_use, n)
     WHERE account_id = q.account_id;
    a.cards[n][2] := 4;
    UPDATE gyro.card SET retired = gyro.matrix_row(a.cards, n) || gyro.matrix_row(a.card_use, n)
     WHERE card_id = q.card_id;
    UPDATE gyro.product SET stock = stock + 1 WHERE product_id = q.product_id AND stock IS NOT NULL;
    UPDATE gyro.purchase SET state = 9, why = 'refunded', changed_at = clock_timestamp() WHERE purchase_id = q.purchase_id;
    PERFORM gyro.card_record(o, q.account_id, q.at, -q.price, gyro.card_charge(q.card_id, 0, 4::smallint, q.price, -q.price, 1, 1));
    PERFORM gyro.reauthorize_account(q.account_id, 'refund', true);
    r := gyro.purchase_reply(q.purchase_id);
    r.cost := q.price;
    RETURN r;
END $$;

-- Has nobody confirmed it in time? Then it is over, now.
CREATE FUNCTION gyro.purchase_expire(q gyro.purchase) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF q.state <> 3 OR q.hold_until > clock_timestamp() THEN
        RETURN false;
    END IF;
    PERFORM gyro.purchase_undo(q, 8::smallint, 'not confirmed in time');
    RETURN true;
END $$;

-- CCR-I and CCR-E: steps 1 and 2; CCR-E goes on to 4.
CREATE FUNCTION gyro.purchase_begin(o gyro.card_order) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    p   gyro.product;
    q   gyro.purchase;
    r   gyro.card_reply;
    dry boolean := o.request_type = 4 AND o.action IN (2, 3);
BEGIN
    IF o.product = '' THEN
        RETURN gyro.card_refuse(5005, 'Product-Id is missing', 2);
    ELSIF o.purchase = '' AND NOT dry THEN
        RETURN gyro.card_refuse(5005, 'Purchase-Id is missing', 3);
    END IF;
    SELECT * INTO p FROM gyro.product WHERE code = o.product FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN gyro.card_refuse(5004, 'no such product', 2);
    END IF;
    SELECT * INTO q FROM gyro.purchase WHERE purchase_id = o.purchase AND NOT dry FOR UPDATE;
    IF FOUND AND (q.buyer <> o.requester OR q.product_id <> p.product_id OR q.beneficiary <> o.beneficiary) THEN
        RETURN gyro.card_refuse(5012, 'Purchase-Id is of another purchase');
    ELSIF FOUND AND gyro.purchase_expire(q) OR q.state IN (7, 8, 9) THEN
        RETURN gyro.card_refuse(4010, 'this purchase is over: ' || coalesce(nullif(q.why, ''), 'not confirmed in time'));
    END IF;
    IF q.purchase_id IS NULL OR q.state = 6 THEN
        IF NOT dry THEN -- what is spent makes room
            PERFORM gyro.card_retire(s.account_id) FROM gyro.subscriber s WHERE s.subscriber_id = o.requester;
        END IF;
        r := gyro.purchase_check(p, o.requester, o.beneficiary);
        IF dry AND o.action = 3 THEN
            r := gyro.card_refuse(2001, NULL);
            r.cost := p.price;
            r.currency := p.currency;
            RETURN r;
        ELSIF dry AND (r.result IS NULL OR r.result = 4012) THEN
            r := gyro.card_refuse(2001, NULL);
            r.check_balance := CASE WHEN (gyro.purchase_check(p, o.requester, o.beneficiary)).result IS NULL THEN 1 ELSE 2 END;
            RETURN r;
        ELSIF dry THEN
            RETURN r;
        ELSIF r.result IS NOT NULL THEN
            INSERT INTO gyro.purchase AS x (purchase_id, product_id, buyer, beneficiary, account_id, group_id, price, state,
                                            session, hold_until, why)
            SELECT o.purchase, p.product_id, o.requester, o.beneficiary, s.account_id, s.group_id, p.price, 6, o.session,
                   clock_timestamp(), r.message
              FROM gyro.subscriber s WHERE s.subscriber_id = o.requester
                ON CONFLICT (purchase_id) DO UPDATE SET why = excluded.why, changed_at = excluded.changed_at, session = excluded.session
                 WHERE x.state = 6;
            RETURN r;
        END IF;
        PERFORM gyro.purchase_hold(o, p);
    ELSE
        UPDATE gyro.purchase SET session = o.session WHERE purchase_id = o.purchase;
    END IF;
    IF o.request_type = 4 THEN
        SELECT * INTO q FROM gyro.purchase WHERE purchase_id = o.purchase;
        IF q.state = 3 THEN
            PERFORM gyro.purchase_confirm(q);
        END IF;
        IF q.state IN (3, 4) THEN
            PERFORM gyro.purchase_debit(o, q);
        END IF;
    END IF;
    RETURN gyro.purchase_reply(o.purchase);
END $$;

-- CCR-U and CCR-T of the session that buys: steps 3 and 4.
CREATE FUNCTION gyro.purchase_go_on(o gyro.card_order) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    q gyro.purchase;
BEGIN
    SELECT * INTO q FROM gyro.purchase WHERE session = o.session ORDER BY at DESC LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN gyro.card_refuse(5002, 'no such session');
    ELSIF q.buyer <> o.requester OR o.purchase NOT IN ('', q.purchase_id)
          OR o.beneficiary NOT IN (0, q.beneficiary) OR o.product NOT IN ('', (SELECT code FROM gyro.product WHERE product_id = q.product_id)) THEN
        RETURN gyro.card_refuse(5012, 'this session buys something else');
    ELSIF o.units > 1 THEN
        RETURN gyro.card_refuse(5004, 'a purchase is of one card', 446);
    ELSIF gyro.purchase_expire(q) OR q.state > 5 THEN
        RETURN gyro.card_refuse(5002, 'the purchase is over');
    END IF;
    IF o.units = 1 AND q.state = 3 THEN
        PERFORM gyro.purchase_confirm(q);
        q.state := 4;
    END IF;
    IF o.request_type = 3 AND q.state = 3 THEN
        PERFORM gyro.purchase_undo(q, 7::smallint, 'cancelled by the buyer');
    ELSIF o.request_type = 3 AND q.state = 4 THEN
        PERFORM gyro.purchase_debit(o, q);
    END IF;
    RETURN gyro.purchase_reply(q.purchase_id);
END $$;

CREATE FUNCTION gyro.purchase_cancel(o gyro.card_order) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    q gyro.purchase;
BEGIN
    IF o.purchase = '' THEN
        RETURN gyro.card_refuse(5005, 'Purchase-Id is missing', 3);
    END IF;
    SELECT * INTO q FROM gyro.purchase WHERE purchase_id = o.purchase FOR UPDATE;
    IF NOT FOUND THEN
        RETURN gyro.card_refuse(5004, 'no such purchase', 3);
    ELSIF q.buyer <> o.requester THEN
        RETURN gyro.card_refuse(5012, 'Purchase-Id is of another buyer');
    ELSIF o.action = 1 THEN
        RETURN gyro.purchase_refund(o, q);
    ELSIF gyro.purchase_expire(q) THEN
        NULL;
    ELSIF q.state = 3 THEN
        PERFORM gyro.purchase_undo(q, 7::smallint, 'cancelled by the buyer');
    ELSIF q.state IN (4, 5) THEN
        RETURN gyro.card_refuse(4010, 'the purchase is confirmed: it can only be refunded');
    END IF;
    RETURN gyro.purchase_reply(o.purchase);
END $$;

-- What the sweeper calls: purchases whose hold time is over expire, or, confirmed, are paid. Returns how many.
CREATE FUNCTION gyro.purchase_sweep(most integer DEFAULT 100) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    due  record;
    q    gyro.purchase;
    o    gyro.card_order;
    done integer := 0;
BEGIN
    -- Two of these at once would take products in different orders, and wait for each other.
    IF NOT pg_try_advisory_xact_lock(hashtext('gyro.purchase_sweep')) THEN
        RETURN 0;
    END IF;
    FOR due IN SELECT purchase_id, account_id FROM gyro.purchase
                WHERE state IN (3, 4) AND hold_until <= now() ORDER BY account_id LIMIT most LOOP
        PERFORM FROM gyro.account WHERE account_id = due.account_id FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        SELECT * INTO q FROM gyro.purchase WHERE purchase_id = due.purchase_id FOR UPDATE;
        CONTINUE WHEN q.state NOT IN (3, 4) OR q.hold_until > clock_timestamp();
        IF NOT gyro.purchase_expire(q) THEN
            o.session := q.session;
            o.request_type := 0;
            o.request_number := 0;
            o.requester := q.buyer;
            o.gateway_id := 0;
            o.end_to_end := 0;
            o.content_hash := 0;
            PERFORM gyro.purchase_debit(o, q);
        END IF;
        done := done + 1;
    END LOOP;
    DELETE FROM gyro.card_answer WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM gyro.card_answer WHERE at < now() - interval '1 day' ORDER BY at LIMIT 10 * most));
    RETURN done;
END $$;
