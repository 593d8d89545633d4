-- Every call through the gateway. No foreign keys: what an agent did outlives it.
CREATE TABLE calls (
  sequence {serial},
  at BIGINT NOT NULL,
  account_id {uuid} NOT NULL,
  agent_id {uuid},
  user_id {uuid},
  instance_id {uuid} NOT NULL,
  method TEXT NOT NULL,
  target TEXT NOT NULL,
  trace_id TEXT,
  duration_us BIGINT NOT NULL,
  request_bytes BIGINT NOT NULL,
  response_bytes BIGINT NOT NULL,
  outcome TEXT NOT NULL,
  error_code INTEGER
);
CREATE INDEX calls_account ON calls (account_id, sequence);
CREATE INDEX calls_agent ON calls (agent_id, sequence);
CREATE INDEX calls_instance ON calls (instance_id, sequence);
CREATE INDEX calls_at ON calls (at);
