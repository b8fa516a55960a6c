-- Every statement of the lanes and of the reading commands. `{schema}` is a tenant's checked schema name; nothing else
-- is ever put into a statement. The lock stands in a statement of its own before every read: READ COMMITTED takes a new
-- snapshot for each statement, so what is read here was committed before the lock was granted (PRIVACY.md section 3).

-- name: migrations
SELECT number FROM mk.migration ORDER BY number;

-- name: tenants
SELECT t.tenant_id, t.schema_name, t.retention_days,
    -- A tenant without a row is at number 1.
    coalesce((SELECT max(m.number) FROM mk.tenant_migration m WHERE m.tenant_id = t.tenant_id), 1) AS schema_number
FROM mk.tenant t WHERE t.state <> 'requested';

-- name: wake_custodian
NOTIFY mk_custodian;

-- One simple query: the transaction, the tenant's role, the shared tenant lock. `{lock}` and `{timeout}` are integers.
-- name: begin
BEGIN; SET LOCAL ROLE "{schema}"; SET LOCAL lock_timeout = {timeout}; SELECT pg_advisory_xact_lock_shared({lock});

-- The same with a savepoint for each tenant, when several share the transaction.
-- name: begin_shared
BEGIN; SAVEPOINT tenant; SET LOCAL ROLE "{schema}"; SET LOCAL lock_timeout = {timeout}; SELECT pg_advisory_xact_lock_shared({lock});

-- name: next_tenant
RELEASE SAVEPOINT tenant; SAVEPOINT tenant; SET LOCAL ROLE "{schema}"; SET LOCAL lock_timeout = {timeout}; SELECT pg_advisory_xact_lock_shared({lock});

-- name: forget_tenant
ROLLBACK TO SAVEPOINT tenant;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- What a lane's rows depend on, in one read. $1 pseudonyms; $2 subjects known otherwise; $3 message refs; $4 ids of
-- undated events; $5 refs of events that name nobody; $6 accounts. kind: a = alias and its subject, s = subject, r / e / n / g =
-- tombstone of a ref, an id, a ref for what names nobody, an account (kind a there); k = an epoch's wrapped KEK (generation
-- holds the epoch, dek_epoch the root epoch, blocked whether it is current, watermark the database's time).
-- name: read_batch
SELECT 'a' AS kind, a.pseudonym AS ref, s.subject_id, s.generation::int, s.erased_through_gen::int, s.wrapped_dek, s.dek_epoch,
       s.watermark, s.executed_at, s.blocked,
       EXISTS (SELECT FROM "{schema}".same_person p WHERE p.low = s.subject_id)
           OR EXISTS (SELECT FROM "{schema}".same_person p WHERE p.high = s.subject_id) AS linked
FROM "{schema}".alias a JOIN "{schema}".subject s ON s.subject_id = a.subject_id
WHERE a.pseudonym = ANY ($1::bytea[])
UNION ALL
SELECT 's', NULL, s.subject_id, s.generation::int, s.erased_through_gen::int, s.wrapped_dek, s.dek_epoch,
       s.watermark, s.executed_at, s.blocked,
       EXISTS (SELECT FROM "{schema}".same_person p WHERE p.low = s.subject_id)
           OR EXISTS (SELECT FROM "{schema}".same_person p WHERE p.high = s.subject_id)
FROM "{schema}".subject s WHERE s.subject_id = ANY ($2::uuid[])
UNION ALL
SELECT t.kind::text, t.ref, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM "{schema}".tombstone t WHERE t.kind = 'r' AND t.ref = ANY ($3::bytea[])
UNION ALL
SELECT t.kind::text, t.ref, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM "{schema}".tombstone t WHERE t.kind = 'e' AND t.ref = ANY ($4::bytea[])
UNION ALL
SELECT t.kind::text, t.ref, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM "{schema}".tombstone t WHERE t.kind = 'n' AND t.ref = ANY ($5::bytea[])
UNION ALL
SELECT 'g', t.ref, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM "{schema}".tombstone t WHERE t.kind = 'a' AND t.ref = ANY ($6::bytea[])
UNION ALL
SELECT 'k', e.wrapped_kek, NULL, e.epoch, NULL, NULL, e.root_epoch, clock_timestamp(), NULL, e.state = 'current', NULL
FROM "{schema}".epoch e WHERE e.state <> 'destroyed';

