-- Card operations: purchase, bind, unbind, priority, statistics, cancel, refund (spec/cards.md Z-2 to Z-12).
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
CREATE FUNCTION gyro.card_row_no(cards bigint[], card bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT n FROM generate_series(1, gyro.matrix_rows(cards)) n WHERE cards[n][1] = card
$$;

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
    ELSIF p.directed = 0 AND NOT gyro.audience_names(p.audience_id, beneficiary) THEN
        RETURN gyro.card_refuse(4010, 'product is not for this beneficiary');
    ELSIF a.balance + a.credit_limit - a.reserved < p.price THEN
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
           cards = cards || ARRAY[[number, 1, p.unit, p.quota, 0, 0, 0, 9223372036854775807, 0, p.price, p.usage_price,
                                   p.usage_block]]
     WHERE account_id = payer.account_id;
    INSERT INTO gyro.purchase AS q (purchase_id, product_id, buyer, beneficiary, account_id, group_id, card_id, price, state,
                                    session, hold_until)
    VALUES (o.purchase, p.product_id, o.requester, o.beneficiary, payer.account_id, payer.group_id, number, p.price, 3,
            o.session, clock_timestamp() + p.hold_s * interval '1 second')
        ON CONFLICT (purchase_id) DO UPDATE -- refused before
       SET account_id = excluded.account_id, group_id = excluded.group_id, card_id = excluded.card_id, price = excluded.price,
           state = 3, session = excluded.session, at = excluded.at, hold_until = excluded.hold_until,
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
           cards = gyro.matrix_without(cards, gyro.card_row_no(cards, q.card_id))
     WHERE account_id = q.account_id;
    UPDATE gyro.product SET stock = stock + 1 WHERE product_id = q.product_id AND stock IS NOT NULL;
    UPDATE gyro.purchase SET state = new_state, why = cause, changed_at = clock_timestamp() WHERE purchase_id = q.purchase_id;
END $$;

-- Step 3, authentication confirm: the card is issued. From here on there is only forward.
CREATE FUNCTION gyro.purchase_confirm(q gyro.purchase) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p    gyro.product;
    n    integer;
    from_us bigint := gyro.us(clock_timestamp());
BEGIN
    SELECT * INTO p FROM gyro.product WHERE product_id = q.product_id;
    SELECT gyro.card_row_no(cards, q.card_id) INTO n FROM gyro.account WHERE account_id = q.account_id;
    UPDATE gyro.account
       SET version = version + 1, cards[n][2] = 2, cards[n][7] = from_us,
           cards[n][8] = CASE WHEN p.validity_s > 0 AND p.validity_from = 1 THEN from_us + p.validity_s * 1000000
                              ELSE 9223372036854775807 END,
           cards[n][9] = CASE WHEN p.validity_from = 3 THEN p.validity_s * 1000000 ELSE 0 END
     WHERE account_id = q.account_id;
    INSERT INTO gyro.card (card_id, code, product_id, purchase_id, owner, beneficiary, account_id, group_id, validity_s,
                           validity_from, directed, app_id, audience_id, max_bindings, cap, settle, usage_price, usage_block,
                           priority_policy, priority, window_from, window_until)
    VALUES (q.card_id, 'c' || q.card_id, q.product_id, q.purchase_id, q.buyer, q.beneficiary, q.account_id, q.group_id,
            p.validity_s, p.validity_from, p.directed, p.app_id, p.audience_id, p.max_bindings, p.cap, p.settle, p.usage_price,
            p.usage_block, p.priority_policy, p.priority, p.window_from, p.window_until);
    UPDATE gyro.purchase SET state = 4, changed_at = clock_timestamp() WHERE purchase_id = q.purchase_id;
END $$;

-- Step 4, deduction confirm: the price is debited.
CREATE FUNCTION gyro.purchase_debit(o gyro.card_order, q gyro.purchase) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    SELECT gyro.card_row_no(cards, q.card_id) INTO n FROM gyro.account WHERE account_id = q.account_id;
    UPDATE gyro.account
       SET version = version + 1, reserved = reserved - q.price, balance = balance - q.price, cards[n][10] = 0
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
    ELSIF n IS NULL OR a.cards[n][5] > 0 OR a.cards[n][6] > 0 THEN
        RETURN gyro.card_refuse(4010, 'card has been used');
    END IF;
    PERFORM gyro.binding_reauthorize(b, 'card refunded') FROM gyro.card_binding b
      WHERE b.card_id = q.card_id AND b.unbound_at IS NULL;
    UPDATE gyro.card_binding SET unbound_at = clock_timestamp() WHERE card_id = q.card_id AND unbound_at IS NULL;
    UPDATE gyro.account SET version = version + 1, balance = balance + q.price, cards = gyro.matrix_without(cards, n)
     WHERE account_id = q.account_id;
    a.cards[n][2] := 4;
    UPDATE gyro.card SET retired = (SELECT array_agg(a.cards[n][i] ORDER BY i) FROM generate_series(1, 12) i)
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
        PERFORM gyro.card_retire(s.account_id) FROM gyro.subscriber s WHERE s.subscriber_id = o.requester;
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
          OR o.product NOT IN ('', (SELECT code FROM gyro.product WHERE product_id = q.product_id)) THEN
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
    -- One sweeper at a time: two would lock products in different orders.
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
        SELECT ctid FROM gyro.card_answer WHERE at < now() - interval '1 day' ORDER BY at LIMIT most));
    RETURN done;
