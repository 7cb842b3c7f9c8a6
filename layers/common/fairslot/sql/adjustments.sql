-- name: get
-- One adjustment of a calendar of the tenant.
SELECT engine.adjustment_json(made) AS adjustment FROM changes AS made
 WHERE made.change_id = %(adjustment)s AND made.calendar_id = %(calendar)s AND made.tenant_id = %(tenant)s
   AND made.type IN ('credit.adjusted', 'credit.settled');

-- name: list_page
-- A page of the adjustments of a calendar of the tenant, in the order in which they were made.
SELECT engine.adjustment_json(made) AS adjustment FROM changes AS made
 WHERE made.calendar_id = %(calendar)s AND made.tenant_id = %(tenant)s AND made.seq > %(after)s
   AND made.type IN ('credit.adjusted', 'credit.settled')
 ORDER BY made.seq LIMIT %(limit)s;

-- name: adjust
-- Corrects a coach's credit in a kind of hour; the rest of the team pays.
SELECT engine.adjust_credit(p_tenant => %(tenant)s, p_calendar => %(calendar)s, p_coach => %(coach)s, p_kind => %(kind)s,
                            p_amount => %(amount)s, p_reason => %(reason)s, p_change => %(adjustment)s, p_now => %(now)s);
