-- Times are microseconds since 1970 UTC. Words and JSON are text. {uuid}, {bytes} and {serial} are
-- filled in by dialect.rs. Unique keys of (account_id, id) exist so that references can be scoped
-- by account too: a row can't point at another tenant's.

-- People who can sign in. A user's id is also the id of their account.
CREATE TABLE users (
  id {uuid} PRIMARY KEY NOT NULL,
  email TEXT NOT NULL UNIQUE,
  password_hash TEXT,
  role TEXT NOT NULL,
  disabled BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Attempts counted per e-mail address and per network address (login throttling).
CREATE TABLE throttle (
  key TEXT PRIMARY KEY NOT NULL,
  attempts BIGINT NOT NULL,
  window_start BIGINT NOT NULL
);

-- Browser sessions.
CREATE TABLE sessions (
  id {uuid} PRIMARY KEY NOT NULL,
  user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token_hash TEXT NOT NULL UNIQUE,
  csrf_hash TEXT NOT NULL,
  source_ip TEXT,
  user_agent TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id, id);

-- The one machine of an account. The lease columns are explained in leases.rs.
CREATE TABLE account_tool_environments (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL UNIQUE REFERENCES users (id),
  provider TEXT NOT NULL,
  desired TEXT NOT NULL,
  generation BIGINT NOT NULL,
  status TEXT NOT NULL,
  status_since BIGINT NOT NULL,
  machine_id TEXT,
  ip_address TEXT,
  dtma_port BIGINT,
  region TEXT,
  size TEXT,
  image TEXT,
  provider_created_at BIGINT,
  last_heartbeat_at BIGINT,
  error_message TEXT,
  dtma_version TEXT,
  capacity TEXT,
  runtime TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL DEFAULT 0,
  wakes BIGINT NOT NULL DEFAULT 0,
  lease_owner TEXT,
  lease_token BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT,
  lease_wakes BIGINT NOT NULL DEFAULT 0,
  UNIQUE (account_id, id)
);
CREATE INDEX environments_due ON account_tool_environments (due_at);

-- Blueprints of tools. The definition is JSON; the columns beside it serve lists and search.
CREATE TABLE tool_catalog (
  id {uuid} PRIMARY KEY NOT NULL,
  slug TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL,
  search_text TEXT NOT NULL,
  categories TEXT NOT NULL,
  definition TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Values in the vault, encrypted.
CREATE TABLE secrets (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  revision BIGINT NOT NULL,
  ciphertext {bytes} NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (account_id, name),
  UNIQUE (account_id, id)
);

-- Running copies of catalog entries. `observed` is the machine's last report.
CREATE TABLE account_tool_instances (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL,
  environment_id {uuid} NOT NULL,
  catalog_entry_id {uuid} NOT NULL REFERENCES tool_catalog (id),
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  running_version TEXT,
  config TEXT NOT NULL,
  resources TEXT NOT NULL,
  desired TEXT NOT NULL,
  purge_data BOOLEAN NOT NULL,
  generation BIGINT NOT NULL,
  restart_nonce BIGINT NOT NULL,
  observed_generation BIGINT NOT NULL,
  status TEXT NOT NULL,
  progress TEXT,
  error_message TEXT,
  runtime TEXT NOT NULL,
  observed TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL DEFAULT 0,
  wakes BIGINT NOT NULL DEFAULT 0,
  lease_owner TEXT,
  lease_token BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT,
  lease_wakes BIGINT NOT NULL DEFAULT 0,
  UNIQUE (account_id, id),
  FOREIGN KEY (account_id, environment_id) REFERENCES account_tool_environments (account_id, id)
);
CREATE UNIQUE INDEX instances_name ON account_tool_instances (account_id, name)
  WHERE status <> 'removed';
CREATE INDEX instances_environment ON account_tool_instances (environment_id);
CREATE INDEX instances_due ON account_tool_instances (due_at);

-- Which value of the vault fills which of an instance's secrets. A value that is in use can't go.
CREATE TABLE instance_secrets (
  instance_id {uuid} NOT NULL REFERENCES account_tool_instances (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  account_id {uuid} NOT NULL,
  secret_id {uuid} NOT NULL,
  PRIMARY KEY (instance_id, name),
  FOREIGN KEY (account_id, secret_id) REFERENCES secrets (account_id, id)
);
CREATE INDEX instance_secrets_secret ON instance_secrets (secret_id);

-- AI agents.
CREATE TABLE agents (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (account_id, name),
  UNIQUE (account_id, id)
);

-- Which agent may use which instance. The instance may become another account's once admins share
-- instances; the agent never.
CREATE TABLE agent_tool_instance_links (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL,
  agent_id {uuid} NOT NULL,
  instance_id {uuid} NOT NULL REFERENCES account_tool_instances (id) ON DELETE CASCADE,
  enabled BOOLEAN NOT NULL,
  activated_at BIGINT,
  deactivated_at BIGINT,
  policy TEXT NOT NULL,
  exposed_names TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (agent_id, instance_id),
  FOREIGN KEY (account_id, agent_id) REFERENCES agents (account_id, id) ON DELETE CASCADE
);
CREATE INDEX links_instance ON agent_tool_instance_links (instance_id);

-- Personal and agent tokens, by their hash.
CREATE TABLE api_tokens (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL,
  user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  token_hash TEXT NOT NULL UNIQUE,
  scopes TEXT,
  agent_id {uuid},
  expires_at BIGINT,
  revoked_at BIGINT,
  last_used_at BIGINT,
  created_at BIGINT NOT NULL,
  FOREIGN KEY (account_id, agent_id) REFERENCES agents (account_id, id) ON DELETE CASCADE
);
CREATE INDEX api_tokens_account ON api_tokens (account_id, id);
CREATE INDEX api_tokens_agent ON api_tokens (agent_id);

-- Passwords of image registries; without an account they serve the whole installation.
CREATE TABLE registry_logins (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} REFERENCES users (id),
  host TEXT NOT NULL,
  username TEXT NOT NULL,
  ciphertext {bytes} NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX registry_logins_account ON registry_logins (account_id, host)
  WHERE account_id IS NOT NULL;
CREATE UNIQUE INDEX registry_logins_installation ON registry_logins (host)
  WHERE account_id IS NULL;

-- What a machine's DTMA proves itself with: one row for each life of an environment.
CREATE TABLE dtma_credentials (
  id {uuid} PRIMARY KEY NOT NULL,
  environment_id {uuid} NOT NULL,
  account_id {uuid} NOT NULL,
  enrolment_hash TEXT NOT NULL UNIQUE,
  enrolment_expires_at BIGINT NOT NULL,
  redeemed_at BIGINT,
  public_key {bytes},
  next_public_key {bytes},
  previous_public_key {bytes},
  certificate_serial TEXT,
  next_certificate_serial TEXT,
  bearer_hash TEXT,
  next_bearer_hash TEXT,
  previous_bearer_hash TEXT,
  control_bearer {bytes},
  join_counter BIGINT NOT NULL,
  locked_at BIGINT,
  lock_reason TEXT,
  revoked_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  FOREIGN KEY (account_id, environment_id) REFERENCES account_tool_environments (account_id, id)
);
CREATE UNIQUE INDEX dtma_credentials_live ON dtma_credentials (environment_id)
  WHERE revoked_at IS NULL;
CREATE INDEX dtma_credentials_bearer ON dtma_credentials (bearer_hash);
CREATE INDEX dtma_credentials_next_bearer ON dtma_credentials (next_bearer_hash);
CREATE INDEX dtma_credentials_previous_bearer ON dtma_credentials (previous_bearer_hash);

-- Timeline, audit log and source of live updates; append-only, so nothing refers to other tables.
CREATE TABLE events (
  sequence {serial},
  id {uuid} NOT NULL UNIQUE,
  at BIGINT NOT NULL,
  account_id {uuid},
  actor_kind TEXT NOT NULL,
  actor_id {uuid},
  kind TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id {uuid} NOT NULL,
  outcome TEXT NOT NULL,
  message TEXT NOT NULL,
  data TEXT NOT NULL,
  source_ip TEXT,
  request_id TEXT
);
CREATE INDEX events_account ON events (account_id, sequence);
CREATE INDEX events_object ON events (object_id, sequence);

-- Measurements. The subject is an instance, or the environment itself for its machine.
CREATE TABLE metric_samples (
  environment_id {uuid} NOT NULL REFERENCES account_tool_environments (id) ON DELETE CASCADE,
  boot_id TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  subject_id {uuid} NOT NULL,
  at BIGINT NOT NULL,
  cpu_millis BIGINT NOT NULL,
  memory_bytes BIGINT NOT NULL,
  disk_bytes BIGINT NOT NULL,
  network_rx_bytes BIGINT NOT NULL,
  network_tx_bytes BIGINT NOT NULL,
  PRIMARY KEY (environment_id, boot_id, sequence, subject_id)
);
CREATE INDEX metric_samples_subject ON metric_samples (environment_id, subject_id, at);
CREATE INDEX metric_samples_at ON metric_samples (at);

-- Keys of the installation itself (certificate authority, sessions), encrypted.
CREATE TABLE system_secrets (
  name TEXT PRIMARY KEY NOT NULL,
  ciphertext {bytes} NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
