-- Every statement of the rotation of epochs, of exports and of recovery. {schema} is a name the custodian made; $n are
-- parameters. The tenant's lock is always taken in a statement of its own, before what it protects is read
-- (PRIVACY.md section 3: READ COMMITTED takes a new snapshot for each statement).

-- name: lock_alone
SELECT pg_advisory_xact_lock($1)

-- name: lock_shared
SELECT pg_advisory_xact_lock_shared($1)

-- name: short_wait
-- Writers that come after a waiting flip wait behind it: it gives up before they notice, and the next pass tries again.
SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '30s'

-- name: rotation_due
SELECT r.epoch, (SELECT max(epoch) FROM mk.root_epoch) AS newest,
    r.created_at + $1::interval <= clock_timestamp()
    OR EXISTS (SELECT FROM mk.key_request q WHERE q.kind = 'rotate' AND q.root_epoch IS NULL) AS due,
    extract(epoch FROM clock_timestamp() - r.created_at)::float8 AS age_s
FROM mk.root_epoch r WHERE r.state = 'current'

-- name: current_root_alone
SELECT epoch FROM mk.root_epoch WHERE state = 'current' FOR UPDATE

-- name: current_root_shared
SELECT epoch FROM mk.root_epoch WHERE state = 'current' FOR SHARE

-- name: retire_root
UPDATE mk.root_epoch SET state = 'retiring', flipped_at = clock_timestamp(), waits_for = 'rewrap' WHERE epoch = $1 AND state = 'current'

-- name: insert_root
INSERT INTO mk.root_epoch (epoch, state) VALUES ($1, 'current')

-- name: take_requests
UPDATE mk.key_request SET root_epoch = $1 WHERE kind = 'rotate' AND root_epoch IS NULL

-- name: retiring_roots
SELECT epoch, rewrapped_at, rewrapped_lsn::text AS rewrapped_lsn FROM mk.root_epoch WHERE state = 'retiring' ORDER BY epoch

-- name: tenants
SELECT tenant_id, schema_name FROM mk.tenant WHERE state <> 'requested' ORDER BY tenant_id

-- name: tenants_behind
SELECT count(*) FROM mk.tenant t WHERE t.state <> 'requested' AND NOT EXISTS (
    SELECT FROM mk.tenant_migration m WHERE m.tenant_id = t.tenant_id AND m.number = $1)

-- name: tenant_epochs
SELECT epoch, root_epoch, wrapped_kek, state FROM {schema}.epoch WHERE state <> 'destroyed' ORDER BY epoch

-- name: retire_epoch
UPDATE {schema}.epoch SET state = 'retiring' WHERE epoch = $1 AND state = 'current' RETURNING epoch

-- name: insert_epoch
INSERT INTO {schema}.epoch (epoch, root_epoch, wrapped_kek, state) VALUES ($1, $2, $3, 'current')

-- name: current_epoch
SELECT epoch FROM {schema}.epoch WHERE state = 'current'

-- name: subject_page
-- By the primary key whatever the statistics say: the filter on the epoch is the caller's. One page, one range scan.
SELECT subject_id, generation::int AS generation, wrapped_dek, dek_epoch FROM {schema}.subject
WHERE subject_id > $1 ORDER BY subject_id LIMIT $2

-- name: rewrap_subjects
-- Compare-and-set on the old bytes: `WHERE subject_id` alone, or with the epoch, brings back keys that were erased since.
UPDATE {schema}.subject s SET wrapped_dek = given.new, dek_epoch = $4
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS given (subject_id, old, new)
WHERE s.subject_id = given.subject_id AND s.wrapped_dek = given.old
RETURNING s.subject_id, s.generation::int AS generation, s.wrapped_dek, s.dek_epoch

-- name: pseudonym_key
SELECT epoch, wrapped FROM {schema}.pseudonym_key WHERE epoch = $1

-- name: rewrap_pseudonym_key
UPDATE {schema}.pseudonym_key SET epoch = $3, wrapped = $4 WHERE epoch = $1 AND wrapped = $2 RETURNING wrapped

-- name: evidence_key_page
SELECT key_id, purpose, epoch, wrapped FROM {schema}.evidence_key
WHERE key_id > $1 AND epoch = ANY ($2::int[]) AND wrapped IS NOT NULL ORDER BY key_id LIMIT $3