-- Events that name nobody take the subject of the row with their message_ref.
-- name: subjects_by_ref
SELECT DISTINCT ON (m.message_ref) m.message_ref, m.subject_id FROM "{schema}".message m
WHERE m.message_ref = ANY ($1::bytea[]) ORDER BY m.message_ref, m.id;

-- Everybody that same_person joins, directly or through others, to the subjects in $1: the strictest fence applies.
-- name: linked_subjects
WITH RECURSIVE reached (root, subject_id) AS (
    SELECT r, r FROM unnest($1::uuid[]) r
    UNION
    SELECT reached.root, next.subject_id
    FROM reached CROSS JOIN LATERAL (
        SELECT p.high AS subject_id FROM "{schema}".same_person p WHERE p.low = reached.subject_id
        UNION ALL
        SELECT p.low FROM "{schema}".same_person p WHERE p.high = reached.subject_id
    ) next
)
SELECT reached.root, s.subject_id, s.watermark, s.executed_at, s.blocked
FROM reached JOIN "{schema}".subject s ON s.subject_id = reached.subject_id
WHERE reached.root <> reached.subject_id;

-- New aliases, then subjects and links. $1, $2: pseudonyms and their subjects. $3..$5: new subjects,
-- wrapped DEKs, epochs. $6, $7: links, ordered pairs; $8: the event, where the link joins somebody who was erased: a link
-- that is really new is then a join that erasure must carry out. Fewer aliases than given means that another writer was
-- first: roll back and read again.
-- name: create_subjects
WITH new_alias AS (
    INSERT INTO "{schema}".alias (pseudonym, subject_id)
    SELECT pseudonym, subject_id FROM unnest($1::bytea[], $2::uuid[]) AS given (pseudonym, subject_id) ORDER BY pseudonym
    ON CONFLICT DO NOTHING RETURNING 1
), new_subject AS (
    INSERT INTO "{schema}".subject (subject_id, wrapped_dek, dek_epoch)
    SELECT * FROM unnest($3::uuid[], $4::bytea[], $5::int[])
), new_link AS (
    INSERT INTO "{schema}".same_person (low, high)
    SELECT low, high FROM unnest($6::uuid[], $7::uuid[]) AS given (low, high) ORDER BY low, high
    ON CONFLICT DO NOTHING RETURNING low, high
), new_join AS (
    INSERT INTO "{schema}".join_request (event_id, kept, joined)
    SELECT given.event_id, low, high
    FROM new_link JOIN unnest($6::uuid[], $7::uuid[], $8::uuid[]) AS given (low, high, event_id) USING (low, high)
    WHERE given.event_id IS NOT NULL ORDER BY low, high RETURNING 1
)
SELECT (SELECT count(*)::int FROM new_alias), (SELECT count(pg_notify('mk_erasure_joins', '{schema}')) FROM new_join);

-- A fenced subject returns: a new generation with a new key, only where there is no living one. Locked in id order.
-- name: open_generations
WITH erased AS (
    SELECT s.subject_id FROM "{schema}".subject s
    WHERE s.subject_id = ANY ($1::uuid[]) AND s.wrapped_dek IS NULL ORDER BY s.subject_id FOR UPDATE
), opened AS (
    UPDATE "{schema}".subject s SET generation = given.generation, wrapped_dek = given.wrapped_dek, dek_epoch = given.dek_epoch
    FROM unnest($1::uuid[], $2::int[], $3::bytea[], $4::int[], $5::int[])
             AS given (subject_id, generation, wrapped_dek, dek_epoch, erased_through_gen)
    JOIN erased USING (subject_id)
    WHERE s.subject_id = given.subject_id AND s.wrapped_dek IS NULL AND s.erased_through_gen = given.erased_through_gen
    RETURNING 1
)
SELECT count(*)::int FROM opened;

