-- Agents, teams and organisations that are not in the configuration: what happened to them, and their names.

CREATE TABLE directory_event (
    seq BIGINT NOT NULL,
    "at" TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    kind VARCHAR NOT NULL,
    actor_kind VARCHAR NOT NULL,
    actor BIGINT,
    cause VARCHAR NOT NULL,
    entry BIGINT NOT NULL,
    person BIGINT,
    other BIGINT,
    queue VARCHAR,
    "value" VARCHAR
);
COMMENT ON TABLE directory_event IS 'Append-only truth about agents, teams and organisations: ids, enumerations, numbers, times and names of queues only.';
COMMENT ON COLUMN directory_event.entry IS 'The agent, team or organisation it happened to; directory_name has its words.';
COMMENT ON COLUMN directory_event.person IS 'Person id of an agent''s address.';
COMMENT ON COLUMN directory_event.other IS 'The agent who is in a team, or the domain of an organisation: an entry of directory_name.';
COMMENT ON COLUMN directory_event.value IS 'A role, a language, on or off.';

CREATE TABLE directory_name (
    entry BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    label VARCHAR NOT NULL
);
COMMENT ON TABLE directory_name IS 'Side table (personal text, overwritten by erasure): logins, names of teams and organisations, domains.';
COMMENT ON COLUMN directory_name.label IS 'Of an agent: the name that customers see.';
