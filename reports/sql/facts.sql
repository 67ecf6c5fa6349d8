-- The tables every report starts from, made once in the snapshot. They hold for every as_of: a report
-- takes the rows up to the last event it may know.
--
-- happened_at is occurred_at, but never before what was already recorded of the same ticket: mails are
-- recorded as they come in, and a duration must not be negative. Order is that of event_id throughout.

CREATE TEMP TABLE timed AS
SELECT
    event_id, ticket_id, kind, actor_kind, is_public, is_auto, to_value,
    max(occurred_at) OVER (PARTITION BY ticket_id ORDER BY event_id) AS happened_at
FROM fct_event;

CREATE TABLE fact_ticket AS
SELECT
    ticket_id,
    min(happened_at) FILTER (kind = 'created') AS opened_at,
    min(event_id) FILTER (actor_kind IN ('customer', 'collaborator', 'agent')) AS first_person_event
FROM timed
GROUP BY ticket_id
HAVING count(*) FILTER (kind = 'created') > 0;
COMMENT ON TABLE fact_ticket IS 'When a ticket began. Figures count it from then on, once a person has acted on it.';
COMMENT ON COLUMN fact_ticket.first_person_event IS 'NULL: only machines spoke, so it is nobody''s work.';

CREATE TABLE fact_turn AS
SELECT
    event_id, ticket_id, happened_at,
    CASE WHEN actor_kind = 'agent' THEN 'agent' ELSE 'customer' END AS side
FROM timed
WHERE is_public AND NOT is_auto
  AND (kind IN ('created', 'customer_reply') AND actor_kind IN ('customer', 'collaborator')
       OR kind IN ('created', 'agent_reply') AND actor_kind = 'agent');
COMMENT ON TABLE fact_turn IS 'A person says something that the other side can read. Notes and machine mail are no turns.';

CREATE TABLE fact_interval AS
SELECT
    ticket_id, event_id, status, happened_at AS started_at,
    lead(event_id) OVER life AS next_event_id, lead(happened_at) OVER life AS ended_at
FROM (
    SELECT *, CASE kind WHEN 'created' THEN 'new' WHEN 'merged_into' THEN 'void' ELSE to_value END AS status
    FROM timed
    WHERE kind IN ('created', 'status', 'merged_into')
)
WINDOW life AS (PARTITION BY ticket_id ORDER BY event_id);
COMMENT ON TABLE fact_interval IS 'How long a ticket was in a status; the last row of a ticket has no end.';

CREATE TABLE fact_flow AS
SELECT event_id, ticket_id, happened_at, flow
FROM (
    SELECT
        *,
        CASE
            WHEN was IS NULL THEN 'arrival'
            WHEN was = 'work' AND is_now = 'done' THEN 'closure'
            WHEN was = 'done' AND is_now = 'work' THEN 'reopen'
            WHEN was = 'work' AND is_now = 'void' THEN 'voided'
            WHEN was = 'void' AND is_now = 'work' THEN 'restored'
        END AS flow
    FROM (
        SELECT *, lag(is_now) OVER (PARTITION BY ticket_id ORDER BY event_id) AS was
        FROM (
            SELECT
                event_id, ticket_id, started_at AS happened_at,
                CASE WHEN status IN ('new', 'open', 'pending', 'on_hold') THEN 'work'
                     WHEN status = 'void' THEN 'void' ELSE 'done' END AS is_now
            FROM fact_interval
        )
    )
)
WHERE flow IS NOT NULL;
COMMENT ON TABLE fact_flow IS 'What changes the backlog: arrival, reopen and restored add one ticket, closure and voided take one.';

CREATE TABLE fact_merge AS
SELECT event_id, ticket_id, to_value::BIGINT AS into_id FROM timed WHERE kind = 'merged_into';
COMMENT ON TABLE fact_merge IS 'Which ticket goes on in which other one.';

DROP TABLE timed;
