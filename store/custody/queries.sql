-- Every statement of the custodian and of the operator's commands. $n are parameters; {names} are replaced only by
-- names and bounds that the custodian made itself.

-- name: try_custody
SELECT pg_try_advisory_lock($1)

-- name: end_custody
SELECT pg_advisory_unlock($1)

-- name: wake_custodian
SELECT pg_notify('mk_custodian', '')

-- name: ensure_first_root_epoch
INSERT INTO mk.root_epoch (epoch, state)
SELECT 1, 'current' WHERE NOT EXISTS (SELECT FROM mk.root_epoch)
ON CONFLICT DO NOTHING

-- name: current_root_epoch
SELECT epoch FROM mk.root_epoch WHERE state = 'current'

-- name: root_epoch_shared
-- Held until the tenant's KEK is committed: a flip of the root takes the row alone.
SELECT epoch FROM mk.root_epoch WHERE state = 'current' FOR SHARE

-- name: slot_counts
SELECT partitions, count(*) FILTER (WHERE state = 'free') AS free, count(*) FILTER (WHERE state = 'creating') AS creating
FROM mk.slot GROUP BY partitions

-- name: begin_slot
INSERT INTO mk.slot (slot, partitions, state) VALUES ($1, $2, 'creating')

-- name: slots_in_creation
SELECT slot, partitions FROM mk.slot WHERE state = 'creating' ORDER BY created_at, slot

-- name: slots_with_topics
SELECT slot, partitions FROM mk.slot WHERE state IN ('free', 'bound', 'draining') ORDER BY created_at, slot

-- name: slots_with_access
SELECT slot FROM mk.slot WHERE state IN ('free', 'bound', 'draining') ORDER BY slot

-- name: free_slot
UPDATE mk.slot SET state = 'free' WHERE slot = $1 AND state = 'creating'

-- name: bind_slot
UPDATE mk.slot SET state = 'bound', tenant_id = $1
WHERE slot = (
    SELECT slot FROM mk.slot WHERE state = 'free' AND partitions = $2
    ORDER BY created_at, slot LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING slot

-- name: announced_slots
SELECT slot, partitions, state, tenant_id FROM mk.slot WHERE state <> 'creating' ORDER BY created_at, slot

-- name: slot_of_tenant
SELECT slot, partitions, state, tenant_id FROM mk.slot WHERE tenant_id = $1

-- name: unfinished_tenants
SELECT tenant_id, state FROM mk.tenant WHERE state IN ('requested', 'provisioned') ORDER BY requested_at, tenant_id

-- name: lock_requested_tenant
SELECT schema_name, partitions, period FROM mk.tenant WHERE tenant_id = $1 AND state = 'requested' FOR UPDATE

-- name: tenant_provisioned
UPDATE mk.tenant SET state = 'provisioned' WHERE tenant_id = $1 AND state = 'requested'

-- name: tenant_ready
UPDATE mk.tenant SET state = 'ready', ready_at = clock_timestamp()
WHERE tenant_id = $1 AND state = 'provisioned'
RETURNING extract(epoch FROM ready_at - requested_at)::float8

-- name: tenant_for_control
SELECT t.tenant_id, t.state, t.schema_name, s.slot, s.partitions
FROM mk.tenant t JOIN mk.slot s USING (tenant_id) WHERE t.tenant_id = $1

-- name: tenants_for_control
SELECT t.tenant_id, t.state, t.schema_name, s.slot, s.partitions
FROM mk.tenant t JOIN mk.slot s USING (tenant_id) WHERE t.state IN ('ready', 'paused', 'leaving')
ORDER BY t.requested_at, t.tenant_id

-- name: provisioned_tenants
SELECT tenant_id, schema_name, period FROM mk.tenant WHERE state IN ('provisioned', 'ready', 'paused')
ORDER BY tenant_id

-- name: tenant_states
SELECT state, count(*) FROM mk.tenant GROUP BY state

-- name: role_exists
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)

-- name: create_role
CREATE ROLE {role} NOLOGIN NOINHERIT

-- name: grant_role
GRANT {role} TO {login}

-- name: become_owner
SET LOCAL ROLE mk_owner

-- name: become_oneself
SET LOCAL ROLE NONE

-- name: insert_epoch
INSERT INTO {schema}.epoch (epoch, root_epoch, wrapped_kek, state) VALUES (1, $1, $2, 'current')

-- name: insert_pseudonym_key
INSERT INTO {schema}.pseudonym_key (epoch, wrapped) VALUES (1, $1)

