-- Tickets that are not done, oldest first. A ticket is as old as the oldest one that was merged into it.
WITH open AS (
    SELECT p.ticket_id, p.status, min(t.opened_at) AS opened_at
    FROM population($last_event) AS p
    JOIN kin($last_event) AS f ON f.root_id = p.ticket_id
    JOIN fact_ticket AS t ON t.ticket_id = f.ticket_id
    WHERE p.status IN ('new', 'open', 'pending', 'on_hold')
    GROUP BY p.ticket_id, p.status
), oldest AS (
    SELECT * FROM open ORDER BY opened_at, ticket_id LIMIT $most::BIGINT
), state AS (
    SELECT
        e.ticket_id,
        arg_max(e.to_value, e.event_id) FILTER (e.kind IN ('created', 'queue')) AS queue,
        coalesce(arg_max(e.to_value, e.event_id) FILTER (e.kind = 'priority'), 'normal') AS priority,
        -- A struct, because arg_max passes over NULL, and "assigned to nobody" is one.
        arg_max({'person': e.to_value}, e.event_id) FILTER (e.kind = 'assignee') AS assignee
    FROM fct_event AS e
    WHERE e.event_id <= $last_event AND e.kind IN ('created', 'queue', 'priority', 'assignee')
      AND e.ticket_id IN (SELECT ticket_id FROM oldest)
    GROUP BY e.ticket_id
)
SELECT
    o.ticket_id, d.key, d.subject, s.queue, o.status, s.priority,
    CASE WHEN s.assignee.person IS NOT NULL THEN coalesce(p.login, 'person ' || s.assignee.person) END AS assignee,
    o.opened_at, greatest(0, epoch_us($as_of::TIMESTAMP) - epoch_us(o.opened_at)) AS age_us
FROM oldest AS o
JOIN state AS s USING (ticket_id)
LEFT JOIN dim_ticket AS d USING (ticket_id)
LEFT JOIN dim_person AS p ON p.person_id = s.assignee.person::BIGINT
ORDER BY o.opened_at, o.ticket_id;