-- name: rewrap_evidence_keys
UPDATE {schema}.evidence_key k SET wrapped = given.new, epoch = $4
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS given (key_id, old, new)
WHERE k.key_id = given.key_id AND k.wrapped = given.old
RETURNING k.key_id, k.purpose, k.wrapped

-- name: still_named
-- Whatever names the tenant epoch $1: nothing may, before the root epoch over it is destroyed.
SELECT EXISTS (SELECT FROM {schema}.subject WHERE dek_epoch = $1 AND wrapped_dek IS NOT NULL)
    OR EXISTS (SELECT FROM {schema}.subject WHERE rekey_from IS NOT NULL AND rekey_from_epoch = $1)
    OR EXISTS (SELECT FROM {schema}.pseudonym_key WHERE epoch = $1)
    OR EXISTS (SELECT FROM {schema}.evidence_key WHERE epoch = $1 AND wrapped IS NOT NULL)

-- name: rekey_due
-- Marked subjects with a key of an epoch that retires, and those whose rewriting has begun.
SELECT subject_id FROM {schema}.subject
WHERE (rekey AND wrapped_dek IS NOT NULL AND dek_epoch <> $1) OR rekey_from IS NOT NULL ORDER BY subject_id LIMIT $2

-- name: rekey_subjects
SELECT subject_id, generation::int AS generation, wrapped_dek, dek_epoch, rekey, rekey_from,
    rekey_from_gen::int AS rekey_from_gen, rekey_from_epoch
FROM {schema}.subject WHERE subject_id = $1

-- name: begin_rekey
UPDATE {schema}.subject SET generation = generation + 1, wrapped_dek = $3, dek_epoch = $4, rekey = false,
    rekey_from = wrapped_dek, rekey_from_gen = generation, rekey_from_epoch = dek_epoch
WHERE subject_id = $1 AND wrapped_dek = $2 AND rekey AND rekey_from IS NULL RETURNING generation::int

-- name: clear_rekey_mark
UPDATE {schema}.subject SET rekey = false WHERE subject_id = $1 AND wrapped_dek IS NULL AND rekey

-- name: cells_of_generation
SELECT id, body FROM {schema}.message WHERE subject_id = $1 AND generation = $2 ORDER BY id LIMIT $3

-- name: rewrite_cells
UPDATE {schema}.message m SET generation = $4, body = given.new
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS given (id, old, new)
WHERE m.id = given.id AND m.body = given.old AND m.generation = $5

-- name: end_rekey
UPDATE {schema}.subject SET rekey_from = NULL, rekey_from_gen = NULL, rekey_from_epoch = NULL
WHERE subject_id = $1 AND rekey_from = $2

-- name: rewrapped
UPDATE mk.root_epoch SET rewrapped_at = clock_timestamp(), rewrapped_lsn = pg_current_wal_insert_lsn(), waits_for = 'export'
WHERE epoch = $1 AND state = 'retiring' AND rewrapped_at IS NULL

-- name: not_rewrapped
UPDATE mk.root_epoch SET rewrapped_at = NULL, rewrapped_lsn = NULL, waits_for = 'rewrap' WHERE epoch = $1 AND state = 'retiring'

-- name: waits_for
UPDATE mk.root_epoch SET waits_for = $2 WHERE epoch = $1 AND state = 'retiring' AND waits_for IS DISTINCT FROM $2

-- name: is_archived
-- Whether the WAL archive, where there is one, holds everything up to $1: the segment that follows it was begun after.
SELECT current_setting('archive_mode') = 'off' OR EXISTS (
    SELECT FROM pg_stat_archiver WHERE last_archived_wal ~ '^[0-9A-F]{24}'
        AND substr(last_archived_wal, 9, 16) >= substr(pg_walfile_name($1::text::pg_lsn), 9, 16))

-- name: read_statistics
SET LOCAL ROLE pg_read_all_stats

-- name: standbys_behind
-- Standbys that are connected and have not replayed up to $1, or whose state is hidden; slots of absent ones.
SELECT (SELECT count(*) FROM pg_stat_replication
        WHERE state IS NULL OR (state <> 'backup' AND (replay_lsn IS NULL OR replay_lsn < $1::text::pg_lsn)))
     + (SELECT count(*) FROM pg_replication_slots
        WHERE slot_type = 'physical' AND (restart_lsn IS NULL OR restart_lsn < $1::text::pg_lsn))

-- name: may_read_statistics
SELECT pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER')

