-- Published: what notebooks may read. Files run in order, in one transaction, with the snapshot as the
-- current database and the live one beside it as "mailwicket". gateway/edge/publish.py fills "request".
--
-- A snapshot holds no body, no name and no address; a domain is all that is left of a customer's address.
-- Personal text in it: dim_ticket.subject and dim_person.login. After an erasure the next snapshot is clean,
-- since each one is made anew from the live tables. Times are UTC without zone.
--
-- This is a contract: columns may be added; whoever renames or removes one raises meta.schema_version.

CREATE TABLE meta (
    schema_version INTEGER NOT NULL,
    made_at TIMESTAMP NOT NULL,
    as_of TIMESTAMP NOT NULL,
    last_event_id BIGINT NOT NULL,
    zone VARCHAR NOT NULL,
    ticket_key VARCHAR NOT NULL,
    events BIGINT NOT NULL,
    tickets BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    persons BIGINT NOT NULL
);
COMMENT ON TABLE meta IS 'One row about this snapshot; the counts prove that it is whole.';
COMMENT ON COLUMN meta.schema_version IS 'Of the published tables, not of the live ones.';
COMMENT ON COLUMN meta.made_at IS 'The gateway''s clock when it began to publish.';
COMMENT ON COLUMN meta.as_of IS 'The moment reports speak of unless told otherwise: made_at, or the last event if that is later.';
COMMENT ON COLUMN meta.last_event_id IS 'The newest event in it, 0 if there is none.';
COMMENT ON COLUMN meta.zone IS 'IANA zone in which days are counted unless a report is told otherwise.';
COMMENT ON COLUMN meta.ticket_key IS 'ABC of ABC-123.';

INSERT INTO meta
SELECT
    1, r.made_at, greatest(r.made_at, (SELECT max(recorded_at) FROM mailwicket.event)),
    (SELECT coalesce(max(seq), 0) FROM mailwicket.event), r.zone, r.ticket_key,
    (SELECT count(*) FROM mailwicket.event), (SELECT count(*) FROM mailwicket.ticket),
    (SELECT count(*) FROM mailwicket.message), (SELECT count(*) FROM mailwicket.person)
FROM request AS r;
