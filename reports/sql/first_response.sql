-- A row a ticket whose customer first wrote on the days first..last (NULL: no limit).
SELECT r.ticket_id, d.key, r.outcome, r.asked_at, r.answered_at, r.elapsed_us
FROM first_response($last_event, $as_of) AS r
LEFT JOIN dim_ticket AS d USING (ticket_id)
WHERE coalesce(local_day(r.asked_at, $zone) >= $first::DATE, true)
  AND coalesce(local_day(r.asked_at, $zone) <= $last::DATE, true)
ORDER BY r.asked_at, r.ticket_id;
