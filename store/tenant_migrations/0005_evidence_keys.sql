-- Keys of evidence (details of requests, held cells), wrapped under the tenant KEK of `epoch` like a person's. Expand only.

-- A destroyed key keeps its row, so that no export brings it back. Only erasure's role and the owner reach any of them.
CREATE TABLE {schema}.evidence_key (
    key_id       uuid PRIMARY KEY,
    purpose      text NOT NULL CHECK (purpose IN ('request', 'hold')),
    epoch        integer,
    wrapped      bytea,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (epoch IS NULL)),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE INDEX evidence_key_by_epoch ON {schema}.evidence_key (epoch) WHERE wrapped IS NOT NULL;

GRANT SELECT, INSERT ON {schema}.evidence_key TO {schema}_erase;
GRANT UPDATE (epoch, wrapped, destroyed_at) ON {schema}.evidence_key TO {schema}_erase;
