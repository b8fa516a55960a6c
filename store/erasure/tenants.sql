-- A tenant as erasure enters it. The lock stands in a statement of its own before every read: READ COMMITTED takes a new
-- snapshot for each statement, so what is read after it was committed before it was granted (PRIVACY.md section 3).

-- name: tenant
SELECT t.tenant_id, t.schema_name, t.state, s.slot, s.partitions, s.state AS slot_state
FROM mk.tenant t LEFT JOIN mk.slot s ON s.tenant_id = t.tenant_id
WHERE t.tenant_id = $1 AND t.state <> 'requested';

-- One simple query inside a transaction. `{lock}` and `{timeout}` (milliseconds) are integers.
-- name: enter_alone
SET LOCAL lock_timeout = {timeout}; SELECT pg_advisory_xact_lock({lock}); SET LOCAL ROLE "{schema}_erase";

-- What no writer minds: deletes, progress, what is read for a report.
-- name: enter
SET LOCAL lock_timeout = '5s'; SET LOCAL ROLE "{schema}_erase";

-- name: leave
RESET ROLE;

-- name: epochs
SELECT e.epoch, e.root_epoch, e.wrapped_kek, p.wrapped FROM "{schema}".pseudonym_key p
JOIN "{schema}".epoch e ON e.epoch = p.epoch;
