-- Erasure: durable job rows, how far requests were read, how far fences were applied, confirmation codes, the audit log.
-- Ids, pseudonyms, hashes and counts only; personal details (`details`) are encrypted under an evidence key. Expand only.

SET ROLE mk_owner;

-- A request is the same request however often it arrives: its id is derived from its cause (PRIVACY.md section 3).
-- Everything after it is a row is driven from here. `told_state`: the last state that the outcomes topic acknowledged;
-- nothing executes before `decided` is. `execute_after`: effects on a whole account wait in a restricted state first.
CREATE TABLE mk.erasure_request (
    request_id       uuid PRIMARY KEY,
    -- Null: a callback about somebody who connected nothing here.
    tenant_id        uuid,
    kind             text NOT NULL CHECK (kind IN ('subject', 'message', 'account', 'callback')),
    origin           text NOT NULL CHECK (origin IN ('unsent', 'account_removed', 'consent_withdrawn', 'data_deletion',
                         'deauthorized', 'operator', 'import', 'join')),
    -- The signer of the request record: who may ask for what is contracts.erasure_requests.MAY_ASK.
    asked_by         text NOT NULL,
    state            text NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'identity_pending', 'decided', 'refused',
                         'executing', 'live_erased', 'answered')),
    told_state       text,
    reason           text,
    account_id       uuid,
    message_ref      bytea CHECK (message_ref IS NULL OR length(message_ref) = 16),
    pseudonyms       bytea[] NOT NULL DEFAULT '{}',
    details          bytea,
    requested_at     timestamptz NOT NULL,
    received_at      timestamptz NOT NULL,
    due_on           date,
    execute_after    timestamptz,
    approved_by      text,
    decided_at       timestamptz,
    executed_at      timestamptz,
    live_erased_at   timestamptz,
    irrecoverable_on date,
    answered_at      timestamptz,
    -- Of the receipt, by table: what was deleted. Numbers only.
    counts           jsonb NOT NULL DEFAULT '{}',
    receipt          text,
    attempts         integer NOT NULL DEFAULT 0,
    -- The code of the last error that kept it from going on, and when it is tried again.
    failed           text,
    next_attempt_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX erasure_request_open ON mk.erasure_request (next_attempt_at)
    WHERE state NOT IN ('answered', 'refused') OR told_state IS DISTINCT FROM state;
CREATE INDEX erasure_request_tenant ON mk.erasure_request (tenant_id, received_at);

-- Confirmation codes are random and only their hashes are kept; a callback that comes twice gets two (META.md section 15).
CREATE TABLE mk.erasure_code (
    code_sha256 bytea PRIMARY KEY CHECK (length(code_sha256) = 32),
    request_id  uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The next offset of the requests topic to read, moved in the transaction that makes the row: a restored database reads
-- again what it lost.
CREATE TABLE mk.erasure_position (
    partition   integer PRIMARY KEY,
    next_offset bigint NOT NULL CHECK (next_offset >= 0)
);

-- Restore gate: of each partition of the fence topic, which topic it was and the next offset to apply.
CREATE TABLE mk.fence_position (
    partition   integer PRIMARY KEY,
    topic_id    text NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0)
);

-- The audit log: append-only, free of personal data. `leaf` is the entry's place in the Merkle tree (RFC 6962), given by
-- one sequencer; null for a moment only.
CREATE TABLE mk.audit_entry (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    leaf        bigint UNIQUE CHECK (leaf >= 0),
    entry       bytea NOT NULL,
    appended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX audit_entry_unplaced ON mk.audit_entry (id) WHERE leaf IS NULL;

-- Signed tree heads; `anchored_at` once the topic outside this database acknowledged it.
CREATE TABLE mk.audit_checkpoint (
    tree_size   bigint PRIMARY KEY CHECK (tree_size > 0),
    root        bytea NOT NULL CHECK (length(root) = 32),
    record      bytea NOT NULL,
    signed_at   timestamptz NOT NULL,
    anchored_at timestamptz
);

GRANT SELECT, INSERT, UPDATE ON mk.erasure_request, mk.erasure_position, mk.fence_position TO mk_erasure;
GRANT SELECT, INSERT ON mk.erasure_code TO mk_erasure;
GRANT SELECT, INSERT ON mk.audit_entry TO mk_erasure, mk_custodian;
GRANT UPDATE (leaf) ON mk.audit_entry TO mk_erasure;
GRANT SELECT, INSERT, UPDATE ON mk.audit_checkpoint TO mk_erasure;
GRANT SELECT ON mk.slot, mk.account, mk.access_record, mk.root_epoch, mk.transport_key, mk.reader_grant TO mk_erasure;
GRANT SELECT ON mk.erasure_request TO mk_reader, mk_custodian;
GRANT SELECT ON mk.audit_entry, mk.audit_checkpoint TO mk_reader;
GRANT SELECT ON mk.fence_position TO mk_store;
RESET ROLE;
