-- Every statement of the audit log.

-- name: append
-- The time is the first member of the canonical entry.
INSERT INTO mk.audit_entry (entry)
VALUES (convert_to('{"at_us":' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || ',' || $1, 'UTF8'))
