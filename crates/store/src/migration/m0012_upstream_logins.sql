-- Logins at servers that run elsewhere, one an instance (AGT-7). `sealed` has the tokens; `sealed_id`
-- is made anew with each of its values. `given` has the client that the owner registered there by hand,
-- which outlives the tokens. `lease_*`: who exchanges the refresh token right now.
CREATE TABLE upstream_logins (
  instance_id {uuid} PRIMARY KEY NOT NULL REFERENCES account_tool_instances (id) ON DELETE CASCADE,
  account_id {uuid} NOT NULL,
  sealed_id {uuid} NOT NULL,
  sealed {bytes},
  given_id {uuid},
  given {bytes},
  issuer TEXT,
  client_id TEXT,
  scope TEXT,
  wanted_scope TEXT,
  problem TEXT,
  renew_at BIGINT,
  expires_at BIGINT,
  logged_in_at BIGINT,
  lease_owner {uuid},
  lease_until BIGINT,
  updated_at BIGINT NOT NULL
);
CREATE INDEX upstream_logins_account ON upstream_logins (account_id);

-- Logins that were begun and wait for the browser to come back, at most one an instance. `state_hash` is
-- of what the browser brings back, `browser_hash` of what only the owner's browser has.
CREATE TABLE upstream_login_attempts (
  instance_id {uuid} PRIMARY KEY NOT NULL REFERENCES account_tool_instances (id) ON DELETE CASCADE,
  account_id {uuid} NOT NULL,
  state_hash TEXT NOT NULL UNIQUE,
  browser_hash TEXT,
  sealed_id {uuid} NOT NULL,
  sealed {bytes} NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX upstream_login_attempts_expires ON upstream_login_attempts (expires_at);
