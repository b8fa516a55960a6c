-- Every statement of the audit log.

-- name: append
-- The time is the first member of the canonical entry.
INSERT INTO mk.audit_entry (entry)
VALUES (convert_to('{"at_us":' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || ',' || $1, 'UTF8'))

-- name: try_sequencer
SELECT pg_try_advisory_lock($1)

-- name: leave_sequencer
SELECT pg_advisory_unlock($1)

-- name: free_surplus
-- A place that no checkpoint ever gave.
UPDATE mk.audit_entry SET leaf = NULL WHERE leaf >= $1

-- name: unplaced
SELECT id, entry FROM mk.audit_entry WHERE leaf IS NULL ORDER BY id LIMIT $1

-- Seconds since the oldest entry without a place was appended, or the newest head was signed that is not anchored; null: neither.
-- name: oldest_waiting
SELECT extract(epoch FROM clock_timestamp() - least(
    (SELECT min(appended_at) FROM mk.audit_entry WHERE leaf IS NULL),
    (SELECT signed_at FROM (
        SELECT signed_at, anchored_at FROM mk.audit_checkpoint WHERE dropped_at IS NULL ORDER BY tree_size DESC LIMIT 1
    ) newest WHERE anchored_at IS NULL)
))::float8

-- name: place
UPDATE mk.audit_entry SET leaf = placed.leaf
FROM unnest($1::bigint[], $2::bigint[]) AS placed (id, leaf)
WHERE audit_entry.id = placed.id

-- name: put_checkpoint
INSERT INTO mk.audit_checkpoint (tree_size, root, record, signed_at, signed, key_id)
VALUES ($1, $2, $3, to_timestamp($4::double precision / 1000), $5, $6)
ON CONFLICT (tree_size) DO UPDATE
SET root = EXCLUDED.root, record = EXCLUDED.record, signed_at = EXCLUDED.signed_at, signed = EXCLUDED.signed,
    key_id = EXCLUDED.key_id, anchored_at = NULL, dropped_at = NULL

-- name: anchored
UPDATE mk.audit_checkpoint SET anchored_at = clock_timestamp() WHERE tree_size = $1 AND anchored_at IS NULL

-- Heads above a size, as they are kept.
-- name: heads_above
SELECT tree_size, signed, key_id FROM mk.audit_checkpoint WHERE tree_size > $1 AND dropped_at IS NULL ORDER BY tree_size

-- name: head_at
SELECT signed FROM mk.audit_checkpoint WHERE tree_size = $1 AND dropped_at IS NULL

-- name: root_at
SELECT root FROM mk.audit_checkpoint WHERE tree_size = $1 AND dropped_at IS NULL

-- Whether the head of $1 entries is not kept, or one before it without its signature.
-- name: lacks_heads
SELECT NOT EXISTS (SELECT FROM mk.audit_checkpoint WHERE tree_size = $1 AND dropped_at IS NULL)
    OR EXISTS (SELECT FROM mk.audit_checkpoint WHERE tree_size <= $1 AND signed IS NULL AND dropped_at IS NULL)

-- name: largest_checkpoint
SELECT coalesce(max(tree_size), 0) FROM mk.audit_checkpoint WHERE dropped_at IS NULL

-- name: drop_heads
UPDATE mk.audit_checkpoint SET dropped_at = clock_timestamp() WHERE tree_size > $1 AND dropped_at IS NULL

-- name: placed_from
SELECT leaf, entry FROM mk.audit_entry WHERE leaf >= $1 ORDER BY leaf

-- Entries of one kind that have a place: $1 is its slug.
-- name: placed_of_kind
SELECT leaf, entry FROM mk.audit_entry
WHERE leaf IS NOT NULL AND position(convert_to('"what":"' || $1 || '"', 'UTF8') IN entry) > 0 ORDER BY leaf

-- name: entries
SELECT id, leaf, entry FROM mk.audit_entry ORDER BY leaf NULLS LAST, id

-- name: entry_named
SELECT leaf, entry FROM mk.audit_entry WHERE position(convert_to($1, 'UTF8') IN entry) > 0

-- name: now
SELECT clock_timestamp()

-- name: head_over
-- The newest anchored head, if every entry written by $1 is in its tree.
WITH head AS (
    SELECT tree_size, root FROM mk.audit_checkpoint WHERE anchored_at IS NOT NULL AND dropped_at IS NULL
    ORDER BY tree_size DESC LIMIT 1
)
SELECT head.tree_size, head.root FROM head
WHERE NOT EXISTS (
    SELECT FROM mk.audit_entry WHERE (leaf IS NULL OR leaf >= head.tree_size) AND appended_at <= $1
)
