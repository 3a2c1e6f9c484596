-- The audit: what must hold whatever happened (spec/reliability.md). It reads everything and writes nothing.

-- Cards, purchases, windows: what they say, what the ledger says, and what account rows say, in both directions.
CREATE FUNCTION gyro.audit_cards(sweep_grace interval)
RETURNS TABLE (invariant text, account_id bigint, detail text) LANGUAGE plpgsql STABLE SET jit = off AS $$
#variable_conflict use_column
BEGIN
    -- A database without cards need not pay for the plan of what follows.
    IF NOT EXISTS (SELECT FROM gyro.purchase) AND NOT EXISTS (SELECT FROM gyro.card)
       AND NOT EXISTS (SELECT FROM gyro.account a
                        WHERE a.cards <> '{}' OR a.draws <> '{}'
                           OR EXISTS (SELECT FROM generate_series(1, gyro.matrix_rows(a.slices)) n WHERE a.slices[n][1] >> 40 = 2))
       AND NOT EXISTS (SELECT FROM gyro.record_closed_card)
       AND NOT EXISTS (SELECT FROM gyro.record r CROSS JOIN LATERAL gyro.card_entries(r.charges)) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH held AS MATERIALIZED ( -- rows of cards: live ones and those that were retired
        SELECT * FROM gyro.card_row
    ), draw AS MATERIALIZED (
        SELECT * FROM gyro.card_draw
    ), entry AS MATERIALIZED ( -- of the ledger: what was drawn from cards, and what operations debited
        SELECT r.account_id, r.subscriber_id, e.card_id, e.rating_group, e.used, e.debit, e.usage, e.purchase
          FROM gyro.record r CROSS JOIN LATERAL gyro.card_entries(r.charges) e
        UNION ALL -- and of what was closed
        SELECT account_id, subscriber_id, card_id, rating_group, used, debit, usage, purchase FROM gyro.record_closed_card
    ), sliced AS MATERIALIZED ( -- what open grants hold of cards: of each reservation the larger phase
        SELECT a.account_id, s[n][2] AS card_id, s[n][6] AS home,
               greatest(sum(s[n][3]) FILTER (WHERE s[n][1] >> 32 & 1 = 0), sum(s[n][3]) FILTER (WHERE s[n][1] >> 32 & 1 = 1)) AS units
          FROM gyro.account a
         CROSS JOIN LATERAL (SELECT a.slices AS s) m
         CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(s)) n
         WHERE s[n][1] >> 40 = 2
         GROUP BY a.account_id, s[n][1] & 4294967295, s[n][2], s[n][6]
    )
    -- I2: no card gives more than it has
    SELECT 'I2', h.account_id, format('card %s: quota %s, used %s, reserved %s, held %s', h.card_id, h.quota, h.used, h.reserved, h.held)
      FROM held h
     WHERE h.used < 0 OR h.reserved < 0 OR h.held < 0 OR h.used + h.reserved > h.quota OR h.state = 1 AND h.used + h.reserved > 0
    UNION ALL
    SELECT 'I2', min(h.account_id), format('card %s has %s rows', h.card_id, count(*))
      FROM held h GROUP BY h.card_id HAVING count(*) > 1
    UNION ALL
    -- I2: used = what it gave to Rating-Groups, by its owner's row
    SELECT 'I2', coalesce(h.account_id, d.account_id), format('card %s: used %s, draws %s', coalesce(h.card_id, d.card_id), h.used, d.used)
      FROM (SELECT * FROM held WHERE live) h
      FULL JOIN (SELECT account_id, card_id, sum(used) AS used FROM draw WHERE subscriber_id = 0 GROUP BY 1, 2) d
             ON d.account_id = h.account_id AND d.card_id = h.card_id
     WHERE h.card_id IS NULL OR h.used <> coalesce(d.used, 0)
    UNION ALL
    SELECT 'I2', d.account_id, format('card %s, subscriber %s, Rating-Group %s: used %s, closed %s', d.card_id, d.subscriber_id,
                                      d.rating_group, d.used, d.closed)
      FROM draw d WHERE d.closed < 0 OR d.closed > d.used OR (d.subscriber_id = 0) <> (d.rating_group IS NOT NULL)
    UNION ALL
    -- I2: used = the ledger of that card, Rating-Group by Rating-Group while its row has them
    SELECT 'I2', h.account_id, format('card %s: used %s, ledger %s', coalesce(h.card_id, l.card_id), h.used, l.used)
      FROM held h FULL JOIN (SELECT card_id, sum(used) AS used FROM entry WHERE usage GROUP BY 1) l USING (card_id)
     WHERE h.card_id IS NULL OR h.used <> coalesce(l.used, 0)
    UNION ALL
    SELECT 'I2', d.account_id, format('card %s, Rating-Group %s: draws %s, ledger %s', d.card_id, d.rating_group, d.used, l.used)
      FROM draw d
      LEFT JOIN (SELECT card_id, rating_group, sum(used) AS used FROM entry WHERE usage GROUP BY 1, 2) l USING (card_id, rating_group)
     WHERE d.subscriber_id = 0 AND d.used <> coalesce(l.used, 0)
    UNION ALL
    -- I2: what one subscriber drew under a cap = the ledger, and no more than the cap, as long as anything can be drawn
    SELECT 'I2', d.account_id, format('card %s, subscriber %s: drew %s, ledger %s, cap %s', d.card_id, d.subscriber_id, d.used, l.used, k.cap)
      FROM (SELECT min(account_id) AS account_id, card_id, subscriber_id, sum(used) AS used
              FROM draw WHERE subscriber_id <> 0 GROUP BY 2, 3) d
      JOIN gyro.card k USING (card_id)
      LEFT JOIN (SELECT card_id, subscriber_id, sum(used) AS used FROM entry WHERE usage GROUP BY 1, 2) l
             USING (card_id, subscriber_id)
     WHERE k.retired IS NULL AND (d.used <> coalesce(l.used, 0) OR d.used > k.cap)
    UNION ALL
    -- I3: reserved of a card = what open grants hold of it, wherever their sessions are
    SELECT 'I3', coalesce(h.account_id, s.home), format('card %s: reserved %s, slices %s', coalesce(h.card_id, s.card_id), h.reserved, s.units)
      FROM held h
      FULL JOIN (SELECT card_id, home, sum(units) AS units FROM sliced GROUP BY 1, 2) s
             ON s.card_id = h.card_id AND s.home = h.account_id
     WHERE h.card_id IS NULL OR h.reserved <> coalesce(s.units, 0) OR s.units IS NOT NULL AND NOT h.live
    UNION ALL
    -- I3: money is held for purchases that are not yet paid, and only for them
    SELECT 'I3', coalesce(h.account_id, q.account_id),
           format('purchase %s: state %s, price %s; card %s: state %s, held %s', q.purchase_id, q.state, q.price,
                  coalesce(h.card_id, q.card_id), h.state, h.held)
      FROM (SELECT * FROM held WHERE live) h
      FULL JOIN (SELECT * FROM gyro.purchase WHERE card_id IS NOT NULL) q ON q.card_id = h.card_id AND q.account_id = h.account_id
     WHERE CASE q.state WHEN 3 THEN h.state IS DISTINCT FROM 1 OR h.held IS DISTINCT FROM q.price
                        WHEN 4 THEN h.state IS NULL OR h.state = 1 OR h.held <> q.price
                        WHEN 5 THEN h.state = 1 OR h.held <> 0
                        ELSE h.card_id IS NOT NULL END
    UNION ALL
    -- I2: a card is issued by a purchase that got as far as that, and by no other
    SELECT 'I2', coalesce(k.account_id, q.account_id), format('purchase %s: state %s; card %s', coalesce(q.purchase_id, k.purchase_id),
                                                              q.state, k.code)
      FROM gyro.card k
      FULL JOIN (SELECT * FROM gyro.purchase WHERE state IN (4, 5, 9)) q ON q.card_id = k.card_id AND q.purchase_id = k.purchase_id
      LEFT JOIN held h ON h.card_id = k.card_id AND h.account_id = k.account_id AND h.live = (k.retired IS NULL)
     WHERE k.card_id IS NULL OR q.purchase_id IS NULL OR q.state = 9 AND k.retired[2] IS DISTINCT FROM 4
        OR h.card_id IS NULL
    UNION ALL
    -- I1: a purchase is paid once, and given back once if it was refunded
    SELECT 'I1', coalesce(q.account_id, e.account_id), format('purchase %s: state %s, price %s; %s entries of %s', q.purchase_id, q.state,
                                                              q.price, coalesce(e.n, 0), e.debits)
      FROM (SELECT * FROM gyro.purchase WHERE card_id IS NOT NULL) q
      FULL JOIN (SELECT account_id, card_id, count(*) AS n, array_agg(debit ORDER BY debit DESC) AS debits
                   FROM entry WHERE purchase AND NOT usage GROUP BY 1, 2) e
             ON e.card_id = q.card_id AND e.account_id = q.account_id
     WHERE e.debits IS DISTINCT FROM CASE q.state WHEN 5 THEN ARRAY[q.price] WHEN 9 THEN ARRAY[q.price, -q.price] END
    UNION ALL
    -- I1: what is drawn from a card costs nothing, but by its settlement
    SELECT 'I1', e.account_id, format('card %s, Rating-Group %s: %s debited for what it gave', e.card_id, e.rating_group, e.debit)
      FROM entry e WHERE e.usage AND e.debit <> 0
    UNION ALL
    -- I1: closed windows are what was closed, each line once
    SELECT 'I1', d.account_id, format('card %s, Rating-Group %s: closed %s, windows %s', coalesce(d.card_id, w.card_id),
                                      coalesce(d.rating_group, w.rating_group), d.closed, w.used)
      FROM (SELECT * FROM draw WHERE subscriber_id = 0) d
      FULL JOIN (SELECT card_id, rating_group, sum(used) AS used
                   FROM gyro.usage_window JOIN gyro.usage_window_line USING (window_id) JOIN gyro.card USING (card_id)
                  WHERE retired IS NULL GROUP BY 1, 2) w ON w.card_id = d.card_id AND w.rating_group = d.rating_group
     WHERE coalesce(d.closed, 0) <> coalesce(w.used, 0)
    UNION ALL
    SELECT 'I1', k.account_id, format('card %s: used %s, all windows %s', k.card_id, k.retired[9], w.used)
      FROM gyro.card k
      LEFT JOIN (SELECT card_id, sum(used) AS used FROM gyro.usage_window JOIN gyro.usage_window_line USING (window_id) GROUP BY 1) w
             USING (card_id)
     WHERE k.retired IS NOT NULL AND k.retired[9] <> coalesce(w.used, 0)
    UNION ALL
    -- I1: windows follow each other without gap, and are the sums of their lines
    SELECT 'I1', k.account_id, format('card %s, window %s: from %s to %s, before it %s, amount %s, lines %s', k.card_id, w.window_id,
                                      w.opened, w.closed, w.before, w.amount, l.amount)
      FROM (SELECT *, lag(closed) OVER (PARTITION BY card_id ORDER BY window_id) AS before,
                   lead(opened) OVER (PARTITION BY card_id ORDER BY window_id) AS after FROM gyro.usage_window) w
      JOIN gyro.card k USING (card_id)
      LEFT JOIN (SELECT window_id, sum(amount) AS amount FROM gyro.usage_window_line GROUP BY 1) l USING (window_id)
     WHERE w.opened >= w.closed OR w.opened <> coalesce(w.before, w.opened) OR coalesce(w.after, k.settled_until) <> w.closed
        OR w.amount <> coalesce(l.amount, 0)
    UNION ALL
    -- I1: windows are debited once, and cost what their units cost, to the carried fraction
    SELECT 'I1', coalesce(w.account_id, e.account_id), format('card %s, Rating-Group %s: windows %s, debited %s',
                  coalesce(w.card_id, e.card_id), coalesce(w.rating_group, e.rating_group), w.amount, e.debit)
      FROM (SELECT k.account_id, card_id, rating_group, sum(l.amount) AS amount
              FROM gyro.usage_window_line l JOIN gyro.usage_window USING (window_id) JOIN gyro.card k USING (card_id)
             GROUP BY 1, 2, 3) w
      FULL JOIN (SELECT account_id, card_id, rating_group, sum(debit) AS debit FROM entry WHERE NOT usage AND NOT purchase
                  GROUP BY 1, 2, 3) e
             ON e.account_id = w.account_id AND e.card_id = w.card_id AND e.rating_group = w.rating_group
     WHERE coalesce(w.amount, 0) <> coalesce(e.debit, 0)
    UNION ALL
    SELECT 'I1', k.account_id, format('card %s: %s units at %s per %s, debited %s, carried %s', k.card_id, w.used, k.usage_price,
                                      k.usage_block, w.amount, k.carry)
      FROM gyro.card k
      LEFT JOIN (SELECT card_id, sum(l.used) AS used, sum(l.amount) AS amount
                   FROM gyro.usage_window JOIN gyro.usage_window_line l USING (window_id) GROUP BY 1) w USING (card_id)
     WHERE coalesce(w.used, 0) * k.usage_price <> coalesce(w.amount, 0) * k.usage_block + k.carry
        OR k.carry < 0 OR k.carry >= k.usage_block
    UNION ALL
    -- I2: bindings: no more than the card may have; who isn't named has a directed one; directed ones have targets
    SELECT 'I2', k.account_id, format('card %s: %s bindings, %s allowed', k.card_id, count(*), k.max_bindings)
      FROM gyro.card k JOIN gyro.card_binding b USING (card_id)
     WHERE b.unbound_at IS NULL GROUP BY k.account_id, k.card_id, k.max_bindings HAVING count(*) > k.max_bindings
    UNION ALL
    SELECT 'I2', k.account_id, format('binding %s of card %s: user class %s, directed %s', b.binding_id, b.card_id, b.user_class, b.directed)
      FROM gyro.card_binding b JOIN gyro.card k USING (card_id)
     WHERE b.user_class = 1 AND NOT b.directed
        OR b.directed <> EXISTS (SELECT FROM gyro.binding_target t WHERE t.binding_id = b.binding_id)
    UNION ALL
    -- I6: a purchase ends by its hold time and the sweeper's
    SELECT 'I6', q.account_id, format('purchase %s: state %s, held until %s', q.purchase_id, q.state, q.hold_until)
      FROM gyro.purchase q WHERE q.state IN (3, 4) AND q.hold_until < now() - sweep_grace;