-- name: verified_since
SELECT EXISTS (SELECT FROM mk.key_export WHERE begun_at >= $1 AND removed_at IS NULL AND root_epoch > $2)

-- name: destroy_epochs_under
UPDATE {schema}.epoch SET state = 'destroyed', wrapped_kek = '' WHERE root_epoch = $1 AND state = 'retiring'

-- name: root_destroyed
UPDATE mk.root_epoch SET state = 'destroyed', destroyed_at = clock_timestamp(), waits_for = NULL WHERE epoch = $1 AND state = 'retiring'

-- name: requests_done
UPDATE mk.key_request SET ended_at = clock_timestamp() WHERE kind = 'rotate' AND root_epoch = $1 AND ended_at IS NULL

-- name: export_due
SELECT NOT EXISTS (SELECT FROM mk.key_export WHERE begun_at + $1::interval > clock_timestamp() AND removed_at IS NULL)
    OR EXISTS (SELECT FROM mk.key_request WHERE kind = 'export' AND ended_at IS NULL)
    OR EXISTS (
        SELECT FROM mk.root_epoch r WHERE r.state = 'retiring' AND r.rewrapped_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM mk.key_export e WHERE e.begun_at >= r.rewrapped_at AND e.root_epoch > r.epoch AND e.removed_at IS NULL)) AS due,
    (SELECT extract(epoch FROM clock_timestamp() - max(begun_at))::float8 FROM mk.key_export WHERE removed_at IS NULL) AS age_s

-- name: clock
SELECT clock_timestamp()

-- name: export_roots
SELECT epoch, state, created_at FROM mk.root_epoch ORDER BY epoch

-- name: export_epochs
SELECT epoch, root_epoch, wrapped_kek, state, created_at FROM {schema}.epoch

-- name: export_pseudonym_key
SELECT epoch, wrapped FROM {schema}.pseudonym_key

-- name: export_subjects
SELECT subject_id, generation, erased_through_gen, wrapped_dek, dek_epoch, rekey, rekey_from, rekey_from_gen,
    rekey_from_epoch, watermark, executed_at, blocked FROM {schema}.subject

-- name: export_evidence_keys
SELECT key_id, epoch, wrapped, destroyed_at FROM {schema}.evidence_key

-- name: sample_cell
SELECT m.id, m.subject_id, m.generation::int AS generation, m.body, s.dek_epoch
FROM {schema}.message m JOIN {schema}.subject s ON s.subject_id = m.subject_id AND s.generation = m.generation
WHERE s.wrapped_dek IS NOT NULL LIMIT 1

-- name: record_export
INSERT INTO mk.key_export (name, root_epoch, begun_at, sha256, bytes, subjects, cells_read) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: export_requests_done
UPDATE mk.key_request SET ended_at = clock_timestamp() WHERE kind = 'export' AND ended_at IS NULL AND requested_at <= $1

-- name: old_exports
SELECT name FROM mk.key_export WHERE removed_at IS NULL AND begun_at + $1::interval < clock_timestamp()

-- name: export_removed
UPDATE mk.key_export SET removed_at = clock_timestamp() WHERE name = $1

-- name: request
INSERT INTO mk.key_request (kind, requested_by) VALUES ($1, $2) RETURNING id

-- name: request_ended
SELECT ended_at IS NOT NULL FROM mk.key_request WHERE id = $1

-- name: roots
SELECT epoch, state, created_at, flipped_at, rewrapped_at, waits_for, destroyed_at FROM mk.root_epoch ORDER BY epoch

-- name: exports
SELECT name, root_epoch, begun_at, bytes, subjects, cells_read FROM mk.key_export WHERE removed_at IS NULL ORDER BY begun_at DESC

-- name: open_requests
SELECT id, kind, requested_by, requested_at, root_epoch FROM mk.key_request WHERE ended_at IS NULL ORDER BY id

-- name: make_recovered
CREATE TABLE {schema}.recovered_epoch (epoch integer PRIMARY KEY, root_epoch integer, wrapped_kek bytea, state text, created_at timestamptz);
CREATE TABLE {schema}.recovered_pseudonym_key (epoch integer, wrapped bytea);
CREATE TABLE {schema}.recovered_evidence_key (key_id uuid PRIMARY KEY, epoch integer, wrapped bytea, destroyed_at timestamptz);
CREATE TABLE {schema}.recovered_subject (subject_id uuid PRIMARY KEY, generation smallint, erased_through_gen smallint,
    wrapped_dek bytea, dek_epoch integer, rekey boolean, rekey_from bytea, rekey_from_gen smallint, rekey_from_epoch integer,
    watermark timestamptz, executed_at timestamptz, blocked boolean)

