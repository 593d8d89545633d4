-- What an account's owner decided for all of its agents. No row is the default of everything.
CREATE TABLE account_settings (
  account_id {uuid} PRIMARY KEY NOT NULL,
  keep_payloads BOOLEAN NOT NULL,
  calls_per_day BIGINT,
  updated_at BIGINT NOT NULL
);

-- How many calls were made in a day. `agent_id` is the account's own id where it counts everybody's; `day` is
-- days since 1970, UTC. No foreign keys: what an agent did outlives it.
CREATE TABLE call_counts (
  account_id {uuid} NOT NULL,
  agent_id {uuid} NOT NULL,
  day BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  PRIMARY KEY (account_id, agent_id, day)
);
CREATE INDEX call_counts_day ON call_counts (day);

ALTER TABLE agents ADD COLUMN calls_per_day BIGINT;
-- Without secrets, and only where the account's owner wants them kept.
ALTER TABLE calls ADD COLUMN arguments TEXT;
ALTER TABLE calls ADD COLUMN result TEXT;
