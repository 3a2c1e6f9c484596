-- Cards: binding, which decides the user's class, resolves directed info and switches the order of consumption
-- (spec/cards.md Z-7 to Z-12); what their owners and operators change later.

-- Open sessions that a binding touches ask anew: of a general one all, of a directed one those that asked for its
-- targets, or may have: of those that were refused nothing is held, and only the last answers are kept.
CREATE FUNCTION gyro.binding_reauthorize(b gyro.card_binding, why text) RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(sum(gyro.outbox_put(1::smallint, s.account_id, NULL, e.session, t.only_group, false, why)), 0)::integer
      FROM gyro.subscriber s
     CROSS JOIN (SELECT CASE WHEN count(DISTINCT rating_group) = 1 THEN min(rating_group) END AS only_group
                   FROM gyro.binding_target WHERE binding_id = b.binding_id) t
      JOIN gyro.session e ON e.account_id = s.account_id AND e.subscriber_id = s.subscriber_id AND e.state = 1
     WHERE s.subscriber_id = b.subscriber_id
       AND (NOT b.directed OR EXISTS (SELECT FROM gyro.reservation r JOIN gyro.binding_target g ON g.rating_group = r.rating_group
                                       WHERE r.account_id = s.account_id AND r.session_no = e.session_no
                                         AND g.binding_id = b.binding_id)
                           OR EXISTS (SELECT FROM gyro.kept_answer w JOIN gyro.binding_target g ON g.rating_group = w.rating_group
                                       WHERE w.account_id = s.account_id AND w.session_no = e.session_no
                                         AND g.binding_id = b.binding_id)
                           OR NOT EXISTS (SELECT FROM gyro.kept_answer w
                                           WHERE w.account_id = s.account_id AND w.session_no = e.session_no
                                             AND w.request_type = 1))
$$;

-- The app of one Directed-Traffic-Info. app NULL: why tells what is wrong with which AVP.
CREATE FUNCTION gyro.app_of_url(url text, OUT app integer, OUT why text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- Scheme, user and password, host, port, path. What browsers read in another way is no URL here: a second @, a
    -- backslash, dot segments. Names beyond ASCII come as punycode.
    parts text[] := regexp_match(lower(url), '^(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@\\\s]*@)?([a-z0-9_-]+(?:[.][a-z0-9_-]+)*)[.]?(?::[0-9]{1,5})?(/[^?#\\\s]*)?(?:[?#].*)?$');
    apps  integer[];
BEGIN
    IF parts IS NULL OR parts[2] ~ '/([.]|%2e){1,2}(/|$)' THEN
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
             WHERE network >>= server AND (protocol < 0 OR parts[2] <> 'ip' AND protocol = parts[2]::integer)
               AND low <= high AND port_low <= low AND port_high >= high) m
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

-- Draws without what users drew of cards that have been retired: a row for each card with a cap would stay for ever.
CREATE FUNCTION gyro.draws_in_use(d bigint[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(ARRAY[d[n][1], d[n][2], d[n][3], d[n][4], d[n][5]] ORDER BY n), '{}')
      FROM generate_series(1, gyro.matrix_rows(d)) n
     WHERE d[n][2] = 0 OR NOT EXISTS (SELECT FROM gyro.card k WHERE k.card_id = d[n][1] AND k.retired IS NOT NULL)
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
    ELSIF NOT given AND (k.directed = 2 OR k.app_id IS NOT NULL OR NOT named) THEN
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
    UPDATE gyro.account a SET version = version + 1, draws = gyro.draws_in_use(a.draws)
      FROM gyro.subscriber s
     WHERE s.subscriber_id = o.beneficiary AND a.account_id = s.account_id AND gyro.draws_in_use(a.draws) <> a.draws;
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
           SET version = version + 1, card_use[gyro.card_row_no(cards, k.card_id)][3] = gyro.us(clock_timestamp()) + k.validity_s * 1000000
         WHERE account_id = k.account_id AND card_use[gyro.card_row_no(cards, k.card_id)][3] = 9223372036854775807;
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
    PERFORM gyro.card_lock(k, NULL, true);
    SELECT gyro.card_row_no(cards, k.card_id) INTO n FROM gyro.account WHERE account_id = k.account_id;
    IF n IS NULL OR (SELECT cards[n][2] = 4 FROM gyro.account WHERE account_id = k.account_id) THEN
        RAISE EXCEPTION 'card % is used up, expired or revoked', wanted USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE gyro.account SET version = version + 1, cards[n][2] = new_state WHERE account_id = k.account_id;
    PERFORM gyro.binding_reauthorize(b, CASE new_state WHEN 2 THEN 'card unfrozen' WHEN 3 THEN 'card frozen' ELSE 'card revoked' END)
       FROM gyro.card_binding b WHERE b.card_id = k.card_id AND b.unbound_at IS NULL;
END $$;