-- name: schema_of_tenant
SELECT schema_name FROM mk.tenant WHERE tenant_id = $1

-- name: pseudonym_key_with_kek
SELECT p.epoch, p.wrapped, e.root_epoch, e.wrapped_kek FROM {schema}.pseudonym_key p JOIN {schema}.epoch e USING (epoch)

-- name: message_partitions
SELECT n.nspname AS schema_name, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE p.relname = 'message' AND p.relkind = 'p' AND n.nspname = ANY ($1::text[])

-- name: create_message_partition
CREATE TABLE {schema}.{name} (LIKE {schema}.message INCLUDING DEFAULTS INCLUDING CONSTRAINTS)

-- name: attach_message_partition
-- Attached rather than created in place: PARTITION OF would lock out every lane of the tenant.
ALTER TABLE {schema}.message ATTACH PARTITION {schema}.{name} FOR VALUES FROM ('{first}') TO ('{next}')

-- name: insert_transport_key
INSERT INTO mk.transport_key (recipient, key_id, public_key, active_from, seal_until)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING

-- name: transport_keys_of
SELECT key_id, active_from, seal_until FROM mk.transport_key WHERE recipient = $1 ORDER BY active_from

-- name: transport_keys_to_announce
SELECT recipient, key_id, public_key, active_from, seal_until, published_at IS NOT NULL AS published
FROM mk.transport_key WHERE seal_until > $1 ORDER BY active_from, key_id

-- name: transport_keys_to_announce_of
SELECT recipient, key_id, public_key, active_from, seal_until, published_at IS NOT NULL AS published
FROM mk.transport_key WHERE recipient = $1 AND seal_until > $2 ORDER BY active_from, key_id

-- name: transport_key_published
UPDATE mk.transport_key SET published_at = clock_timestamp()
WHERE recipient = $1 AND key_id = $2 AND published_at IS NULL

-- name: ended_transport_keys
SELECT recipient, key_id FROM mk.transport_key WHERE seal_until <= $1

-- name: last_seal_until
SELECT min(until) FROM (SELECT max(seal_until) AS until FROM mk.transport_key WHERE recipient = ANY ($1::text[])
GROUP BY recipient) AS last

-- name: account_locked
-- Under the row's lock until the record is acknowledged: control never ends with an older state than the database's.
SELECT account_id, tenant_id, product, state FROM mk.account WHERE account_id = $1 FOR NO KEY UPDATE

-- name: account_ids_of
SELECT kind, value FROM mk.account_id WHERE account_id = $1 ORDER BY kind, value

-- name: consent_of
-- Asked under the account's lock: what is said later has a later time, whoever says it.
SELECT proof_ref, state, scopes, since, clock_timestamp() AS said_at FROM mk.consent WHERE account_id = $1 ORDER BY since DESC, proof_ref LIMIT 1

-- name: all_accounts
SELECT a.account_id, a.tenant_id, a.product, a.state,
    (SELECT coalesce(json_agg(json_build_array(i.kind, i.value) ORDER BY i.kind, i.value), '[]') FROM mk.account_id i
     WHERE i.account_id = a.account_id) AS ids,
    c.proof_ref, c.state AS consent, c.scopes, c.since
FROM mk.account a
CROSS JOIN LATERAL (
    SELECT proof_ref, state, scopes, since FROM mk.consent WHERE account_id = a.account_id
    ORDER BY since DESC, proof_ref LIMIT 1) c
ORDER BY a.connected_at, a.account_id

-- name: request_tenant
INSERT INTO mk.tenant (tenant_id, name, schema_name, partitions, period, retention_days, state, requested_by)
VALUES ($1, $2, $3, $4, $5, $6, 'requested', $7)

-- name: tenant_state
SELECT state FROM mk.tenant WHERE tenant_id = $1

-- name: tenant_named
SELECT tenant_id, name, state FROM mk.tenant WHERE name = $1 OR tenant_id::text = $1

-- name: list_tenants
SELECT t.tenant_id, t.name, t.schema_name, t.partitions, t.period, t.retention_days, t.state, t.requested_by,
    t.requested_at, t.ready_at, s.slot,
    (SELECT count(*) FROM mk.account a WHERE a.tenant_id = t.tenant_id AND a.state = 'connected') AS accounts
FROM mk.tenant t LEFT JOIN mk.slot s USING (tenant_id) ORDER BY t.requested_at, t.tenant_id

