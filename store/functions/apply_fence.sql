-- mk.apply_fence as it is now, in one place. A migration takes it in whole by an `include` line (store/migrate.py); to change it,
-- change this file and add a migration that includes it. What stands in migrations 0005 and 0008 was replaced by it.
-- Runs as mk_owner, within `SET ROLE mk_owner`. PRIVACY.md section 3 "Fence".
--
-- Applies the fence that stands at `of_offset` and moves the partition's position behind it. Answers:
--   elsewhere  the tenant is not in this database: only the position moved
--   known      the step is here already, with its fence and every tombstone: only the position moved
--   applied    the step and everything it means was done
--   lock       nothing was done: it must be called again in a transaction that took the tenant's lock alone, in a
--              statement before the call (READ COMMITTED: what is read here is then what was committed before the grant)
--   unready    nothing was done: the tenant's schema is not there yet, or not at the version that this needs
--   moved      nothing was done: this database's position is not at this offset (any more), or of another topic
-- A fence of very many ids comes in parts, which are all the same step: what only the first part may do is done with the
-- step's row, tombstones are added by each. A fence with names and generation 0 is a join's: nobody's key goes, only what is
-- not later than the watermark.
-- A step without a fence is not done: it was made when the fence of another subject of the same request reached this one as
-- well, because the two had not parted here. Its own fence may hold names that the other lacks, so it is applied too; but by
-- time only, since what the other destroyed is destroyed and whoever has a key now came back after it.
-- Refs of a message's fence go with all their rows. Those of a person's only keep out later events that name nobody: an edit
-- of what the person wrote would else be stored for the account, text and all; others' reactions to it are theirs.
-- An account's id is never given again: whatever comes of it is kept out, and the consent that a backup brought back ends.
-- The tenant's lock comes before the position's row, always: two that apply never wait in a circle.
CREATE OR REPLACE FUNCTION mk.apply_fence(
    of_topic text, of_partition integer, of_offset bigint,
    of_tenant uuid, of_request uuid, of_subject uuid, of_account uuid,
    names bytea[], through integer, mark timestamptz, executed timestamptz,
    undated bytea[], refs bytea[], kept_types text[], signed bytea, told text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant_schema text;
    is_known      boolean;
    is_new        boolean;
    is_bare       boolean := false;
    is_join       boolean := through = 0;
    ref_kind      char(1) := CASE WHEN cardinality(names) = 0 THEN 'r' ELSE 'n' END;
    subjects      uuid[];
    home          uuid;
    joined        uuid[] := '{}';
    touched       uuid[];
    deleted       bigint := 0;
    more          bigint;
    first_dated   uuid := '00000000-0001-0000-0000-000000000000';
    first_later   uuid;
    -- As long as a fence lives: the window of 190 days and the oldest backup.
    kept_until    timestamptz := executed + interval '230 days';
BEGIN
    SELECT t.schema_name INTO tenant_schema FROM mk.tenant t WHERE t.tenant_id = of_tenant;
    IF tenant_schema IS NOT NULL THEN
        IF NOT EXISTS (
            SELECT FROM pg_attribute a
            WHERE a.attrelid = to_regclass(format('%I.erasure_step', tenant_schema)) AND a.attname = 'fence_parts'
        ) THEN
            RETURN 'unready';
        END IF;
        EXECUTE format('SELECT EXISTS (SELECT FROM %1$I.erasure_step WHERE request_id = $1 AND subject_id = $2 AND fence IS NOT NULL)'
                       ' AND NOT EXISTS ('
                       '    SELECT FROM (SELECT $6, unnest($3) UNION ALL SELECT ''e''::char(1), unnest($4) UNION ALL SELECT ''a''::char(1), $7)'
                       '        AS named (kind, ref)'
                       '    WHERE $5 > clock_timestamp() AND named.ref IS NOT NULL AND NOT EXISTS ('
                       '        SELECT FROM %1$I.tombstone t WHERE t.kind = named.kind AND t.ref = named.ref))', tenant_schema)
            INTO is_known USING of_request, of_subject, refs, undated, kept_until, ref_kind, uuid_send(of_account);
        IF NOT is_known AND NOT EXISTS (
            SELECT FROM pg_locks l
            WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.granted AND l.mode = 'ExclusiveLock'
                AND l.objsubid = 1 AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                AND lpad(to_hex(l.classid::bigint), 8, '0') || lpad(to_hex(l.objid::bigint), 8, '0')
                    = left(replace(of_tenant::text, '-', ''), 16)
        ) THEN
            RETURN 'lock';
        END IF;
    END IF;

    UPDATE mk.fence_position p SET next_offset = of_offset + 1
    WHERE p.partition = of_partition AND p.topic_id = of_topic AND p.next_offset = of_offset;
    IF NOT FOUND THEN
        RETURN 'moved';
    END IF;
    IF tenant_schema IS NULL THEN
        RETURN 'elsewhere';
    END IF;
    EXECUTE format('INSERT INTO %I.erasure_step (request_id, subject_id, erased_through_gen, watermark, executed_at, fence,'
                   ' fence_published_at) VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp()) ON CONFLICT DO NOTHING', tenant_schema)
        USING of_request, of_subject, through, mark, executed, signed;
    GET DIAGNOSTICS more = ROW_COUNT;
    is_new := more > 0;
    IF NOT is_new THEN
        EXECUTE format('UPDATE %I.erasure_step SET fence = $3 WHERE request_id = $1 AND subject_id = $2 AND fence IS NULL', tenant_schema)
            USING of_request, of_subject, signed;
        GET DIAGNOSTICS more = ROW_COUNT;
        is_bare := more > 0;
        -- Another part: kept as well, so that this database can write all of it again.
        EXECUTE format('UPDATE %I.erasure_step SET fence_parts = fence_parts || $3'
                       ' WHERE request_id = $1 AND subject_id = $2 AND NOT $4 AND fence <> $3 AND $3 <> ALL (fence_parts)', tenant_schema)
            USING of_request, of_subject, signed, is_known;
    END IF;
    IF is_known THEN
        EXECUTE format('UPDATE %I.erasure_step SET fence_published_at = clock_timestamp()'
                       ' WHERE request_id = $1 AND subject_id = $2 AND fence_published_at IS NULL', tenant_schema)
            USING of_request, of_subject;
        RETURN 'known';
    END IF;

    IF (is_new OR is_bare) AND cardinality(names) > 0 THEN
        EXECUTE format('SELECT coalesce(array_agg(DISTINCT a.subject_id), ''{}'') FROM %I.alias a WHERE a.pseudonym = ANY ($1)',
                       tenant_schema) INTO subjects USING names;
        IF cardinality(subjects) = 0 THEN
            -- Nobody knows them here: they may be younger than the backup, and in the backlog.
            EXECUTE format('INSERT INTO %I.subject (subject_id, generation, erased_through_gen) VALUES ($1, $2, $3)'
                           ' ON CONFLICT DO NOTHING', tenant_schema) USING of_subject, through + 1, through;
            subjects := ARRAY[of_subject];
        END IF;
        home := CASE WHEN of_subject = ANY (subjects) THEN of_subject ELSE subjects[1] END;
        EXECUTE format('INSERT INTO %I.alias (pseudonym, subject_id) SELECT DISTINCT n, $2 FROM unnest($1) n'
                       ' ON CONFLICT DO NOTHING', tenant_schema) USING names, home;
        -- One person where it was erased: joined after this database's backup.
        EXECUTE format('INSERT INTO %I.same_person (low, high) SELECT least(o, $2), greatest(o, $2) FROM unnest($1) o'
                       ' WHERE o <> $2 ON CONFLICT DO NOTHING', tenant_schema) USING subjects, home;
        EXECUTE format('INSERT INTO %I.erasure_step (request_id, subject_id, erased_through_gen, watermark, executed_at,'
                       ' fence_published_at, deleted_at)'
                       ' SELECT $1, o, $3, $4, $5, clock_timestamp(), clock_timestamp() FROM unnest($2) o'
                       ' ON CONFLICT DO NOTHING', tenant_schema) USING of_request, subjects, through, mark, executed;
        -- Generations count where the subject was erased. Elsewhere, and where a rekey raised them since, the time decides:
        -- a subject that this erasure never reached goes as it stands; one that it reached before has returned since.
        EXECUTE format(
            'UPDATE %1$I.subject s SET generation = greatest(s.generation, e.gone + 1), erased_through_gen = e.gone,'
            ' wrapped_dek = CASE WHEN s.generation > e.gone THEN s.wrapped_dek END,'
            ' dek_epoch = CASE WHEN s.generation > e.gone THEN s.dek_epoch END,'
            ' rekey = s.rekey AND s.generation > e.gone,'
            ' rekey_from = CASE WHEN s.rekey_from_gen > e.gone THEN s.rekey_from END,'
            ' rekey_from_gen = CASE WHEN s.rekey_from_gen > e.gone THEN s.rekey_from_gen END,'
            ' rekey_from_epoch = CASE WHEN s.rekey_from_gen > e.gone THEN s.rekey_from_epoch END,'
            ' watermark = greatest(s.watermark, $4), executed_at = greatest(s.executed_at, $5)'
            ' FROM (SELECT o.subject_id, greatest(o.erased_through_gen,'
            '           CASE WHEN o.subject_id = $2 THEN $3 END,'
            '           CASE WHEN $3 > 0 AND o.wrapped_dek IS NOT NULL AND (o.executed_at IS NULL OR o.executed_at < $5)'
            '                THEN o.generation END) AS gone'
            '       FROM %1$I.subject o WHERE o.subject_id = ANY ($1)) e'
            ' WHERE s.subject_id = e.subject_id', tenant_schema)
            USING subjects, CASE WHEN is_new THEN of_subject END, through, mark, executed;
        EXECUTE format('DELETE FROM %1$I.message m USING %1$I.subject s WHERE s.subject_id = ANY ($1)'
                       ' AND m.subject_id = s.subject_id AND m.generation <= s.erased_through_gen', tenant_schema) USING subjects;
        GET DIAGNOSTICS more = ROW_COUNT;
        deleted := deleted + more;
        IF is_join THEN
            first_later := (lpad(to_hex((floor(extract(epoch FROM mark)) + 1)::bigint * 1000), 12, '0') || repeat('0', 20))::uuid;
            EXECUTE format('WITH gone AS ('
                           '    DELETE FROM %I.message m WHERE m.subject_id = ANY ($1)'
                           '        AND (m.id >= $2 AND m.id < $3 OR m.received_at <= $4) RETURNING m.subject_id'
                           ') SELECT count(*), coalesce(array_agg(DISTINCT subject_id), ''{}'') FROM gone', tenant_schema)
                INTO more, joined USING subjects, first_dated, first_later, executed;
            deleted := deleted + more;
        END IF;
    END IF;

    EXECUTE format('INSERT INTO %I.tombstone (kind, ref, expires_at)'
                   ' SELECT DISTINCT $4, r, $3 FROM unnest($1) r UNION SELECT ''e'', u, $3 FROM unnest($2) u'
                   ' UNION SELECT ''a'', $5, $3 WHERE $5 IS NOT NULL'
                   ' ON CONFLICT (kind, ref) DO UPDATE SET expires_at = greatest(tombstone.expires_at, excluded.expires_at)',
                   tenant_schema) USING refs, undated, kept_until, ref_kind, uuid_send(of_account);
    -- A deleted row's key still opens its old copies: what is left under it is rewritten at the next flip.
    EXECUTE format('WITH gone AS ('
                   '    DELETE FROM %I.message m WHERE m.message_ref = ANY ($1) AND m.event_type <> ALL ($2) OR m.id = ANY ($3)'
                   '    RETURNING m.subject_id'
                   ') SELECT count(*), coalesce(array_agg(DISTINCT subject_id), ''{}'') FROM gone', tenant_schema)
        INTO more, touched
        USING CASE WHEN ref_kind = 'r' THEN refs ELSE '{}' END, kept_types,
            (SELECT coalesce(array_agg(encode(u, 'hex')::uuid), '{}') FROM unnest(undated) u);
    deleted := deleted + more;
    touched := touched || joined;
    IF of_account IS NOT NULL THEN
        EXECUTE format('WITH gone AS ('
                       '    DELETE FROM %I.message m WHERE m.account_id = $1 RETURNING m.subject_id'
                       ') SELECT count(*), coalesce(array_agg(DISTINCT subject_id), ''{}'') FROM gone', tenant_schema)
            INTO more, joined USING of_account;
        UPDATE mk.account SET state = 'disconnected'
        WHERE account_id = of_account AND tenant_id = of_tenant AND state <> 'disconnected';
        UPDATE mk.account_id SET active = false WHERE account_id = of_account AND active
            AND EXISTS (SELECT FROM mk.account a WHERE a.account_id = of_account AND a.tenant_id = of_tenant);
        UPDATE mk.consent SET state = 'withdrawn', since = clock_timestamp() WHERE account_id = of_account AND state = 'active'
            AND EXISTS (SELECT FROM mk.account a WHERE a.account_id = of_account AND a.tenant_id = of_tenant);
        deleted := deleted + more;
        touched := touched || joined;
        -- Who has nothing else left loses the key at once.
        EXECUTE format('UPDATE %1$I.subject s SET erased_through_gen = s.generation, generation = s.generation + 1,'
                       ' wrapped_dek = NULL, dek_epoch = NULL, rekey = false, rekey_from = NULL, rekey_from_gen = NULL,'
                       ' rekey_from_epoch = NULL, key_lost_at = clock_timestamp()'
                       ' WHERE s.subject_id = ANY ($1) AND s.wrapped_dek IS NOT NULL AND NOT EXISTS ('
                       '    SELECT FROM %1$I.message m WHERE m.subject_id = s.subject_id AND m.generation > s.erased_through_gen)',
                       tenant_schema) USING joined;
    END IF;
    EXECUTE format('UPDATE %I.subject SET rekey = true WHERE subject_id = ANY ($1) AND wrapped_dek IS NOT NULL AND NOT rekey',
                   tenant_schema) USING touched;
    EXECUTE format('UPDATE %I.erasure_step SET rows_deleted = rows_deleted + $3, deleted_at = clock_timestamp()'
                   ' WHERE request_id = $1 AND subject_id = $2', tenant_schema) USING of_request, of_subject, deleted;
    IF told IS NOT NULL THEN
        INSERT INTO mk.audit_entry (entry)
        VALUES (convert_to('{"at_us":' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || ',' || told, 'UTF8'));
    END IF;
    RETURN 'applied';
END
$$;