END $$;

-- The invariants of the design (I1 to I4, I6). Any row returned is a bug.
CREATE FUNCTION gyro.audit(sweep_grace interval DEFAULT '1 minute')
RETURNS TABLE (invariant text, account_id bigint, detail text) LANGUAGE sql STABLE SET jit = off AS $$
    WITH flagged AS MATERIALIZED ( -- what took a balance below its limit, or may have
        SELECT x.*, max(at) OVER (PARTITION BY account_id) AS newest
          FROM (SELECT account_id, at, balance FROM gyro.record WHERE flags & 1 = 1
                UNION ALL SELECT account_id, at, balance FROM gyro.payment WHERE forced) x
    )
    -- I1: balance = payments - debits, account by account
    SELECT 'I1', a.account_id, format('balance %s, ledger %s', a.balance, coalesce(p.total, 0) - coalesce(d.total, 0))
      FROM gyro.account a
      LEFT JOIN (SELECT account_id, sum(amount) AS total FROM gyro.payment GROUP BY 1) p USING (account_id)
      LEFT JOIN (SELECT account_id, sum(total) AS total
                   FROM (SELECT account_id, sum(debit) AS total FROM gyro.record GROUP BY 1
                         UNION ALL SELECT account_id, debit FROM gyro.record_closed_account) u GROUP BY 1) d USING (account_id)
     WHERE a.balance <> coalesce(p.total, 0) - coalesce(d.total, 0)
    UNION ALL
    -- I1: what was carried forward of closed records = what they were, partition by partition
    SELECT 'I1', NULL, format('closed records: debited %s, their accounts %s; cards gave %s, carried %s', d.debit, a.debit, d.used, c.used)
      FROM (SELECT coalesce(sum(debit), 0) AS debit, coalesce(sum(card_used), 0) AS used FROM gyro.record_closed) d,
           (SELECT coalesce(sum(debit), 0) AS debit FROM gyro.record_closed_account) a,
           (SELECT coalesce(sum(used), 0) AS used FROM gyro.record_closed_card) c
     WHERE d.debit <> a.debit OR d.used <> c.used
    UNION ALL
    -- I1: a request's debit = its services' debits
    SELECT 'I1', r.account_id, format('session %s %s/%s: debit %s, services %s', r.session, r.request_type,
                                      r.request_number, r.debit, s.total)
      FROM gyro.record r
     CROSS JOIN LATERAL (SELECT coalesce(sum(r.charges[n][5]), 0) AS total
                           FROM generate_series(1, gyro.matrix_rows(r.charges)) n) s
     WHERE r.debit <> s.total
    UNION ALL
    -- I1: a debit or payment of an account that does not exist
    SELECT 'I1', r.account_id, 'record without account'
      FROM (SELECT account_id FROM gyro.record UNION SELECT account_id FROM gyro.record_closed_account) r
     WHERE NOT EXISTS (SELECT FROM gyro.account a WHERE a.account_id = r.account_id)
    UNION ALL
    -- I3: reserved = sum of open reservations and purchases
    SELECT 'I3', a.account_id, format('reserved %s, reservations %s, purchases %s', a.reserved, s.total, c.total)
      FROM gyro.account a
     CROSS JOIN LATERAL (SELECT coalesce(sum(a.reservations[n][6]), 0) AS total
                           FROM generate_series(1, gyro.matrix_rows(a.reservations)) n) s
     CROSS JOIN LATERAL (SELECT coalesce(sum(a.cards[n][6]), 0) AS total
                           FROM generate_series(1, gyro.matrix_rows(a.cards)) n) c
     WHERE a.reserved <> s.total + c.total
    UNION ALL
    -- I4: each grant in a stored answer is covered, to the micro-unit, by its reservation
    SELECT 'I4', c.account_id, format('session %s %s/%s Rating-Group %s: granted %s at %s per %s, carry %s, reserved %s',
                                      c.session, c.request_type, c.request_number, c.rating_group, c.granted,
                                      c.price_micros, c.block, c.carry, c.reserved)
      FROM gyro.charge c
     WHERE (c.flags & 112 = 0 OR c.flags & 256 <> 0) AND c.reserved <> CASE WHEN c.granted > 0
                              THEN ceil((c.granted::numeric * c.price_micros + c.carry) / c.block) ELSE 0 END
    UNION ALL
    SELECT 'I4', r.account_id, format('session %s Rating-Group %s: granted %s, reserved %s', r.session, r.rating_group,
                                      r.granted, r.reserved)
      FROM gyro.reservation r
     WHERE r.reserved <> CASE WHEN r.granted > 0
                              THEN ceil((r.granted::numeric * r.price_micros + r.carry) / r.block) ELSE 0 END
       AND NOT EXISTS (SELECT FROM gyro.slice s WHERE s.account_id = r.account_id AND s.reservation_no = r.reservation_no)
    UNION ALL
    -- I4: the slices of a grant are its units, and hold what the dearer phase may cost
    SELECT 'I4', r.account_id, format('session %s Rating-Group %s: granted %s, reserved %s, slices %s before and %s after, held %s and %s',
                                      r.session, r.rating_group, r.granted, r.reserved, s.before, s.after, s.held_before, s.held_after)
      FROM gyro.reservation r
      JOIN (SELECT account_id, reservation_no, sum(units) FILTER (WHERE phase = 0) AS before,
                   sum(units) FILTER (WHERE phase = 1) AS after,
                   coalesce(sum(held) FILTER (WHERE phase = 0), 0) AS held_before,
                   coalesce(sum(held) FILTER (WHERE phase = 1), 0) AS held_after
              FROM gyro.slice GROUP BY 1, 2) s ON s.account_id = r.account_id AND s.reservation_no = r.reservation_no
     WHERE s.before <> r.granted OR (r.tariff_change IS NOT NULL) <> (s.after IS NOT NULL) OR s.after <> r.granted
        OR r.reserved <> greatest(s.held_before, s.held_after)
    UNION ALL
    -- I6: no request is charged twice
    SELECT 'I6', max(r.account_id), format('session %s %s/%s decided %s times', r.session, r.request_type, r.request_number, count(*))
      FROM gyro.record r WHERE r.request_type <> 0
     GROUP BY r.session, r.opened, r.request_type, r.request_number HAVING count(*) > 1
    UNION ALL
    -- I6: below the credit limit only as far as flagged over-use, or an operator who forced it, left the balance; what was
    -- paid since made it less. The clock may have been set back by three hours (P9): which of several was the last, and
    -- what came after it, is known no better than that.
    SELECT 'I6', a.account_id, format('balance %s, credit limit %s, flagged over-use left %s', a.balance, a.credit_limit, f.left_micros)
      FROM gyro.account a
      LEFT JOIN LATERAL (
           SELECT min(e.balance) + coalesce((SELECT sum(p.amount) FROM gyro.payment p
                                              WHERE p.account_id = a.account_id AND p.amount > 0
                                                AND p.at > max(e.newest) + interval '3 hours'), 0) AS left_micros
             FROM flagged e WHERE e.account_id = a.account_id AND e.at >= e.newest - interval '3 hours') f ON true
     WHERE a.balance + a.credit_limit < 0 AND (f.left_micros IS NULL OR a.balance < f.left_micros)
       -- How far over-use went that only closed records tell of isn't known any more.
       AND (EXISTS (SELECT FROM gyro.record r WHERE r.account_id = a.account_id AND r.flags & 1 = 1)
            OR NOT EXISTS (SELECT FROM gyro.record_closed_account c WHERE c.account_id = a.account_id AND c.over_used))
    UNION ALL
    -- I6: nothing open beyond its deadline and the sweeper's time; an ended session holds nothing
    SELECT 'I6', s.account_id, format('session %s open since %s, deadline %s', s.session, s.opened, s.deadline)
      FROM gyro.session s WHERE s.state = 1 AND s.deadline < now() - sweep_grace
    UNION ALL
    -- I6: nobody would supervise an open session that the index does not know as one
    SELECT 'I6', s.account_id, format('session %s is open, and not so in the session index', s.session)
      FROM gyro.session s
      LEFT JOIN gyro.session_index i ON i.session = s.session AND i.account_id = s.account_id AND i.opened = s.opened AND NOT i.ended
     WHERE s.state = 1 AND i.session IS NULL
    UNION ALL
    SELECT 'I6', s.account_id, format('session %s ended, holds %s, granted %s, slices %s', s.session, r.reserved, r.granted, l.n)
      FROM gyro.session s JOIN gyro.reservation r ON r.account_id = s.account_id AND r.session_no = s.session_no
      LEFT JOIN (SELECT account_id, reservation_no, count(*) AS n FROM gyro.slice GROUP BY 1, 2) l
             ON l.account_id = r.account_id AND l.reservation_no = r.reservation_no
     WHERE s.state <> 1 AND (r.reserved <> 0 OR r.granted <> 0 OR l.n > 0)
    UNION ALL
    SELECT * FROM gyro.audit_cards(sweep_grace)
$$;
