-- One tenant's schema. {schema} is replaced by the custodian with a name it made itself; nothing else is interpolated.
-- Owned by mk_owner. Roles {schema} (store), {schema}_erase, {schema}_read own nothing and cannot log in.
-- The sum of store/tenant_migrations/, which a test holds it against: change both.
-- Holds ciphertext, pseudonyms and bookkeeping; never a plain identifier of a person.

CREATE SCHEMA {schema} AUTHORIZATION mk_owner;

-- The tenant's own KEK, one row per epoch, wrapped under the root epoch. `current` is read inside each transaction.
CREATE TABLE {schema}.epoch (
    epoch       integer PRIMARY KEY,
    root_epoch  integer NOT NULL,
    wrapped_kek bytea NOT NULL,
    state       text NOT NULL CHECK (state IN ('current', 'retiring', 'destroyed')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX epoch_current ON {schema}.epoch ((true)) WHERE state = 'current';

-- The tenant's pseudonym key, wrapped under the tenant KEK of `epoch`; also in the router's provider.
CREATE TABLE {schema}.pseudonym_key (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    epoch       integer NOT NULL,
    wrapped     bytea NOT NULL
);

-- A person (or, for events that name nobody, an account standing for one). One DEK, one generation at a time.
CREATE TABLE {schema}.subject (
    subject_id          uuid PRIMARY KEY,
    generation          smallint NOT NULL DEFAULT 1 CHECK (generation BETWEEN 1 AND 32767),
    erased_through_gen  smallint NOT NULL DEFAULT 0,
    wrapped_dek         bytea,
    dek_epoch           integer,
    rekey               boolean NOT NULL DEFAULT false,
    rekey_from          bytea,
    watermark           timestamptz,
    executed_at         timestamptz,
    blocked             boolean NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of a subject under rekey: the generation and the epoch of the old DEK, whose wrap is `rekey_from`.
    rekey_from_gen      smallint,
    rekey_from_epoch    integer,
    -- When an account's erasure took the key of somebody who had rows of no other account: names go in time.
    key_lost_at         timestamptz,
    CHECK (wrapped_dek IS NULL OR generation > erased_through_gen),
    CHECK ((wrapped_dek IS NULL) = (dek_epoch IS NULL)),
    CONSTRAINT subject_rekey_from CHECK (rekey_from IS NULL OR (
        rekey_from_gen IS NOT NULL AND rekey_from_epoch IS NOT NULL AND rekey_from_gen > erased_through_gen
        AND rekey_from_gen < generation))
);
CREATE INDEX subject_by_epoch ON {schema}.subject (dek_epoch) WHERE wrapped_dek IS NOT NULL;
CREATE INDEX subject_rekey ON {schema}.subject (subject_id) WHERE rekey OR rekey_from IS NOT NULL;
CREATE INDEX subject_fenced ON {schema}.subject (executed_at) WHERE executed_at IS NOT NULL;
CREATE INDEX subject_keyless ON {schema}.subject (key_lost_at) WHERE key_lost_at IS NOT NULL;

-- Every identifier of a person, as a pseudonym, points at one subject.
CREATE TABLE {schema}.alias (
    pseudonym   bytea PRIMARY KEY CHECK (length(pseudonym) = 16),
    subject_id  uuid NOT NULL
);
CREATE INDEX alias_by_subject ON {schema}.alias (subject_id);

-- Two subjects that share an event: linked, never merged silently. Ordered pair.
CREATE TABLE {schema}.same_person (
    low         uuid NOT NULL,
    high        uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (low, high),
    CHECK (low < high)
);
CREATE INDEX same_person_high ON {schema}.same_person (high);

-- A join of aliases that must delete something: written by lanes, carried out by erasure only.
CREATE TABLE {schema}.join_request (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid NOT NULL,
    kept        uuid NOT NULL,
    joined      uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (event_id, kept, joined)
);

-- What stays out, without content, at least 200 days: r, refs of erased messages; e, ids of undated rows; n, refs of what erased
-- people wrote, which keep out only what names nobody; a, erased accounts.
CREATE TABLE {schema}.tombstone (
    kind        char(1) NOT NULL CHECK (kind IN ('r', 'e', 'n', 'a')),
    ref         bytea NOT NULL CHECK (length(ref) = 16),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (kind, ref)
);

CREATE TABLE {schema}.message (
    id            uuid NOT NULL,
    subject_id    uuid NOT NULL,
    generation    smallint NOT NULL,
    event_type    text NOT NULL,
    schema_version smallint NOT NULL,
    account_id    uuid NOT NULL,
    class         text NOT NULL,
    direction     char(1) NOT NULL CHECK (direction IN ('i', 'o', 's')),
    conversation  bytea NOT NULL,
    message_ref   bytea,
    received_at   timestamptz NOT NULL,
    stored_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    body          bytea NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX message_ref ON {schema}.message (message_ref) WHERE message_ref IS NOT NULL;
CREATE INDEX message_subject ON {schema}.message (subject_id);

-- One row per tenant partition: `position` is the next offset to read, advanced by compare-and-set with the rows.
CREATE TABLE {schema}.lane (
    partition   integer PRIMARY KEY,
    slot        text NOT NULL,
    position    bigint NOT NULL CHECK (position >= 0),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What became of each range of offsets, in the position's transaction. `next_offset` is exclusive.
CREATE TABLE {schema}.lane_outcome (
    partition    integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset  bigint NOT NULL,
    stored       bigint NOT NULL DEFAULT 0,
    duplicate    bigint NOT NULL DEFAULT 0,
    fenced       bigint NOT NULL DEFAULT 0,
    expired      bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    quarantined  bigint NOT NULL DEFAULT 0,
    notice       bigint NOT NULL DEFAULT 0,
    expired_unread bigint NOT NULL DEFAULT 0,
    replays      bigint NOT NULL DEFAULT 0,
    ended_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (partition, first_offset),
    CHECK (stored + duplicate + fenced + expired + refused + quarantined + notice + expired_unread
           = next_offset - first_offset)
);

-- One row for each (request, subject) that took effect: no row, no effect (PRIVACY.md section 3). For a message whose
-- sender nobody knew, `subject_id` is the request's own id. `fence`: the signed record as it stands on the fence topic.
CREATE TABLE {schema}.erasure_step (
    request_id         uuid NOT NULL,
    subject_id         uuid NOT NULL,
    erased_through_gen smallint NOT NULL,
    watermark          timestamptz,
    executed_at        timestamptz NOT NULL,
    fence              bytea,
    fence_published_at timestamptz,
    rows_deleted       bigint NOT NULL DEFAULT 0,
    deleted_at         timestamptz,
    announced_at       timestamptz,
    -- Of a fence of very many ids, the further parts as they stand there.
    fence_parts        bytea[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (request_id, subject_id)
);

-- `live_erased` waits until each lane has passed the end that was seen after the fence. `slot`: whose topic ends there; null,
-- from older code: that of the slot which the tenant has now.
CREATE TABLE {schema}.erasure_wait (
    request_id uuid NOT NULL,
    partition  integer NOT NULL,
    end_offset bigint NOT NULL,
    slot       text,
    PRIMARY KEY (request_id, partition)
);
CREATE INDEX tombstone_expiry ON {schema}.tombstone (expires_at);

-- store: reads, inserts, and the few named updates. erase: also deletes. read: reads.
GRANT USAGE ON SCHEMA {schema} TO {schema}, {schema}_erase, {schema}_read;
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {schema}, {schema}_erase, {schema}_read;
GRANT INSERT ON {schema}.subject, {schema}.alias, {schema}.same_person, {schema}.join_request, {schema}.message,
    {schema}.lane, {schema}.lane_outcome TO {schema}, {schema}_erase;
GRANT INSERT ON {schema}.tombstone TO {schema}, {schema}_erase;
GRANT UPDATE (generation, wrapped_dek, dek_epoch) ON {schema}.subject TO {schema};
GRANT UPDATE ON {schema}.subject TO {schema}_erase;
GRANT UPDATE (position, updated_at) ON {schema}.lane TO {schema};
GRANT DELETE ON {schema}.message, {schema}.subject, {schema}.alias, {schema}.same_person, {schema}.join_request
    TO {schema}_erase;
GRANT INSERT, UPDATE, DELETE ON {schema}.erasure_step, {schema}.erasure_wait TO {schema}_erase;
GRANT UPDATE, DELETE ON {schema}.tombstone TO {schema}_erase;

-- Evidence: its keys are granted apart from what stands above, to erasure's role alone.
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
