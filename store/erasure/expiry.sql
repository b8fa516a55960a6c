-- What suppression data keeps people erased is deleted in its own time. As the tenant's erase role unless said otherwise.

-- name: tombstones
DELETE FROM "{schema}".tombstone t USING (
    SELECT kind, ref FROM "{schema}".tombstone WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT $1
) old WHERE t.kind = old.kind AND t.ref = old.ref;

-- Requests of tenant $1 that are not over. As the login.
-- name: open_requests
SELECT request_id FROM mk.erasure_request WHERE tenant_id = $1 AND state NOT IN ('live_erased', 'answered', 'refused');

-- With its step goes this database's copy of a fence. $1 requests that are not over, $2 how long, $3 at most.
-- name: steps
DELETE FROM "{schema}".erasure_step s USING (
    SELECT request_id, subject_id FROM "{schema}".erasure_step
    WHERE executed_at <= clock_timestamp() - $2::interval AND request_id <> ALL ($1::uuid[]) LIMIT $3
) old WHERE s.request_id = old.request_id AND s.subject_id = old.subject_id;

-- name: waiting
SELECT DISTINCT request_id FROM "{schema}".erasure_wait;

-- Of those, the ones that are over: what is over stays so. As the login.
-- name: over
SELECT request_id FROM mk.erasure_request WHERE request_id = ANY ($1::uuid[]) AND state IN ('live_erased', 'answered');

-- name: waits
DELETE FROM "{schema}".erasure_wait WHERE request_id = ANY ($1::uuid[]);

-- People whose fence has served its time: nobody can bring back what was before it. $1 how long, $2 at most.
-- name: old_fences
-- Whose key went with an account has no fence: their time counts from then.
SELECT subject_id FROM "{schema}".subject WHERE executed_at <= clock_timestamp() - $1::interval AND NOT blocked
UNION
SELECT subject_id FROM "{schema}".subject WHERE key_lost_at <= clock_timestamp() - $1::interval AND NOT blocked
LIMIT $2;

-- Alone under the lock, where nobody is erased again meanwhile. Who has no key and no row is forgotten: aliases, links, the
-- subject itself. $2 how long fences are kept.
-- name: gone
SELECT s.subject_id FROM "{schema}".subject s
WHERE s.subject_id = ANY ($1::uuid[]) AND greatest(s.executed_at, s.key_lost_at) <= clock_timestamp() - $2::interval
  AND s.wrapped_dek IS NULL AND s.rekey_from IS NULL
  AND NOT EXISTS (SELECT FROM "{schema}".message m WHERE m.subject_id = s.subject_id);

-- name: forget_aliases
DELETE FROM "{schema}".alias WHERE subject_id = ANY ($1::uuid[]);

-- name: forget_links
DELETE FROM "{schema}".same_person WHERE low = ANY ($1::uuid[]) OR high = ANY ($1::uuid[]);

-- name: forget_subjects
DELETE FROM "{schema}".subject WHERE subject_id = ANY ($1::uuid[]);

-- Who came back keeps what came since; the fence goes, and the time when the key had gone.
-- name: lift_fences
UPDATE "{schema}".subject SET
    watermark = CASE WHEN executed_at > clock_timestamp() - $2::interval THEN watermark END,
    executed_at = CASE WHEN executed_at > clock_timestamp() - $2::interval THEN executed_at END,
    key_lost_at = CASE WHEN key_lost_at > clock_timestamp() - $2::interval OR wrapped_dek IS NULL THEN key_lost_at END
WHERE subject_id = ANY ($1::uuid[])
  AND (executed_at <= clock_timestamp() - $2::interval OR (key_lost_at <= clock_timestamp() - $2::interval AND wrapped_dek IS NOT NULL));

-- Whom and what a request named, once its fences are gone everywhere. As the login. $1 how long, $2 at most.
-- name: requests
UPDATE mk.erasure_request SET pseudonyms = '{}', message_ref = NULL, details = NULL
WHERE request_id IN (
    SELECT request_id FROM mk.erasure_request
    WHERE state IN ('answered', 'refused') AND coalesce(executed_at, decided_at) <= clock_timestamp() - $1::interval
      AND (pseudonyms <> '{}' OR message_ref IS NOT NULL OR details IS NOT NULL) LIMIT $2);
