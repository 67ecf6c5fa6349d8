-- What several reports share, as table macros of the connection.

-- The tickets that count: a person acted on them, and they are not void. Spam and merged tickets leave
-- every figure at its original date.
CREATE TEMP MACRO population(last_event) AS TABLE
SELECT t.ticket_id, t.opened_at, i.status
FROM fact_ticket AS t
JOIN fact_interval AS i USING (ticket_id)
WHERE t.first_person_event <= last_event
  AND i.event_id <= last_event AND coalesce(i.next_event_id > last_event, true)
  AND i.status <> 'void';

-- Which ticket a ticket's mails count for: the one it was merged into, else itself.
CREATE TEMP MACRO kin(last_event) AS TABLE
WITH RECURSIVE step AS (
    SELECT ticket_id, into_id FROM fact_merge WHERE event_id <= last_event
), redirect AS (
    SELECT ticket_id, into_id FROM step
    UNION
    SELECT r.ticket_id, s.into_id FROM redirect AS r JOIN step AS s ON s.ticket_id = r.into_id
)
SELECT r.ticket_id, r.into_id AS root_id
FROM redirect AS r
SEMI JOIN population(last_event) AS p ON p.ticket_id = r.into_id
UNION ALL
SELECT ticket_id, ticket_id FROM population(last_event);

-- Order in time, of events in one microsecond that of their numbers: a number, since DuckDB compares rows
-- several times more slowly.
CREATE TEMP MACRO moment(happened_at, event_id) AS epoch_us(happened_at)::HUGEINT * 1099511627776 + event_id;
CREATE TEMP MACRO time_of(moment) AS make_timestamp((moment // 1099511627776)::BIGINT);

-- How long customers waited for the first answer, a row a ticket. The clock starts when a customer
-- first writes and stops at the first public answer of an agent after it; auto-replies and notes do
-- not count. A ticket that was solved before any answer has no response time.
CREATE TEMP MACRO first_response(last_event, now) AS TABLE
WITH turn AS (
    SELECT f.root_id AS ticket_id, t.side, moment(t.happened_at, t.event_id) AS moment
    FROM fact_turn AS t
    JOIN kin(last_event) AS f USING (ticket_id)
    WHERE t.event_id <= last_event
), asked AS (
    SELECT ticket_id, min(moment) AS moment FROM turn WHERE side = 'customer' GROUP BY ticket_id
), answered AS (
    SELECT a.ticket_id, min(t.moment) AS moment
    FROM asked AS a JOIN turn AS t USING (ticket_id)
    WHERE t.side = 'agent' AND t.moment > a.moment
    GROUP BY a.ticket_id
), solved AS (
    SELECT a.ticket_id, min(f.happened_at) AS solved_at
    FROM asked AS a JOIN fact_flow AS f USING (ticket_id)
    WHERE f.flow = 'closure' AND f.event_id <= last_event AND moment(f.happened_at, f.event_id) > a.moment
    GROUP BY a.ticket_id
), joined AS (
    SELECT a.ticket_id, time_of(a.moment) AS asked_at, time_of(r.moment) AS replied_at, s.solved_at
    FROM asked AS a LEFT JOIN answered AS r USING (ticket_id) LEFT JOIN solved AS s USING (ticket_id)
), judged AS (
    SELECT
        *,
        CASE WHEN replied_at <= coalesce(solved_at, replied_at) THEN 'answered'
             WHEN solved_at IS NOT NULL THEN 'no_reply' ELSE 'waiting' END AS outcome
    FROM joined
)
SELECT
    ticket_id, outcome, asked_at,
    CASE outcome WHEN 'answered' THEN replied_at END AS answered_at,
    CASE outcome WHEN 'answered' THEN epoch_us(replied_at) - epoch_us(asked_at)
                 WHEN 'waiting' THEN greatest(0, epoch_us(now) - epoch_us(asked_at)) END AS elapsed_us
FROM judged;

-- The day on which something happened for people in a zone.
CREATE TEMP MACRO local_day(moment, zone) AS timezone(zone, timezone('UTC', moment))::DATE;
