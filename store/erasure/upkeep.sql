-- Whom upkeep goes round. As the login.

-- name: tenants
SELECT tenant_id FROM mk.tenant WHERE state <> 'requested' ORDER BY tenant_id;

-- name: tenants_of
SELECT tenant_id FROM mk.tenant WHERE state <> 'requested' AND schema_name = ANY ($1::text[]) ORDER BY tenant_id;
