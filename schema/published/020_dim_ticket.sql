-- Tickets as they are now. What they were at an earlier moment is in fct_event.

CREATE TABLE dim_ticket (
    ticket_id BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    queue VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    priority VARCHAR NOT NULL,
    assignee_id BIGINT,
    requester_id BIGINT,
    tags VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    solved_at TIMESTAMP,
    merged_into BIGINT,
    is_void BOOLEAN NOT NULL,
    type VARCHAR,
    due_at TIMESTAMP,
    pending_until TIMESTAMP,
    spent_minutes BIGINT NOT NULL,
    estimate_minutes BIGINT
);
COMMENT ON TABLE dim_ticket IS 'One row a ticket, void ones too.';
COMMENT ON COLUMN dim_ticket.key IS 'What people call it: ABC-123.';
COMMENT ON COLUMN dim_ticket.status IS 'new, open, pending, on_hold, solved, closed, void.';
COMMENT ON COLUMN dim_ticket.assignee_id IS 'dim_person.person_id, as requester_id is.';
COMMENT ON COLUMN dim_ticket.tags IS 'Sorted, separated by one space.';
COMMENT ON COLUMN dim_ticket.subject IS 'Personal text, written by strangers: erasure overwrites it, and who shows it must escape it.';
COMMENT ON COLUMN dim_ticket.solved_at IS 'When it was first solved since it was last open; NULL while it is open.';
COMMENT ON COLUMN dim_ticket.merged_into IS 'The ticket that goes on in its place.';
COMMENT ON COLUMN dim_ticket.type IS 'question, incident, problem, change, request, bug; NULL: nobody said.';
COMMENT ON COLUMN dim_ticket.pending_until IS 'When a pending ticket is to be looked at again.';
COMMENT ON COLUMN dim_ticket.spent_minutes IS 'Working time that agents wrote down; by whom and when is in fct_event (spent).';
COMMENT ON COLUMN dim_ticket.is_void IS 'Spam, merged away, test or erased: no figure counts it.';

INSERT INTO dim_ticket
SELECT
    t.id, (SELECT ticket_key FROM meta) || '-' || t.id, t.queue, t.status, t.priority, t.assignee, t.requester, t.tags,
    coalesce(x.subject, ''), t.created_at, t.solved_at, t.merged_into, t.status = 'void',
    t.type, t.due_at, t.pending_until, t.spent_minutes, t.estimate_minutes
FROM mailwicket.ticket AS t
LEFT JOIN mailwicket.ticket_text AS x ON x.ticket = t.id
ORDER BY t.id;
