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
