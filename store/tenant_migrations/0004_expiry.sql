-- A fence that has served its time is forgotten: erasure may then delete who has no key and no row. Expand only.

GRANT DELETE ON {schema}.subject, {schema}.same_person TO {schema}_erase;
CREATE INDEX subject_fenced ON {schema}.subject (executed_at) WHERE executed_at IS NOT NULL;
