-- Work of the installation as a whole that one replica does at a time. The lease columns are
-- explained in leases.rs.
CREATE TABLE installation_jobs (
  id {uuid} PRIMARY KEY NOT NULL,
  name TEXT NOT NULL UNIQUE,
  due_at BIGINT NOT NULL DEFAULT 0,
  wakes BIGINT NOT NULL DEFAULT 0,
  lease_owner TEXT,
  lease_token BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT,
  lease_wakes BIGINT NOT NULL DEFAULT 0
);

-- Things at the provider that carry this installation's mark and belong to nobody we know.
CREATE TABLE orphans (
  id {uuid} PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  name TEXT NOT NULL,
  environment_id {uuid},
  reason TEXT NOT NULL,
  monthly_price_cents BIGINT,
  provider_created_at BIGINT,
  first_seen_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  UNIQUE (kind, provider_id)
);
