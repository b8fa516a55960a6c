-- Which slot the ends that lanes must pass are of: offsets of another topic say nothing. Null in rows of older code, which
-- meant the slot that the tenant has now. Expand only.

ALTER TABLE {schema}.erasure_wait ADD COLUMN slot text;
