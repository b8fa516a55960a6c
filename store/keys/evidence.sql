-- Statements of evidence keys, run inside a tenant by its `_erase` role. {schema} is a name the custodian made.

-- name: epoch_to_wrap_under
SELECT epoch, root_epoch, wrapped_kek FROM {schema}.epoch WHERE state = 'current'

-- name: insert_evidence_key
INSERT INTO {schema}.evidence_key (key_id, purpose, epoch, wrapped) VALUES ($1, $2, $3, $4)

-- name: evidence_key
SELECT k.purpose, k.epoch, k.wrapped, e.root_epoch, e.wrapped_kek
FROM {schema}.evidence_key k LEFT JOIN {schema}.epoch e USING (epoch) WHERE k.key_id = $1

-- name: destroy_evidence_key
UPDATE {schema}.evidence_key SET wrapped = NULL, epoch = NULL, destroyed_at = clock_timestamp()
WHERE key_id = $1 AND wrapped IS NOT NULL