-- name: insert_account
INSERT INTO mk.account (account_id, tenant_id, product, state, label, connected_by)
VALUES ($1, $2, $3, 'connected', $4, $5)

-- name: insert_account_id
INSERT INTO mk.account_id (account_id, kind, value) VALUES ($1, $2, $3)

-- name: claim_waba
-- Two commands that connect the same WABA at once: the second waits and then sees the first one's rows.
SELECT pg_advisory_xact_lock(hashtextextended('waba/' || $1, 0))

-- name: waba_of_another_tenant
SELECT EXISTS (
    SELECT FROM mk.account_id i JOIN mk.account a USING (account_id)
    WHERE i.kind = 'waba' AND i.value = $1 AND i.active AND a.tenant_id <> $2)

-- name: insert_consent
INSERT INTO mk.consent (proof_ref, account_id, state, scopes, given_by, proof)
VALUES ($1, $2, 'active', $3, $4, $5)

-- name: disconnect_account
UPDATE mk.account SET state = 'disconnected' WHERE account_id = $1

-- name: release_account_ids
UPDATE mk.account_id SET active = false WHERE account_id = $1

-- name: withdraw_consent
UPDATE mk.consent SET state = 'withdrawn', since = clock_timestamp() WHERE account_id = $1 AND state = 'active'

-- name: disconnected_by
UPDATE mk.account SET disconnected_by = $2 WHERE account_id = $1 AND disconnected_by IS NULL

-- name: account_and_consent
SELECT a.account_id, a.tenant_id, c.proof_ref FROM mk.account a JOIN mk.consent c USING (account_id)
WHERE a.account_id = $1 ORDER BY c.since DESC, c.proof_ref LIMIT 1

-- name: withdrawals_asked_for
-- Accounts whose erasure waits: it begins once control says that the consent is withdrawn. Not for a tenant's request about
-- an account of another.
SELECT DISTINCT r.account_id FROM mk.erasure_request r JOIN mk.account a ON a.account_id = r.account_id AND a.tenant_id = r.tenant_id
WHERE r.kind = 'account' AND r.state IN ('received', 'identity_pending', 'decided')

-- name: list_accounts
SELECT a.account_id, t.name AS tenant, a.tenant_id, a.product, a.state, a.label, a.connected_by, a.connected_at,
    (SELECT coalesce(json_agg(json_build_array(i.kind, i.value) ORDER BY i.kind, i.value), '[]') FROM mk.account_id i
     WHERE i.account_id = a.account_id) AS ids,
    c.state AS consent, c.scopes
FROM mk.account a JOIN mk.tenant t USING (tenant_id)
CROSS JOIN LATERAL (
    SELECT state, scopes FROM mk.consent WHERE account_id = a.account_id ORDER BY since DESC, proof_ref LIMIT 1) c
WHERE $1::text IS NULL OR t.name = $1 OR t.tenant_id::text = $1
ORDER BY a.connected_at, a.account_id

-- name: tenants_with_lanes
SELECT t.tenant_id, t.name, t.schema_name, s.slot, s.partitions FROM mk.tenant t JOIN mk.slot s USING (tenant_id)
WHERE t.state IN ('ready', 'paused', 'leaving') AND ($1::text IS NULL OR t.name = $1 OR t.tenant_id::text = $1)
ORDER BY t.requested_at, t.tenant_id

-- name: lanes
SELECT partition, position FROM {schema}.lane ORDER BY partition

-- name: lane_outcomes
SELECT partition, first_offset, next_offset, stored, duplicate, fenced, expired, refused, quarantined, notice,
    expired_unread, replays
FROM {schema}.lane_outcome ORDER BY partition, first_offset

-- name: server_version
SELECT current_setting('server_version_num')::int

-- name: logins
SELECT rolname, rolinherit, rolsuper, rolbypassrls, rolcreaterole, rolcanlogin, rolreplication
FROM pg_roles WHERE rolname IN ('mk_owner', 'mk_custodian', 'mk_store', 'mk_erasure', 'mk_reader', 'mk_desk')

-- name: foreign_memberships
-- Roles that a login may enter although they are not its own kind: a tenant's store role for the reader, say.
SELECT r.rolname AS role, m.rolname AS login
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
WHERE (m.rolname = 'mk_store' AND (r.rolname !~ '^t_[a-z0-9]+$'))
   OR (m.rolname = 'mk_erasure' AND (r.rolname !~ '^t_[a-z0-9]+_erase$'))
   OR (m.rolname = 'mk_reader' AND (r.rolname !~ '^t_[a-z0-9]+_read$'))
   OR m.rolname = 'mk_desk'
