-- Mails that were stored, without their words.

CREATE TABLE fct_message (
    message_id BIGINT NOT NULL,
    ticket_id BIGINT,
    occurred_at TIMESTAMP NOT NULL,
    author_id BIGINT,
    mail_class VARCHAR NOT NULL,
    auth_level TINYINT NOT NULL,
    disposition VARCHAR NOT NULL,
    is_public BOOLEAN NOT NULL,
    is_held BOOLEAN NOT NULL,
    size BIGINT NOT NULL
);
COMMENT ON TABLE fct_message IS 'One row a stored mail.';
COMMENT ON COLUMN fct_message.ticket_id IS 'NULL: stored without a ticket (log, held).';
COMMENT ON COLUMN fct_message.author_id IS 'dim_person.person_id.';
COMMENT ON COLUMN fct_message.mail_class IS 'human, out_of_office, auto_reply, generated, bulk, bounce, complaint, receipt, own.';
COMMENT ON COLUMN fct_message.auth_level IS 'How sure we are of the author, 0 to 4.';
COMMENT ON COLUMN fct_message.disposition IS 'What became of it: apply, held, log, copy.';
COMMENT ON COLUMN fct_message.is_held IS 'It waits for a person to release it.';
COMMENT ON COLUMN fct_message.size IS 'Octets of the raw mail.';

INSERT INTO fct_message
SELECT id, ticket, "at", author, mail_class, level, disposition, is_public, hold IS NOT NULL, size
FROM mailwicket.message;
