-- Reads of personal data are entries of the audit log, written in the transaction that opens their access record. Expand only.

SET ROLE mk_owner;
GRANT INSERT ON mk.audit_entry TO mk_reader;
RESET ROLE;