ORDER BY 2, 1

-- name: tenant_roles
SELECT t.schema_name || s.suffix AS role FROM mk.tenant t
CROSS JOIN (VALUES ('', 'mk_store'), ('_erase', 'mk_erasure'), ('_read', 'mk_reader')) AS s (suffix, login)
WHERE t.state IN ('provisioned', 'ready', 'paused')
  AND NOT EXISTS (
    SELECT FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
    WHERE r.rolname = t.schema_name || s.suffix AND m.rolname = s.login)
ORDER BY 1

-- name: tables_of
SELECT n.nspname AS schema_name, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition

-- name: recipients_without_key
SELECT r.recipient FROM unnest($1::text[]) AS r (recipient)
WHERE NOT EXISTS (
    SELECT FROM mk.transport_key k WHERE k.recipient = r.recipient AND k.published_at IS NOT NULL
      AND k.active_from <= $2 AND k.seal_until > $2)

-- name: inherited_roles
-- USAGE is what a member has without SET ROLE. From PostgreSQL 16 on each membership says it for itself.
SELECT r.rolname AS role, m.rolname AS login
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
WHERE m.rolname IN ('mk_custodian', 'mk_store', 'mk_erasure', 'mk_reader', 'mk_desk') AND m.rolinherit = false
  AND pg_has_role(m.oid, r.oid, 'USAGE')
ORDER BY 2, 1

-- name: fold_outcomes
-- $1: lines that ended before are folded, where a lane has two or more that touch. A lane's ranges follow each other
-- without a gap; should they ever not, the table's CHECK refuses the sum and nothing is lost.
WITH due AS (
    SELECT partition FROM {schema}.lane_outcome WHERE ended_at < $1 GROUP BY partition HAVING count(*) > 1
), taken AS (
    DELETE FROM {schema}.lane_outcome o USING due WHERE o.partition = due.partition AND o.ended_at < $1 RETURNING o.*
), put AS (
    INSERT INTO {schema}.lane_outcome
    SELECT partition, min(first_offset), max(next_offset), sum(stored), sum(duplicate), sum(fenced), sum(expired),
           sum(refused), sum(quarantined), sum(notice), sum(expired_unread), sum(replays), max(ended_at)
    FROM taken GROUP BY partition RETURNING 1
)
SELECT ((SELECT count(*) FROM taken) - (SELECT count(*) FROM put))::int

-- name: short_timeouts
-- Behind a long transaction a lock request would stop every writer that comes after it.
SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '30s'

-- name: tenant_migrations
SELECT t.tenant_id, t.schema_name,
    coalesce(array_agg(m.number ORDER BY m.number) FILTER (WHERE m.number IS NOT NULL), '{}') AS numbers,
    coalesce(array_agg(m.sha256 ORDER BY m.number) FILTER (WHERE m.number IS NOT NULL), '{}') AS digests
FROM mk.tenant t LEFT JOIN mk.tenant_migration m USING (tenant_id)
WHERE t.state <> 'requested'
GROUP BY t.tenant_id, t.schema_name ORDER BY t.tenant_id

-- name: record_tenant_migration
INSERT INTO mk.tenant_migration (tenant_id, number, sha256) VALUES ($1, $2, $3)

-- name: shape_of
-- How the tables of these schemas are, a line for each fact: owner, columns, constraints, indexes, rights. Partitions are
-- left out (another check looks at them), and what a schema or role is called stays as it is here.
WITH relation AS (
    SELECT n.nspname AS schema_name, c.oid, c.relname, c.relacl, c.relowner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
)
SELECT schema_name, format('%s is owned by %s', relname, relowner::regrole) AS fact FROM relation
UNION ALL
SELECT r.schema_name, format('%s.%s %s%s%s', r.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                             CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                             coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ''))
FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
UNION ALL
SELECT r.schema_name, format('%s %s', r.relname, pg_get_constraintdef(k.oid))
FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.contype IN ('p', 'u', 'c', 'f')
UNION ALL
SELECT r.schema_name, pg_get_indexdef(i.indexrelid) FROM relation r JOIN pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT r.schema_name, format('%s may %s %s', g.grantee::regrole, g.privilege_type, r.relname)
FROM relation r CROSS JOIN LATERAL aclexplode(r.relacl) g WHERE g.grantee <> r.relowner
UNION ALL
SELECT r.schema_name, format('%s may %s %s.%s', g.grantee::regrole, g.privilege_type, r.relname, a.attname)
FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL aclexplode(a.attacl) g WHERE g.grantee <> r.relowner
UNION ALL
SELECT n.nspname, format('%s may %s the schema', g.grantee::regrole, g.privilege_type)
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g
WHERE n.nspname = ANY ($1::text[]) AND g.grantee <> n.nspowner
UNION ALL
SELECT n.nspname, format('%s is owned by %s', p.proname, p.proowner::regrole)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($1::text[])
UNION ALL
SELECT n.nspname, format('%s may %s %s', CASE WHEN g.grantee = 0 THEN 'everybody' ELSE g.grantee::regrole::text END,
                         g.privilege_type, p.proname)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