END $$;

-- --- binding -----------------------------------------------------------------------------------------------------

-- Open sessions that a binding touches ask anew: of a general one all, of a directed one those with its targets.
CREATE FUNCTION gyro.binding_reauthorize(b gyro.card_binding, why text) RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(sum(gyro.outbox_put(1::smallint, s.account_id, NULL, e.session, t.only_group, false, why)), 0)::integer
      FROM gyro.subscriber s
     CROSS JOIN (SELECT CASE WHEN count(DISTINCT rating_group) = 1 THEN min(rating_group) END AS only_group
                   FROM gyro.binding_target WHERE binding_id = b.binding_id) t
      JOIN gyro.session e ON e.account_id = s.account_id AND e.subscriber_id = s.subscriber_id AND e.state = 1
     WHERE s.subscriber_id = b.subscriber_id
       AND (NOT b.directed OR EXISTS (SELECT FROM gyro.reservation r JOIN gyro.binding_target g ON g.rating_group = r.rating_group
                                       WHERE r.account_id = s.account_id AND r.session_no = e.session_no
                                         AND g.binding_id = b.binding_id))
$$;

-- The app of one Directed-Traffic-Info. app NULL: why tells what is wrong with which AVP.
CREATE FUNCTION gyro.app_of_url(url text, OUT app integer, OUT why text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    parts text[] := regexp_match(lower(url), '^(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?([a-z0-9.-]+)(?::[0-9]+)?(/[^?#]*)?');
    apps  integer[];
BEGIN
    IF parts IS NULL THEN
        why := 'not a URL';
        RETURN;
    END IF;
    SELECT array_agg(DISTINCT app_id) INTO apps
      FROM (SELECT app_id, rank() OVER (ORDER BY length(split_part(pattern, '/', 1)) DESC, length(pattern) DESC) AS place
              FROM gyro.app_url
             WHERE (split_part(pattern, '/', 1) = parts[1] OR right(parts[1], length(split_part(pattern, '/', 1)) + 1) = '.' || split_part(pattern, '/', 1))
               AND starts_with(coalesce(parts[2], '/'), substr(pattern, length(split_part(pattern, '/', 1)) + 1))) m
     WHERE place = 1;
    IF apps IS NULL THEN
        why := 'no app has this URL';
    ELSIF array_length(apps, 1) > 1 THEN
        why := 'more than one app has this URL';
    ELSE
        app := apps[1];
    END IF;
END $$;

CREATE FUNCTION gyro.app_of_flow(flow text, OUT app integer, OUT why text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    parts  text[] := regexp_match(flow, '^permit (in|out) (ip|[0-9]{1,3}) from (\S+)(?: ([0-9]+)(?:-([0-9]+))?)? to (\S+)(?: ([0-9]+)(?:-([0-9]+))?)?(?: .*)?$');
    server inet;
    low    integer;
    high   integer;
    apps   integer[];
BEGIN
    IF parts IS NULL THEN
        why := 'not a permit rule with one range of ports';
        RETURN;
    END IF;
    -- "out" is towards the terminal: the server is where it comes from.
    IF parts[1] = 'out' THEN
        server := parts[3];
        low := coalesce(parts[4], '0');
        high := coalesce(parts[5], parts[4], '65535');
    ELSE
        server := parts[6];
        low := coalesce(parts[7], '0');
        high := coalesce(parts[8], parts[7], '65535');
    END IF;
    SELECT array_agg(DISTINCT app_id) INTO apps
      FROM (SELECT app_id, rank() OVER (ORDER BY masklen(network) DESC, port_high - port_low, protocol < 0) AS place
              FROM gyro.app_flow
             WHERE network >>= server AND (protocol < 0 OR protocol::text = parts[2]) AND port_low <= low AND port_high >= high) m
     WHERE place = 1;
    IF apps IS NULL THEN
        why := 'no app has this flow';
    ELSIF array_length(apps, 1) > 1 THEN
        why := 'more than one app has this flow';
    ELSE
        app := apps[1];
    END IF;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
    why := 'the servers'' side has no address';
END $$;

-- All apps of the directed info, or a refusal.
CREATE FUNCTION gyro.directed_apps(o gyro.card_order, OUT apps integer[], OUT refusal gyro.card_reply) LANGUAGE plpgsql STABLE AS $$
DECLARE
    one   integer;
    cause text;
BEGIN
    apps := '{}';
    FOR i IN 1 .. coalesce(array_length(o.apps, 1), 0) LOOP
        one := NULL;
        IF o.apps[i] <> '' THEN
            SELECT app_id INTO one FROM gyro.app WHERE name = o.apps[i];
            IF one IS NULL THEN
                refusal := gyro.card_refuse(5004, 'no such app', 7, i - 1);
                RETURN;
            END IF;
            apps := apps || one;
        END IF;
        IF o.urls[i] <> '' THEN
            SELECT u.app, u.why INTO one, cause FROM gyro.app_of_url(o.urls[i]) u;
            IF one IS NULL THEN
                refusal := gyro.card_refuse(5004, cause, 8, i - 1);
                RETURN;
            END IF;
            apps := apps || one;
        END IF;
        IF o.flows[i] <> '' THEN
            SELECT f.app, f.why INTO one, cause FROM gyro.app_of_flow(o.flows[i]) f;
            IF one IS NULL THEN
                refusal := gyro.card_refuse(5004, cause, 9, i - 1);
                RETURN;
            END IF;
            apps := apps || one;
        END IF;
        IF one IS NULL THEN
            refusal := gyro.card_refuse(5005, 'Directed-Traffic-Info is empty', 6, i - 1);
            RETURN;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION gyro.binding_reply(b gyro.card_binding) RETURNS gyro.card_reply LANGUAGE plpgsql STABLE AS $$
DECLARE
    r gyro.card_reply := gyro.card_refuse(2001, NULL);
BEGIN
    SELECT code INTO r.card FROM gyro.card WHERE card_id = b.card_id;
    r.binding := b.binding_id;
    r.user_class := b.user_class;
    r.priority := b.priority;
    r.targets := ARRAY(SELECT DISTINCT rating_group FROM gyro.binding_target WHERE binding_id = b.binding_id ORDER BY 1);
    RETURN r;
END $$;

-- Why nothing can be drawn from a card now; NULL: something can.
CREATE FUNCTION gyro.card_unusable(k gyro.card) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN r.card_id IS NULL OR r.state = 4 THEN 'card is revoked'
                WHEN r.valid_until_us <= gyro.us(clock_timestamp()) THEN 'card has expired'
                WHEN r.used >= r.quota THEN 'card is exhausted'
                WHEN r.state = 3 THEN 'card is frozen' END
      FROM (SELECT) one LEFT JOIN gyro.card_row r ON r.account_id = k.account_id AND r.card_id = k.card_id
$$;

CREATE FUNCTION gyro.card_bind(o gyro.card_order, k gyro.card) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    b         gyro.card_binding;
    named     boolean := gyro.audience_names(k.audience_id, o.beneficiary);
    given     boolean := coalesce(array_length(o.apps, 1), 0) > 0;
    bound     bigint;
    d         record;
BEGIN
    IF o.requester NOT IN (k.owner, k.beneficiary) AND NOT (k.max_bindings > 1 AND o.requester = o.beneficiary AND (named OR k.directed > 0)) THEN
        RETURN gyro.card_refuse(4010, 'not the owner of the card');
    END IF;
    SELECT * INTO b FROM gyro.card_binding
     WHERE card_id = k.card_id AND subscriber_id = o.beneficiary AND unbound_at IS NULL;
    IF FOUND THEN
        RETURN gyro.binding_reply(b);
    END IF;
    IF gyro.card_unusable(k) IS NOT NULL THEN
        RETURN gyro.card_refuse(4010, gyro.card_unusable(k));
    END IF;
    SELECT count(*) INTO bound FROM gyro.card_binding WHERE card_id = k.card_id AND unbound_at IS NULL;
    IF bound >= k.max_bindings THEN
        RETURN gyro.card_refuse(4010, 'card is bound already');
    ELSIF k.directed = 0 AND NOT named THEN
        RETURN gyro.card_refuse(4010, 'card is not for this subscriber');
    ELSIF k.directed = 0 AND given THEN
        RETURN gyro.card_refuse(4010, 'card takes no directed info');
    ELSIF NOT given AND (k.directed = 2 OR NOT named) THEN
        RETURN gyro.card_refuse(5005, 'directed info is needed', 6);
    END IF;
    SELECT * INTO d FROM gyro.directed_apps(o);
    IF (d.refusal).result IS NOT NULL THEN
        RETURN d.refusal;
    ELSIF NOT d.apps <@ ARRAY[k.app_id] AND k.app_id IS NOT NULL THEN
        RETURN gyro.card_refuse(4010, 'card is for another app');
    ELSIF given AND NOT EXISTS (SELECT FROM gyro.app_target WHERE app_id = ANY (d.apps)) THEN
        RETURN gyro.card_refuse(5004, 'the app has no Rating-Group', 6);
    END IF;
    INSERT INTO gyro.card_binding (card_id, subscriber_id, user_class, directed, cap, priority)
    SELECT k.card_id, o.beneficiary, CASE WHEN named THEN 0 ELSE 1 END, given, k.cap,
           CASE k.priority_policy
           WHEN 1 THEN (SELECT least(coalesce(max(priority), 0) + 1, 4294967295) FROM gyro.card_binding x
                         WHERE x.subscriber_id = o.beneficiary AND x.unbound_at IS NULL AND x.directed = given)
           WHEN 3 THEN k.priority ELSE 0 END
    RETURNING * INTO b;
    INSERT INTO gyro.binding_target (binding_id, rating_group, service_id)
    SELECT DISTINCT b.binding_id, rating_group, service_id FROM gyro.app_target WHERE app_id = ANY (d.apps);
    IF k.validity_from = 2 AND k.validity_s > 0 THEN -- the first binding starts the clock
        UPDATE gyro.account
           SET version = version + 1, cards[gyro.card_row_no(cards, k.card_id)][8] = gyro.us(clock_timestamp()) + k.validity_s * 1000000
         WHERE account_id = k.account_id AND cards[gyro.card_row_no(cards, k.card_id)][8] = 9223372036854775807;
    END IF;
    PERFORM gyro.binding_reauthorize(b, 'card bound');
    RETURN gyro.binding_reply(b);
END $$;

CREATE FUNCTION gyro.card_unbind(o gyro.card_order, k gyro.card) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    b gyro.card_binding;
BEGIN
    IF o.requester NOT IN (k.owner, k.beneficiary, o.beneficiary) THEN
        RETURN gyro.card_refuse(4010, 'not the owner of the card');
    END IF;
    SELECT * INTO b FROM gyro.card_binding
     WHERE card_id = k.card_id AND subscriber_id = o.beneficiary ORDER BY unbound_at DESC NULLS FIRST LIMIT 1;
    IF NOT FOUND THEN
        RETURN gyro.card_refuse(4010, 'card is not bound to this subscriber');
    END IF;
    IF b.unbound_at IS NULL THEN
        -- What open sessions hold of the card stays theirs until they report it.
        UPDATE gyro.card_binding SET unbound_at = clock_timestamp() WHERE binding_id = b.binding_id;
        PERFORM gyro.binding_reauthorize(b, 'card unbound');
    END IF;
    RETURN gyro.binding_reply(b);
END $$;

CREATE FUNCTION gyro.card_set_priority(o gyro.card_order, k gyro.card) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    b gyro.card_binding;
BEGIN
    IF o.priority < 0 THEN
        RETURN gyro.card_refuse(5005, 'Use-Priority is missing', 11);
    ELSIF o.requester NOT IN (k.owner, k.beneficiary, o.beneficiary) THEN
        RETURN gyro.card_refuse(4010, 'not the owner of the card');
    END IF;
    SELECT * INTO b FROM gyro.card_binding
     WHERE card_id = k.card_id AND subscriber_id = o.beneficiary AND unbound_at IS NULL;
    IF NOT FOUND THEN
        RETURN gyro.card_refuse(4010, 'card is not bound to this subscriber');
    ELSIF b.priority <> o.priority THEN
        UPDATE gyro.card_binding SET priority = o.priority WHERE binding_id = b.binding_id RETURNING * INTO b;
        PERFORM gyro.binding_reauthorize(b, 'card priority');
    END IF;
    RETURN gyro.binding_reply(b);
END $$;

-- What operators do: 2 issued again, 3 frozen, 4 revoked for good.
CREATE FUNCTION gyro.card_set_state(wanted text, new_state smallint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    k gyro.card;
    n integer;
BEGIN
    IF new_state NOT IN (2, 3, 4) THEN
        RAISE EXCEPTION 'state % is none of a card''s', new_state USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO k FROM gyro.card WHERE code = wanted;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'card % does not exist', wanted USING ERRCODE = 'no_data_found';
    END IF;
    PERFORM gyro.card_lock(k, NULL);
    SELECT gyro.card_row_no(cards, k.card_id) INTO n FROM gyro.account WHERE account_id = k.account_id;
    IF n IS NULL OR (SELECT cards[n][2] = 4 FROM gyro.account WHERE account_id = k.account_id) THEN
        RAISE EXCEPTION 'card % is used up, expired or revoked', wanted USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE gyro.account SET version = version + 1, cards[n][2] = new_state WHERE account_id = k.account_id;
    PERFORM gyro.binding_reauthorize(b, CASE new_state WHEN 2 THEN 'card unfrozen' WHEN 3 THEN 'card frozen' ELSE 'card revoked' END)
       FROM gyro.card_binding b WHERE b.card_id = k.card_id AND b.unbound_at IS NULL;
END $$;

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
    a    gyro.account;
    k    gyro.card;
    o    gyro.card_order;
    w    record;
    n    integer;
    gone integer := 0;
BEGIN
    FOR k IN SELECT c.* FROM gyro.card c JOIN gyro.card_row r USING (account_id, card_id)
              WHERE c.account_id = for_account AND r.live AND r.reserved = 0 AND r.held = 0
                AND gyro.card_unusable(c) IS NOT NULL AND r.state <> 3 LOOP
        SELECT * INTO w FROM gyro.card_window_close(k);
        IF w.amount > 0 THEN
            o := ROW(gen_random_uuid(), 0, 0, -1, 3, k.owner, '', '', '', 0, -1, -1, '{}', '{}', '{}', 0, 0, 0);
            PERFORM gyro.card_record(o, for_account, k.issued_at, w.amount, w.charges);
        END IF;
        SELECT * INTO a FROM gyro.account WHERE account_id = for_account;
        n := gyro.card_row_no(a.cards, k.card_id);
        UPDATE gyro.card SET retired = (SELECT array_agg(a.cards[n][i] ORDER BY i) FROM generate_series(1, 12) i)
         WHERE card_id = k.card_id;
        UPDATE gyro.account
           SET version = version + 1, cards = gyro.matrix_without(cards, n),
               draws = coalesce((SELECT array_agg(ARRAY[a.draws[i][1], a.draws[i][2], a.draws[i][3], a.draws[i][4], a.draws[i][5]] ORDER BY i)
                                   FROM generate_series(1, gyro.matrix_rows(a.draws)) i
                                  WHERE NOT (a.draws[i][1] = k.card_id AND a.draws[i][2] = 0)), '{}')
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
    unit    smallint;
    charges bigint[];
BEGIN
    r.statistics := '{}';
    r.cards := '{}';
    FOR home IN SELECT DISTINCT account_id FROM gyro.card
                 WHERE owner = o.requester AND o.card IN ('', code) ORDER BY 1 LOOP
        total := 0;
        charges := '{}';
        FOR k IN SELECT * FROM gyro.card WHERE owner = o.requester AND account_id = home AND o.card IN ('', code) ORDER BY card_id LOOP
            SELECT * INTO w FROM gyro.card_window_close(k);
            total := total + w.amount;
            charges := charges || w.charges;
            r.cards := r.cards || k.code;
            SELECT c.unit INTO unit FROM gyro.card_row c WHERE c.account_id = home AND c.card_id = k.card_id;
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

-- Locks the accounts that an operation touches: the card's, its users', the requester's and the beneficiary's.
CREATE FUNCTION gyro.card_lock(k gyro.card, subscribers bigint[]) RETURNS void LANGUAGE sql AS $$
    SELECT count(*) FROM (
        SELECT FROM gyro.account WHERE account_id IN (
            SELECT k.account_id
            UNION SELECT s.account_id FROM gyro.subscriber s WHERE s.subscriber_id = ANY (subscribers)
            UNION SELECT s.account_id FROM gyro.card_binding b JOIN gyro.subscriber s USING (subscriber_id)
                   WHERE b.card_id = k.card_id AND b.unbound_at IS NULL AND k.max_bindings = 1)
         ORDER BY account_id FOR NO KEY UPDATE) locked
$$;

CREATE FUNCTION gyro.card_decide(o gyro.card_order) RETURNS gyro.card_reply LANGUAGE plpgsql AS $$
DECLARE
    k gyro.card;
    q gyro.purchase;
BEGIN
    IF o.operation IN (0, 5) THEN
        SELECT * INTO q FROM gyro.purchase WHERE purchase_id = o.purchase OR session = o.session AND o.request_type IN (2, 3) LIMIT 1;
        SELECT * INTO k FROM gyro.card WHERE card_id = q.card_id;
        k.account_id := coalesce(k.account_id, q.account_id);
        k.max_bindings := coalesce(k.max_bindings, 1);
        PERFORM gyro.card_lock(k, ARRAY[o.requester]);
        RETURN CASE WHEN o.operation = 5 OR o.action = 1 AND o.request_type = 4 THEN gyro.purchase_cancel(o)
                    WHEN o.request_type IN (1, 4) THEN gyro.purchase_begin(o)
                    ELSE gyro.purchase_go_on(o) END;
    ELSIF o.request_type <> 4 THEN
        RETURN gyro.card_refuse(5004, 'Card-Operation needs a CCR-E', 416);
    ELSIF o.operation NOT BETWEEN 1 AND 4 THEN
        RETURN gyro.card_refuse(5004, 'no such Card-Operation', 1);
    ELSIF o.action > 0 THEN -- what would only be asked must not be done
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
    SELECT * INTO k FROM gyro.card_answer
     WHERE session = of_session AND request_type = of_type AND request_number = of_number;
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
    END IF;
    r := gyro.card_decide(o);
    IF r.result = 2001 AND NOT (of_type = 4 AND of_action IN (2, 3)) THEN
        INSERT INTO gyro.card_answer (session, request_type, request_number, content_hash, reply)
        VALUES (of_session, of_type, of_number, of_content, r);
    END IF;
    RETURN r;
END $$;
