-- Tickets in new, open, pending or on_hold at the end of every local day of first..last.
WITH change AS (
    SELECT
        local_day(f.happened_at, $zone) AS day,
        sum(CASE WHEN f.flow IN ('arrival', 'reopen', 'restored') THEN 1 ELSE -1 END) AS net
    FROM fact_flow AS f
    JOIN fact_ticket AS t USING (ticket_id)
    WHERE f.event_id <= $last_event AND t.first_person_event <= $last_event
      AND ($with_void OR f.ticket_id IN (SELECT ticket_id FROM population($last_event)))
    GROUP BY ALL
), edge AS (
    SELECT
        coalesce($first::DATE, (SELECT min(day) FROM change)) AS first_day,
        coalesce($last::DATE, local_day($as_of::TIMESTAMP, $zone)) AS last_day
), span AS (
    SELECT unnest(generate_series(first_day, last_day, INTERVAL 1 DAY))::DATE AS day FROM edge
)
SELECT
    s.day,
    (
        coalesce((SELECT sum(net) FROM change WHERE day < (SELECT first_day FROM edge)), 0)
        + coalesce(sum(c.net) OVER (ORDER BY s.day), 0)
    )::BIGINT AS backlog,
    s.day < local_day($as_of::TIMESTAMP, $zone) AS complete
FROM span AS s
LEFT JOIN change AS c USING (day)
ORDER BY s.day;
