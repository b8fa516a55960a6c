-- Meta's callbacks name an administrator by an app-scoped id: erasure finds the accounts by its keyed hash. Expand only.

SET ROLE mk_owner;

GRANT SELECT (account_id, kind, value) ON mk.account_id TO mk_erasure;
CREATE INDEX account_id_administrator ON mk.account_id (value) WHERE kind = 'app_scoped_user';

-- The last that is known of an administrator who asked for the deletion of their own data: on all of their accounts, once
-- those are disconnected. The custodian says it on control by comparing. $1: hex of the keyed hash; how many rows went.
CREATE FUNCTION mk.forget_administrator(text) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM mk.account_id WHERE kind = 'app_scoped_user' AND value = $1 AND NOT active RETURNING 1
    )
    SELECT count(*) FROM gone;
END;

REVOKE ALL ON FUNCTION mk.forget_administrator(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mk.forget_administrator(text) TO mk_erasure;
RESET ROLE;
