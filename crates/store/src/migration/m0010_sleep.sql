-- Tools that are stopped while nobody uses them (TOOL-9). `idle_seconds` of an instance: NULL is what
-- the catalog entry says, 0 is never. Of a catalog entry: what its definition says, NULL is never.
ALTER TABLE tool_catalog ADD COLUMN idle_seconds BIGINT;
ALTER TABLE account_tool_instances ADD COLUMN idle_seconds BIGINT;
ALTER TABLE account_tool_instances ADD COLUMN last_used_at BIGINT;
ALTER TABLE account_tool_instances ADD COLUMN asleep_since BIGINT;
