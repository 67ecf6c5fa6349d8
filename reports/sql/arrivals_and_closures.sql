-- What came in and what went out, a row for every local day of first..last, days without anything too.
WITH flow AS (
    SELECT f.flow, local_day(f.happened_at, $zone) AS day
    FROM fact_flow AS f
    JOIN fact_ticket AS t USING (ticket_id)
    WHERE f.event_id <= $last_event AND t.first_person_event <= $last_event
      AND ($with_void OR f.ticket_id IN (SELECT ticket_id FROM population($last_event)))
), span AS (
    SELECT unnest(generate_series(
        coalesce($first::DATE, (SELECT min(day) FROM flow)), coalesce($last::DATE, local_day($as_of::TIMESTAMP, $zone)),
        INTERVAL 1 DAY
    ))::DATE AS day
)
SELECT
    s.day,
    count(*) FILTER (f.flow = 'arrival') AS arrivals,
    count(*) FILTER (f.flow = 'reopen') AS reopens,
    count(*) FILTER (f.flow = 'closure') AS closures,
    count(*) FILTER (f.flow = 'voided') - count(*) FILTER (f.flow = 'restored') AS voided
FROM span AS s
LEFT JOIN flow AS f USING (day)
GROUP BY s.day
ORDER BY s.day;
