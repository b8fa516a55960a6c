-- What still holds a copy of somebody who was erased: keys and their ages. As a login that may read schema mk.

-- Root epochs that wrapped anything at $1 and are not destroyed yet, or can be had back: $2 how long the key provider's
-- own backups hold what it destroyed.
-- name: roots
SELECT epoch, state, created_at, flipped_at, waits_for, destroyed_at FROM mk.root_epoch
WHERE (state <> 'destroyed' OR destroyed_at + $2::interval > clock_timestamp()) AND created_at <= $1 ORDER BY epoch;

-- Transport keys of the recipients $2 that anything may have been sealed to at $1, and whose private half is still there:
-- $3 how long it can be had after `seal_until`, in the key provider or its backups.
-- name: transport_keys
SELECT recipient, key_id, active_from, seal_until FROM mk.transport_key
WHERE recipient = ANY ($2::text[]) AND active_from <= $1 AND seal_until + $3::interval > clock_timestamp()
ORDER BY seal_until;

-- name: slot
SELECT slot, partitions FROM mk.slot WHERE tenant_id = $1;

-- name: now
SELECT clock_timestamp();
