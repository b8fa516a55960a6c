-- Grants: which downstream service may read a tenant's topic, on whose direction, with which proof, until when.
-- Names and proofs are here alone; control says references only. Must never hold a private key.

SET ROLE mk_owner;

CREATE TABLE mk.reader_grant (
    grant_id     uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES mk.tenant,
    -- The name (CN) on the service's certificate.
    reader       text NOT NULL CHECK (reader ~ '^reader-[a-z0-9][a-z0-9-]{0,50}$'),
    public_key   bytea NOT NULL CHECK (length(public_key) = 1216),
    given_to     text NOT NULL,
    directed_by  text NOT NULL,
    proof        text NOT NULL,
    granted_by   text NOT NULL,
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    until        timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_by     text,
    -- When the custodian had brought the servers to this row's present state: the permission given, or taken away.
    applied_at   timestamptz,
    CHECK (until > since),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX reader_grant_once ON mk.reader_grant (tenant_id, reader) WHERE ended_at IS NULL;

-- Which transport keys a grant was given. A key's private half is never here.
CREATE TABLE mk.reader_grant_key (
    grant_id     uuid NOT NULL REFERENCES mk.reader_grant,
    key_id       bytea NOT NULL CHECK (length(key_id) = 4),
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (grant_id, key_id)
);

GRANT SELECT, INSERT ON mk.reader_grant, mk.reader_grant_key TO mk_custodian;
GRANT UPDATE (ended_at, ended_by, applied_at) ON mk.reader_grant TO mk_custodian;
RESET ROLE;
