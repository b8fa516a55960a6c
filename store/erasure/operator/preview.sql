-- What an erasure would take, counted as a tenant's read role in one snapshot.

-- name: snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: pseudonym_key
SELECT e.epoch, e.root_epoch, e.wrapped_kek, p.wrapped FROM "{schema}".pseudonym_key p
JOIN "{schema}".epoch e ON e.epoch = p.epoch;

-- name: owners
SELECT pseudonym, subject_id FROM "{schema}".alias WHERE pseudonym = ANY ($1::bytea[]);

-- name: linked
WITH RECURSIVE reached (subject_id) AS (
    SELECT unnest($1::uuid[])
    UNION
    SELECT next.subject_id
    FROM reached CROSS JOIN LATERAL (
        SELECT p.high AS subject_id FROM "{schema}".same_person p WHERE p.low = reached.subject_id
        UNION ALL
        SELECT p.low FROM "{schema}".same_person p WHERE p.high = reached.subject_id
    ) next
)
SELECT subject_id FROM reached ORDER BY subject_id;

-- Rows by table partition.
-- name: rows
SELECT c.relname AS partition, counted.rows
FROM (
    SELECT m.tableoid, count(*) AS rows FROM "{schema}".message m WHERE m.subject_id = ANY ($1::uuid[]) GROUP BY m.tableoid
) counted JOIN pg_class c ON c.oid = counted.tableoid ORDER BY c.relname;

-- name: undated
SELECT count(*) FROM "{schema}".message WHERE subject_id = ANY ($1::uuid[]) AND id < $2;

-- name: aliases
SELECT pseudonym FROM "{schema}".alias WHERE subject_id = ANY ($1::uuid[]) ORDER BY pseudonym;

-- name: living_keys
SELECT count(*) FROM "{schema}".subject WHERE subject_id = ANY ($1::uuid[]) AND wrapped_dek IS NOT NULL;

-- name: slot
SELECT slot, partitions FROM mk.slot WHERE tenant_id = $1;

-- One message: every event with the ref $1 but those of the types $2.
-- name: message_rows
SELECT c.relname AS partition, counted.rows
FROM (
    SELECT m.tableoid, count(*) AS rows FROM "{schema}".message m
    WHERE m.message_ref = $1 AND m.event_type <> ALL ($2::text[]) GROUP BY m.tableoid
) counted JOIN pg_class c ON c.oid = counted.tableoid ORDER BY c.relname;

-- Nobody's key goes now: it is replaced at the next flip.
-- name: message_subjects
SELECT count(DISTINCT m.subject_id) AS subjects, 0 AS keys FROM "{schema}".message m
WHERE m.message_ref = $1 AND m.event_type <> ALL ($2::text[]);

-- name: account_rows
SELECT c.relname AS partition, counted.rows
FROM (
    SELECT m.tableoid, count(*) AS rows FROM "{schema}".message m WHERE m.account_id = $1 GROUP BY m.tableoid
) counted JOIN pg_class c ON c.oid = counted.tableoid ORDER BY c.relname;

-- Whose key goes has rows of no other account, as the erasure judges it.
-- name: account_subjects
SELECT count(*) AS subjects, count(*) FILTER (WHERE s.wrapped_dek IS NOT NULL AND NOT EXISTS (
    SELECT FROM "{schema}".message o
    WHERE o.subject_id = s.subject_id AND o.account_id <> $1 AND o.generation > s.erased_through_gen)) AS keys
FROM "{schema}".subject s
WHERE s.subject_id IN (SELECT m.subject_id FROM "{schema}".message m WHERE m.account_id = $1);

-- What a request is of, and how far it is. As the login.
-- name: request
SELECT tenant_id, kind, origin, state, pseudonyms, message_ref, account_id FROM mk.erasure_request WHERE request_id = $1;
