-- Control mail, digests and their answers.

CREATE TABLE listed (
    outbox BIGINT NOT NULL,
    number INTEGER NOT NULL,
    ticket BIGINT NOT NULL,
    version BIGINT NOT NULL
);
COMMENT ON TABLE listed IS 'Which tickets a mail of ours named by number, so that its answer means those: ids and numbers only.';
COMMENT ON COLUMN listed.outbox IS 'A digest, or the rehearsal of a control mail.';
COMMENT ON COLUMN listed.version IS 'ticket.version then: what happened since is told to whoever answers.';

CREATE TABLE digest_run (
    person BIGINT NOT NULL,
    "at" TIMESTAMP NOT NULL
);
COMMENT ON TABLE digest_run IS 'When the digest of an agent was last made, one row a person; nothing is sent if there is nothing to tell.';
