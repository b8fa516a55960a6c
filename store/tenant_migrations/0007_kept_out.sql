-- What a restored database must keep out: edits that name nobody, and whatever an erased account brought. Expand only.

-- n: a message or publication of somebody who was erased: what names nobody and says this ref stays out; lanes leave it as well,
-- for what a fence keeps out. a: an erased account.
ALTER TABLE {schema}.tombstone DROP CONSTRAINT tombstone_kind_check;
ALTER TABLE {schema}.tombstone ADD CONSTRAINT tombstone_kind_check CHECK (kind IN ('r', 'e', 'n', 'a'));
GRANT INSERT ON {schema}.tombstone TO {schema};

-- When an account's erasure took the key of somebody who had rows of no other: there is no fence to count their time from.
ALTER TABLE {schema}.subject ADD COLUMN key_lost_at timestamptz;
CREATE INDEX subject_keyless ON {schema}.subject (key_lost_at) WHERE key_lost_at IS NOT NULL;

-- Further parts of a fence of very many ids, as they stand on the topic.
ALTER TABLE {schema}.erasure_step ADD COLUMN fence_parts bytea[] NOT NULL DEFAULT '{}';

UPDATE {schema}.subject SET key_lost_at = clock_timestamp()
WHERE wrapped_dek IS NULL AND executed_at IS NULL AND erased_through_gen > 0;
INSERT INTO {schema}.tombstone (kind, ref, expires_at)
SELECT 'a', uuid_send(r.account_id), max(s.executed_at) + interval '230 days'
FROM {schema}.erasure_step s JOIN mk.erasure_request r ON r.request_id = s.request_id
WHERE r.kind = 'account' AND r.account_id IS NOT NULL GROUP BY r.account_id;
