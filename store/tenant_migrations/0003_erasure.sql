-- What erasure keeps of each step it made, and which lanes it waits for. Expand only.

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
    PRIMARY KEY (request_id, subject_id)
);

-- `live_erased` waits until each lane has passed the end that was seen after the fence.
CREATE TABLE {schema}.erasure_wait (
    request_id uuid NOT NULL,
    partition  integer NOT NULL,
    end_offset bigint NOT NULL,
    PRIMARY KEY (request_id, partition)
);
CREATE INDEX tombstone_expiry ON {schema}.tombstone (expires_at);

GRANT SELECT ON {schema}.erasure_step, {schema}.erasure_wait TO {schema}, {schema}_erase, {schema}_read;
GRANT INSERT, UPDATE, DELETE ON {schema}.erasure_step, {schema}.erasure_wait TO {schema}_erase;
GRANT UPDATE, DELETE ON {schema}.tombstone TO {schema}_erase;
