-- What the rotation of epochs needs. Expand only: what was written before stays valid, older code reads on.

-- A subject under rekey has two DEKs: `rekey_from` is the old one's wrap, of generation `rekey_from_gen`, under the tenant
-- KEK of `rekey_from_epoch`. Both say nothing where `rekey_from` is null, so that erasure need not know them.
ALTER TABLE {schema}.subject
    ADD COLUMN rekey_from_gen smallint,
    ADD COLUMN rekey_from_epoch integer,
    ADD CONSTRAINT subject_rekey_from CHECK (rekey_from IS NULL OR (
        rekey_from_gen IS NOT NULL AND rekey_from_epoch IS NOT NULL AND rekey_from_gen > erased_through_gen
        AND rekey_from_gen < generation));
CREATE INDEX subject_rekey ON {schema}.subject (subject_id) WHERE rekey OR rekey_from IS NOT NULL;
