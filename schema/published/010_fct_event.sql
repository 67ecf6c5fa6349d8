-- Everything that happened to a ticket. Every figure is computed from this table.

CREATE TABLE fct_event (
    event_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    kind VARCHAR NOT NULL,
    actor_kind VARCHAR NOT NULL,
    actor_id BIGINT,
    is_public BOOLEAN NOT NULL,
    is_auto BOOLEAN NOT NULL,
    from_value VARCHAR,
    to_value VARCHAR
);
COMMENT ON TABLE fct_event IS 'Append-only: ids, enumerations, numbers and times.';
COMMENT ON COLUMN fct_event.event_id IS 'Rises with every event; order by it, since many events share a second.';
COMMENT ON COLUMN fct_event.occurred_at IS 'When it happened.';
COMMENT ON COLUMN fct_event.recorded_at IS 'When we wrote it down: a report as of a moment knows only what was recorded by then.';
COMMENT ON COLUMN fct_event.kind IS 'created, customer_reply, agent_reply, note, machine_mail, held, released, copy, status, assignee, priority, queue, tag_added, tag_removed, participant_added, merged_into, merged_from, linked, acknowledged, bounced, delayed, suppressed, revived, participant_removed, unmerged_into, unmerged_from, unlinked, type, due, until, spent, estimate, field, undone, requester.';
COMMENT ON COLUMN fct_event.actor_kind IS 'The role at that time: customer, collaborator, agent, system, operator, rule.';
COMMENT ON COLUMN fct_event.actor_id IS 'dim_person.person_id; NULL for machines.';
COMMENT ON COLUMN fct_event.is_public IS 'The customer could read it.';
COMMENT ON COLUMN fct_event.is_auto IS 'A machine wrote it; it starts no clock and stops none.';
COMMENT ON COLUMN fct_event.from_value IS 'The value before, for changes.';
COMMENT ON COLUMN fct_event.to_value IS 'The value after: a status, queue, priority, type, tag, name of an own field, minutes, a time, a transaction, or an id in digits; of created its queue.';

INSERT INTO fct_event
SELECT seq, ticket, "at", recorded_at, kind, actor_kind, actor, is_public, is_auto, "before", "after"
FROM mailwicket.event;
