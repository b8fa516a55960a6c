-- What a callback about an administrator starts and ends, as the login mk_erasure.

-- Connected or not: who was disconnected a minute ago is the same administrator. $1: hex of the keyed hash. $2: when
-- Meta issued it, with the slack of two clocks: who comes back later has given a new consent, which it is not about.
-- name: accounts_of
SELECT a.account_id, a.tenant_id FROM mk.account_id i JOIN mk.account a USING (account_id)
WHERE i.kind = 'app_scoped_user' AND i.value = $1 AND a.connected_at <= $2 ORDER BY a.account_id;

-- An account's own request, as if it had been asked for: restricted from the callback's receipt on, told, decided, executed.
-- name: start
INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, account_id, requested_at, received_at)
VALUES ($1, $2, 'account', $3, $4, $5, $6, $7) ON CONFLICT (request_id) DO NOTHING RETURNING 1;

-- $1: the ids of the accounts' requests.
-- name: started
SELECT state, reason, state = 'decided' AND approved_by IS NULL AND execute_after > clock_timestamp() AS is_restricted
FROM mk.erasure_request WHERE request_id = ANY ($1::uuid[]);

-- name: forget_administrator
SELECT mk.forget_administrator($1);

-- The request's own row names nobody any more.
-- name: forget
UPDATE mk.erasure_request SET pseudonyms = '{}' WHERE request_id = $1;
