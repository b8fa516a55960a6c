-- The logins and the owner role of a database cell, made or corrected by a superuser. PostgreSQL 15 to 18.
-- All logins are NOINHERIT: one that inherits reads every tenant without SET ROLE. From PostgreSQL 16 on a
-- membership's own INHERIT option follows the attribute that the member has when it is granted, so logins come first.

DO $$
DECLARE
    login text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mk_owner') THEN
        CREATE ROLE mk_owner;
    END IF;
    ALTER ROLE mk_owner NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    FOREACH login IN ARRAY ARRAY['mk_custodian', 'mk_store', 'mk_erasure', 'mk_reader', 'mk_desk'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I', login);
        END IF;
        EXECUTE format(
            'ALTER ROLE %I LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', login);
        -- Nothing is found by a name without its schema: no object that somebody put elsewhere stands in for ours.
        EXECUTE format('ALTER ROLE %I SET search_path = pg_catalog', login);
    END LOOP;
    ALTER ROLE mk_custodian CREATEROLE;
    IF NOT EXISTS (
        SELECT FROM pg_auth_members
        WHERE roleid = 'mk_owner'::regrole AND member = 'mk_custodian'::regrole
    ) THEN
        GRANT mk_owner TO mk_custodian;
    END IF;
END
$$;
