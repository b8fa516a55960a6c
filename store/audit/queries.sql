-- Every statement of the audit log.

-- name: append
-- The time is the first member of the canonical entry.
INSERT INTO mk.audit_entry (entry)
VALUES (convert_to('{"at_us":' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || ',' || $1, 'UTF8'))

-- name: try_sequencer
SELECT pg_try_advisory_lock($1)

-- name: has_unplaced
SELECT EXISTS (SELECT FROM mk.audit_entry WHERE leaf IS NULL)

-- name: free_surplus
-- A place that no checkpoint ever gave.
UPDATE mk.audit_entry SET leaf = NULL WHERE leaf >= $1

-- name: unplaced
SELECT id, entry FROM mk.audit_entry WHERE leaf IS NULL ORDER BY id LIMIT $1

-- name: place
UPDATE mk.audit_entry SET leaf = placed.leaf
FROM unnest($1::bigint[], $2::bigint[]) AS placed (id, leaf)
WHERE audit_entry.id = placed.id

-- name: put_checkpoint
INSERT INTO mk.audit_checkpoint (tree_size, root, record, signed_at)
VALUES ($1, $2, $3, to_timestamp($4::double precision / 1000))
ON CONFLICT (tree_size) DO UPDATE
SET root = EXCLUDED.root, record = EXCLUDED.record, signed_at = EXCLUDED.signed_at, anchored_at = NULL

-- name: anchored
UPDATE mk.audit_checkpoint SET anchored_at = clock_timestamp() WHERE tree_size = $1

-- name: checkpoints_from
SELECT tree_size, record FROM mk.audit_checkpoint WHERE tree_size >= $1 ORDER BY tree_size

-- name: largest_checkpoint
SELECT coalesce(max(tree_size), 0) FROM mk.audit_checkpoint

-- name: checkpoint_over
-- The first anchored head of a tree that holds this entry.
SELECT checkpoint.tree_size, checkpoint.root
FROM mk.audit_entry AS entry
JOIN mk.audit_checkpoint AS checkpoint ON checkpoint.tree_size > entry.leaf
WHERE entry.id = $1 AND checkpoint.anchored_at IS NOT NULL
ORDER BY checkpoint.tree_size
LIMIT 1

-- name: newest_checkpoint
SELECT tree_size, root FROM mk.audit_checkpoint
WHERE anchored_at IS NOT NULL
ORDER BY tree_size DESC
LIMIT 1

-- name: entries
SELECT id, leaf, entry FROM mk.audit_entry ORDER BY leaf NULLS LAST, id

-- name: entry_named
SELECT leaf, entry FROM mk.audit_entry WHERE position(convert_to($1, 'UTF8') IN entry) > 0
