-- What a restored database still has to delete of requests that are over.

-- Requests with a step whose rows are not all deleted, as the tenant's erase role.
-- name: undeleted
SELECT DISTINCT request_id FROM "{schema}".erasure_step WHERE deleted_at IS NULL;

-- Those that were told to be at their end, as the login. One that is not is driven there by itself.
-- name: over
SELECT request_id FROM mk.erasure_request WHERE request_id = ANY ($1::uuid[]) AND state IN ('live_erased', 'answered')
ORDER BY request_id;
