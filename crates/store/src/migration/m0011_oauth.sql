-- Programs that registered themselves. `expires_at` moves on when they are used.
CREATE TABLE oauth_clients (
  id {uuid} PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  redirect_uris TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX oauth_clients_expires ON oauth_clients (expires_at);

-- What a person allowed a program: one consent, its code, and the end of all its tokens. What the
-- program called itself is copied: its registration may be gone before the grant.
CREATE TABLE oauth_grants (
  id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL,
  user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  agent_id {uuid},
  instance_id {uuid} REFERENCES account_tool_instances (id) ON DELETE CASCADE,
  resource TEXT NOT NULL,
  client_id TEXT NOT NULL,
  client_name TEXT NOT NULL,
  client_host TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  code_hash TEXT NOT NULL UNIQUE,
  code_challenge TEXT NOT NULL,
  code_expires_at BIGINT NOT NULL,
  redeemed_at BIGINT,
  last_used_at BIGINT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  FOREIGN KEY (account_id, agent_id) REFERENCES agents (account_id, id) ON DELETE CASCADE
);
CREATE INDEX oauth_grants_account ON oauth_grants (account_id, id);
CREATE INDEX oauth_grants_agent ON oauth_grants (agent_id);
CREATE INDEX oauth_grants_user ON oauth_grants (user_id);
CREATE INDEX oauth_grants_expires ON oauth_grants (expires_at);

-- The tokens of grants, by their hash. A refresh token that was used stays, so that its second use
-- is seen.
CREATE TABLE oauth_tokens (
  token_hash TEXT PRIMARY KEY NOT NULL,
  grant_id {uuid} NOT NULL REFERENCES oauth_grants (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT
);
CREATE INDEX oauth_tokens_grant ON oauth_tokens (grant_id);
CREATE INDEX oauth_tokens_expires ON oauth_tokens (expires_at);
