-- The database cell: what the custodian knows about tenants, slots, accounts, keys. Owned by mk_owner.
-- Must never hold a person's identifier. Tenant data lives in one schema per tenant (store/tenant.sql).

CREATE SCHEMA mk AUTHORIZATION mk_owner;
SET ROLE mk_owner;

CREATE TABLE mk.migration (
    number      integer PRIMARY KEY,
    name        text NOT NULL,
    sha256      bytea NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A slot is a tenant topic: created ahead, bound once, never reused.
CREATE TABLE mk.slot (
    slot        text PRIMARY KEY CHECK (slot ~ '^[a-z0-9]{8,24}$'),
    partitions  integer NOT NULL CHECK (partitions IN (1, 8)),
    state       text NOT NULL CHECK (state IN ('creating', 'free', 'bound', 'draining', 'retired')),
    tenant_id   uuid UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((tenant_id IS NOT NULL) = (state IN ('bound', 'draining', 'retired')))
);

-- `mkc tenant add` writes a row in state requested; the custodian takes it from there.
CREATE TABLE mk.tenant (
    tenant_id       uuid PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    schema_name     text NOT NULL UNIQUE CHECK (schema_name ~ '^t_[a-z0-9]{8,24}$'),
    partitions      integer NOT NULL CHECK (partitions IN (1, 8)),
    period          text NOT NULL DEFAULT 'month' CHECK (period IN ('month', 'week', 'day')),
    retention_days  integer NOT NULL DEFAULT 365 CHECK (retention_days BETWEEN 1 AND 3660),
    state           text NOT NULL CHECK (state IN ('requested', 'provisioned', 'ready', 'paused', 'leaving')),
    requested_by    text NOT NULL,
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ready_at        timestamptz
);

-- Root epochs of the key provider, as the database knows them; the keys themselves are never here.
CREATE TABLE mk.root_epoch (
    epoch       integer PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('current', 'retiring', 'destroyed')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX ON mk.root_epoch ((true)) WHERE state = 'current';

-- Transport keys the custodian made: public halves and times. Private halves live in the provider.
CREATE TABLE mk.transport_key (
    recipient    text NOT NULL,
    key_id       bytea NOT NULL CHECK (length(key_id) = 4),
    public_key   bytea NOT NULL,
    active_from  timestamptz NOT NULL,
    seal_until   timestamptz NOT NULL,
    published_at timestamptz,
    PRIMARY KEY (recipient, key_id)
);

CREATE TABLE mk.account (
    account_id   uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES mk.tenant,
    product      text NOT NULL CHECK (product IN ('messenger', 'instagram', 'whatsapp')),
    state        text NOT NULL CHECK (state IN ('connected', 'disconnected')),
    label        text NOT NULL,
    connected_by text NOT NULL,
    connected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- An id names one connected account at most: the second tenant that claims a page is refused.
CREATE TABLE mk.account_id (
    account_id  uuid NOT NULL REFERENCES mk.account,
    kind        text NOT NULL CHECK (kind IN ('page', 'instagram', 'waba', 'phone_number_id', 'app_scoped_user')),
    value       text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    PRIMARY KEY (account_id, kind, value)
);
CREATE UNIQUE INDEX account_id_once ON mk.account_id (kind, value) WHERE active AND kind NOT IN ('waba', 'app_scoped_user');

CREATE TABLE mk.consent (
    proof_ref    uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES mk.account,
    state        text NOT NULL CHECK (state IN ('active', 'withdrawn')),
    scopes       text[] NOT NULL,
    given_by     text NOT NULL,
    proof        text NOT NULL,
    since        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every read of personal data: moment, duration, identity, object, purpose (Decreto 8.771/2016 art. 13). Kept 6 months.
CREATE TABLE mk.access_record (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    uuid NOT NULL,
    who          text NOT NULL,
    purpose      text NOT NULL,
    object       text NOT NULL,
    rows_read    integer,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz
);

-- Roles: logins are NOINHERIT; a tenant's rows are reached only through SET LOCAL ROLE t_...
GRANT USAGE ON SCHEMA mk TO mk_custodian, mk_store, mk_erasure, mk_reader;
GRANT SELECT, INSERT, UPDATE ON mk.slot, mk.tenant, mk.root_epoch, mk.transport_key, mk.account, mk.account_id, mk.consent TO mk_custodian;
GRANT SELECT ON mk.migration, mk.access_record TO mk_custodian;
GRANT SELECT ON mk.migration, mk.root_epoch TO mk_store, mk_erasure, mk_reader;
GRANT SELECT (tenant_id, schema_name, period, retention_days, state, partitions) ON mk.tenant TO mk_store, mk_erasure, mk_reader;
GRANT SELECT (tenant_id, name) ON mk.tenant TO mk_reader;
GRANT SELECT ON mk.slot TO mk_store, mk_reader;
GRANT INSERT, SELECT, UPDATE ON mk.access_record TO mk_reader;
RESET ROLE;