-- name: drop_recovered
DROP TABLE {schema}.recovered_epoch, {schema}.recovered_pseudonym_key, {schema}.recovered_evidence_key, {schema}.recovered_subject

-- name: recover_demote
UPDATE {schema}.epoch SET state = 'retiring' WHERE state = 'current'
    AND epoch < (SELECT max(epoch) FROM {schema}.recovered_epoch WHERE state = 'current')

-- name: recover_epochs
-- Where the database knows as much or more, nothing happens: an epoch's rows are only ever added and retired.
INSERT INTO {schema}.epoch AS e (epoch, root_epoch, wrapped_kek, state, created_at)
SELECT r.epoch, r.root_epoch, r.wrapped_kek, r.state, r.created_at FROM {schema}.recovered_epoch r
WHERE NOT EXISTS (SELECT FROM {schema}.epoch n WHERE n.epoch >= r.epoch)
ON CONFLICT (epoch) DO NOTHING

-- name: recover_pseudonym_key
UPDATE {schema}.pseudonym_key p SET epoch = r.epoch, wrapped = r.wrapped
FROM {schema}.recovered_pseudonym_key r WHERE p.epoch < r.epoch

-- name: recover_evidence_keys
-- One that was destroyed, as either of them knows, stays so; else the later epoch's wrap counts.
UPDATE {schema}.evidence_key k SET epoch = r.epoch, wrapped = r.wrapped, destroyed_at = r.destroyed_at
FROM {schema}.recovered_evidence_key r
WHERE r.key_id = k.key_id AND k.wrapped IS NOT NULL AND (r.wrapped IS NULL OR r.epoch > k.epoch)

-- name: recover_subjects
-- A key is taken where the export has it under a later epoch, an erasure where the export knows a later one; an erasure
-- that only the database knows stands.
UPDATE {schema}.subject s SET generation = r.generation, erased_through_gen = r.erased_through_gen,
    wrapped_dek = r.wrapped_dek, dek_epoch = r.dek_epoch, rekey = r.rekey OR s.rekey, rekey_from = r.rekey_from,
    rekey_from_gen = r.rekey_from_gen, rekey_from_epoch = r.rekey_from_epoch,
    watermark = greatest(s.watermark, r.watermark), executed_at = greatest(s.executed_at, r.executed_at),
    blocked = s.blocked OR r.blocked
FROM {schema}.recovered_subject r
WHERE r.subject_id = s.subject_id AND r.generation >= s.generation AND r.erased_through_gen >= s.erased_through_gen
  AND (r.erased_through_gen > s.erased_through_gen
       OR (r.wrapped_dek IS NOT NULL AND (s.wrapped_dek IS NULL AND r.generation > s.generation OR r.dek_epoch > s.dek_epoch)))

-- name: lost_keys
WITH named AS (
    SELECT dek_epoch AS epoch FROM {schema}.subject WHERE wrapped_dek IS NOT NULL
    UNION ALL SELECT epoch FROM {schema}.evidence_key WHERE wrapped IS NOT NULL)
SELECT count(*) FROM named WHERE NOT EXISTS (
    SELECT FROM {schema}.epoch e WHERE e.epoch = named.epoch AND e.state <> 'destroyed' AND e.root_epoch = ANY ($1::int[]))

-- name: recover_demote_root
UPDATE mk.root_epoch SET state = 'retiring', flipped_at = coalesce(flipped_at, clock_timestamp()), waits_for = 'rewrap'
WHERE state = 'current' AND epoch < $1

-- name: recover_root
INSERT INTO mk.root_epoch (epoch, state, created_at) VALUES ($1, $2, $3) ON CONFLICT (epoch) DO NOTHING

-- name: roots_gone
UPDATE mk.root_epoch SET state = 'destroyed', destroyed_at = clock_timestamp(), waits_for = NULL
WHERE state = 'retiring' AND NOT epoch = ANY ($1::int[])

-- name: epochs_gone
UPDATE {schema}.epoch SET state = 'destroyed', wrapped_kek = ''
WHERE state = 'retiring' AND NOT root_epoch = ANY ($1::int[])

-- name: has_schema
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)
