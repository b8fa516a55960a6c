-- The desk's statements. Login mk_desk: it may call this one function and read no table but the list of migrations.

-- name: erasure_page
SELECT stage, reason, received_at, due_on, ended_at, irrecoverable_on FROM mk.erasure_page($1)

-- name: alive
SELECT 1
