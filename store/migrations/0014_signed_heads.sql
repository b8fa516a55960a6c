-- Heads of the audit log with their signatures: what is anchored again is what was signed. Expand only.

SET ROLE mk_owner;

-- signed: value and signature in one (contracts.signed_record.pack). key_id: of the signing key, 16 hex digits of SHA-256. Both null
-- in heads from before: erasure takes them from the topic. dropped_at: an operator accepted other entries than these.
ALTER TABLE mk.audit_checkpoint
    ADD COLUMN signed     bytea,
    ADD COLUMN key_id     text,
    ADD COLUMN dropped_at timestamptz,
    ADD CHECK ((signed IS NULL) = (key_id IS NULL));

RESET ROLE;