WHERE n.nspname = ANY ($1::text[]) AND g.grantee <> p.proowner

-- name: insert_grant
INSERT INTO mk.reader_grant (grant_id, tenant_id, reader, public_key, given_to, directed_by, proof, granted_by, until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: end_grant
UPDATE mk.reader_grant SET ended_at = clock_timestamp(), ended_by = $2 WHERE grant_id = $1 AND ended_at IS NULL

-- name: expire_grants
UPDATE mk.reader_grant SET ended_at = clock_timestamp(), ended_by = 'time' WHERE ended_at IS NULL AND until <= $1

-- name: grant_of
SELECT grant_id, ended_at, applied_at >= coalesce(ended_at, since) AS applied FROM mk.reader_grant WHERE grant_id = $1

-- name: list_grants
SELECT g.grant_id, t.name AS tenant, g.tenant_id, g.reader, s.slot, g.given_to, g.directed_by, g.granted_by, g.since,
    g.until, g.ended_at, g.ended_by, coalesce(g.applied_at >= coalesce(g.ended_at, g.since), false) AS applied,
    (SELECT count(*) FROM mk.reader_grant_key k WHERE k.grant_id = g.grant_id) AS keys
FROM mk.reader_grant g JOIN mk.tenant t USING (tenant_id) LEFT JOIN mk.slot s USING (tenant_id)
WHERE $1::text IS NULL OR t.name = $1 OR t.tenant_id::text = $1
ORDER BY g.since, g.grant_id

-- name: grants_with_access
SELECT g.reader, s.slot FROM mk.reader_grant g JOIN mk.slot s USING (tenant_id)
WHERE g.ended_at IS NULL AND s.state IN ('bound', 'draining')

-- name: unapplied_grants
SELECT grant_id, tenant_id, ended_at IS NOT NULL AS ended FROM mk.reader_grant
WHERE applied_at IS NULL OR applied_at < ended_at

-- name: grant_applied
-- Only if it is still what the servers were brought to.
UPDATE mk.reader_grant SET applied_at = clock_timestamp() WHERE grant_id = $1 AND (ended_at IS NOT NULL) = $2
RETURNING 1

-- name: grants_for_control
SELECT grant_id, tenant_id, reader, public_key, since, until, ended_at IS NOT NULL AS ended FROM mk.reader_grant
WHERE applied_at IS NOT NULL AND ($1::uuid[] IS NULL OR grant_id = ANY ($1)) ORDER BY since, grant_id

-- name: grant_keys_due
-- $1: now. $2: private halves of keys that ended before are gone. Every key that senders used while the grant was
-- active, as soon as it is: the first one that is younger than the grant or the youngest that is not, and those after.
SELECT g.grant_id, g.tenant_id, g.public_key AS reader_key, s.slot, k.key_id, k.active_from, k.seal_until
FROM mk.reader_grant g
JOIN mk.slot s USING (tenant_id)
JOIN mk.transport_key k ON k.recipient = 'tenant/' || g.tenant_id
WHERE g.ended_at IS NULL AND g.until > $1 AND k.published_at IS NOT NULL
  AND k.active_from <= $1 AND k.seal_until > $2
  AND NOT EXISTS (SELECT FROM mk.reader_grant_key d WHERE d.grant_id = g.grant_id AND d.key_id = k.key_id)
  AND NOT EXISTS (
    SELECT FROM mk.transport_key n
    WHERE n.recipient = k.recipient AND n.active_from > k.active_from AND n.active_from <= g.since)
ORDER BY k.active_from, g.grant_id

-- name: grant_key_published
INSERT INTO mk.reader_grant_key (grant_id, key_id) VALUES ($1, $2) ON CONFLICT DO NOTHING
