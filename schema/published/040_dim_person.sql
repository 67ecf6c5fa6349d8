-- People as numbers. A customer is an id and a domain; only colleagues have a name here, their login.

CREATE TABLE dim_person (
    person_id BIGINT NOT NULL,
    domain VARCHAR NOT NULL,
    is_agent BOOLEAN NOT NULL,
    login VARCHAR,
    created_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE dim_person IS 'One row for everybody who ever wrote or was written to.';
COMMENT ON COLUMN dim_person.domain IS 'Of the address, for figures by customer; the rest of the address stays in the live file.';
COMMENT ON COLUMN dim_person.is_agent IS 'Is an agent by today''s configuration, or once acted as one.';
COMMENT ON COLUMN dim_person.login IS 'Of today''s agents; NULL for everybody else.';
COMMENT ON COLUMN dim_person.created_at IS 'When we first met.';

INSERT INTO dim_person
SELECT
    p.id, split_part(p.address, '@', -1), a.login IS NOT NULL OR e.actor IS NOT NULL, a.login, p.created_at
FROM mailwicket.person AS p
LEFT JOIN agent_address AS a ON a.address = p.address
LEFT JOIN (SELECT DISTINCT actor FROM mailwicket.event WHERE actor_kind = 'agent') AS e ON e.actor = p.id
ORDER BY p.id;
