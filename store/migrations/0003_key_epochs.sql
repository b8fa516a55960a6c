-- The life of root epochs, exports of the key tables, what operators ask of the keys, versions of tenants' schemas.
-- Expand only: code of before goes on working beside it.

SET ROLE mk_owner;

-- `rewrapped_lsn`: where the WAL was once nothing named the epoch any more; standbys and the archive must be past it.
-- `waits_for`: why it is not destroyed yet, for `mkc keys status`.
ALTER TABLE mk.root_epoch
    ADD COLUMN flipped_at    timestamptz,
    ADD COLUMN rewrapped_at  timestamptz,
    ADD COLUMN rewrapped_lsn pg_lsn,
    ADD COLUMN waits_for     text,
    ADD COLUMN destroyed_at  timestamptz;

-- A sealed copy of the key tables, outside this database. Opened, and a cell read with it, before `verified_at` is set.
CREATE TABLE mk.key_export (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z0-9-]+\.mkexport$'),
    root_epoch  integer NOT NULL,
    begun_at    timestamptz NOT NULL,
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    bytes       bigint NOT NULL,
    subjects    bigint NOT NULL,
    cells_read  integer NOT NULL,
    removed_at  timestamptz
);

-- What an operator asked for; the custodian does it and says how it ended.
CREATE TABLE mk.key_request (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('rotate', 'export')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    root_epoch   integer,
    ended_at     timestamptz
);

-- Which of store/tenant_migrations each tenant's schema has; a tenant without a row is at number 1.
CREATE TABLE mk.tenant_migration (
    tenant_id   uuid NOT NULL REFERENCES mk.tenant,
    number      integer NOT NULL CHECK (number > 0),
    sha256      bytea NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, number)
);

GRANT SELECT, INSERT, UPDATE ON mk.key_export, mk.key_request TO mk_custodian;
GRANT SELECT, INSERT ON mk.tenant_migration TO mk_custodian;
GRANT SELECT ON mk.tenant_migration TO mk_store, mk_erasure, mk_reader;
RESET ROLE;
