-- What the tools of an instance say of themselves (TOOL-10), as JSON: as it was accepted, and as it was listed last
-- where that is something else. The hashes are of the same, and small.
CREATE TABLE tool_definitions (
  instance_id {uuid} PRIMARY KEY NOT NULL,
  account_id {uuid} NOT NULL,
  hold BOOLEAN NOT NULL,
  accepted TEXT NOT NULL,
  accepted_hashes TEXT NOT NULL,
  listed TEXT,
  listed_hashes TEXT,
  updated_at BIGINT NOT NULL
);
