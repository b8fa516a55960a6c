-- What `mkc receipt verify --live` looks for, as the login mk_reader and in a tenant's schema as its read role.

-- name: request
SELECT tenant_id, state, receipt, executed_at FROM mk.erasure_request WHERE request_id = $1;

-- name: tenant
SELECT schema_name FROM mk.tenant WHERE tenant_id = $1;

-- name: slot
SELECT slot, partitions FROM mk.slot WHERE tenant_id = $1;

-- name: enter
SET LOCAL ROLE "{schema}_read";

-- name: steps
SELECT subject_id, erased_through_gen::int, watermark, fence FROM "{schema}".erasure_step WHERE request_id = $1;

-- Keys of erased generations that are still there, rows of them, and identifiers that are not fenced.
-- name: left_of_subject
SELECT (SELECT count(*) FROM "{schema}".subject s WHERE s.subject_id = $1
        AND ((s.wrapped_dek IS NOT NULL AND s.generation <= $2) OR (s.rekey_from IS NOT NULL AND s.rekey_from_gen <= $2)
             OR s.erased_through_gen < $2)) AS keys,
       (SELECT count(*) FROM "{schema}".message m WHERE m.subject_id = $1 AND m.generation <= $2) AS rows,
       (SELECT count(*) FROM unnest($3::bytea[]) AS named (pseudonym)
        LEFT JOIN "{schema}".alias a USING (pseudonym) LEFT JOIN "{schema}".subject s ON s.subject_id = a.subject_id
        WHERE coalesce(s.erased_through_gen, 0) = 0 OR s.watermark < $4) AS aliases;

-- Rows of an erased message, and refs without their tombstone. $3: what erasing a message leaves; $4: refs of what erased people
-- wrote, whose rows are counted with the people.
-- name: left_of_refs
SELECT (SELECT count(*) FROM "{schema}".message m WHERE m.message_ref = ANY ($1::bytea[]) AND m.event_type <> ALL ($3)) AS rows,
       (SELECT count(*) FROM unnest($1::bytea[]) AS named (ref) WHERE NOT EXISTS (
           SELECT FROM "{schema}".tombstone t WHERE t.kind = 'r' AND t.ref = named.ref))
       + (SELECT count(*) FROM unnest($2::bytea[]) AS named (ref) WHERE NOT EXISTS (
           SELECT FROM "{schema}".tombstone t WHERE t.kind = 'e' AND t.ref = named.ref))
       + (SELECT count(*) FROM unnest($4::bytea[]) AS named (ref) WHERE NOT EXISTS (
           SELECT FROM "{schema}".tombstone t WHERE t.kind = 'n' AND t.ref = named.ref)) AS tombstones;

-- name: living_keys
SELECT subject_id, generation::int, wrapped_dek AS wrapped, dek_epoch AS epoch FROM "{schema}".subject
WHERE wrapped_dek IS NOT NULL
UNION ALL
SELECT subject_id, rekey_from_gen::int, rekey_from, rekey_from_epoch FROM "{schema}".subject WHERE rekey_from IS NOT NULL;

-- Epochs that already wrapped keys at the execution and are not destroyed: an old copy of the person's wrapped key, from the
-- WAL or a backup, opens until the last of them is.
-- name: old_epochs
SELECT epoch, root_epoch FROM "{schema}".epoch WHERE state <> 'destroyed' AND created_at <= $1 ORDER BY epoch;

-- name: epochs
SELECT epoch, root_epoch, wrapped_kek FROM "{schema}".epoch WHERE state <> 'destroyed';

-- name: sample
SELECT id, subject_id, generation::int, body FROM "{schema}".message ORDER BY random() LIMIT $1;

-- name: erased_through
SELECT subject_id, erased_through_gen::int FROM "{schema}".subject WHERE erased_through_gen > 0;