-- The rows, the position by compare-and-set and the outcome, in one statement. $1..$12: columns of message, sorted by id;
-- the time as Unix seconds, exact to the microsecond and a third of the price of a timestamptz for who encodes it.
-- $13 partition, $14 slot, $15 first and $16 next offset; $17..$22 fenced, expired, refused, quarantined, notice,
-- expired_unread; $23 replays. No row moved: another owner has this lane, roll back.
-- name: persist
WITH stored AS (
    INSERT INTO "{schema}".message (id, subject_id, generation, event_type, schema_version, account_id, class, direction,
                                  conversation, message_ref, received_at, body)
    SELECT id, subject_id, generation, event_type, schema_version, account_id, class, direction, conversation, message_ref,
           to_timestamp(received_s), body
    FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::smallint[], $6::uuid[], $7::text[], $8::text[],
                $9::bytea[], $10::bytea[], $11::float8[], $12::bytea[])
         AS given (id, subject_id, generation, event_type, schema_version, account_id, class, direction, conversation,
                   message_ref, received_s, body)
    ON CONFLICT (id) DO NOTHING RETURNING 1
), moved AS (
    UPDATE "{schema}".lane SET position = $16, updated_at = clock_timestamp()
    WHERE partition = $13 AND slot = $14 AND position = $15 RETURNING 1
), counted AS (
    INSERT INTO "{schema}".lane_outcome (partition, first_offset, next_offset, stored, duplicate, fenced, expired, refused,
                                       quarantined, notice, expired_unread, replays)
    SELECT $13, $15, $16, inserted.rows, cardinality($1::uuid[]) - inserted.rows, $17, $18, $19, $20, $21, $22, $23
    FROM (SELECT count(*)::int AS rows FROM stored) inserted, moved
)
SELECT (SELECT count(*)::int FROM stored) AS stored, (SELECT count(*)::int FROM moved) AS moved;

-- Refs of what a person wrote and a fence keeps out: an edit that comes later and names nobody is theirs as well. After the
-- rows, and in order: writers and erasure take them in the same one. $2: how many days.
-- name: keep_out
INSERT INTO "{schema}".tombstone (kind, ref, expires_at)
SELECT 'n', ref, clock_timestamp() + make_interval(days => $2) FROM unnest($1::bytea[]) AS given (ref) ORDER BY ref
ON CONFLICT (kind, ref) DO NOTHING;

-- To read a position no lock is needed: the compare-and-set judges it. One tenant's erasure then delays no other's lanes.
-- name: begin_unlocked
BEGIN; SET LOCAL ROLE "{schema}"; SET LOCAL lock_timeout = {timeout};

-- A lane that has no row yet begins at 0: a slot is never reused, so what lies before the log's start was lost unread.
-- name: create_lane
INSERT INTO "{schema}".lane (partition, slot, position) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING;

-- name: read_lane
SELECT slot, position FROM "{schema}".lane WHERE partition = $1;

-- Reading commands. The access record is committed before anything is shown.
-- name: find_tenant
SELECT tenant_id, name, schema_name, state FROM mk.tenant WHERE name = $1 OR tenant_id::text = $1;

-- name: find_slot
SELECT slot, partitions FROM mk.slot WHERE tenant_id = $1;

-- name: open_access_record
INSERT INTO mk.access_record (tenant_id, who, purpose, object) VALUES ($1, $2, $3, $4) RETURNING id;

-- name: close_access_record
UPDATE mk.access_record SET rows_read = $2, ended_at = clock_timestamp() WHERE id = $1;

-- name: enter_reader
SET LOCAL ROLE "{schema}_read";

-- name: read_epochs
SELECT epoch, root_epoch, wrapped_kek FROM "{schema}".epoch WHERE state <> 'destroyed';

-- Newest first. $1 conversation or null, $2 how many or null for all.
-- name: read_messages
SELECT m.id, m.subject_id, m.generation::int, m.event_type, m.account_id, m.direction, m.conversation, m.received_at,
       m.stored_at, m.body, s.generation::int AS living_generation, s.wrapped_dek, s.dek_epoch, s.rekey_from,
       s.rekey_from_gen::int, s.rekey_from_epoch
FROM "{schema}".message m LEFT JOIN "{schema}".subject s ON s.subject_id = m.subject_id
WHERE $1::bytea IS NULL OR m.conversation = $1
ORDER BY m.received_at DESC, m.id DESC LIMIT $2::bigint;
