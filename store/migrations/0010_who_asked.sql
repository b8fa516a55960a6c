-- Who had an account disconnected: approving the erasure of what it brought is another person's. Expand only.

SET ROLE mk_owner;
-- An operator's own name, never a customer's; null where Meta or the custodian said that it is gone.
ALTER TABLE mk.account ADD COLUMN disconnected_by text;
RESET ROLE;
