-- Secrets that a link carries in place of its instance's own (AGT-6).
CREATE TABLE link_secrets (
  link_id {uuid} NOT NULL REFERENCES agent_tool_instance_links (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  account_id {uuid} NOT NULL,
  secret_id {uuid} NOT NULL,
  PRIMARY KEY (link_id, name),
  FOREIGN KEY (account_id, secret_id) REFERENCES secrets (account_id, id)
);
CREATE INDEX link_secrets_secret ON link_secrets (secret_id);
