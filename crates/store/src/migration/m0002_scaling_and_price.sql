-- The change of size that is under way, as JSON; what the machine costs a month, in US cents; and
-- the disk that the provider gave it, in bytes.
ALTER TABLE account_tool_environments ADD COLUMN scaling TEXT;
ALTER TABLE account_tool_environments ADD COLUMN monthly_price_cents BIGINT;
ALTER TABLE account_tool_environments ADD COLUMN machine_disk_bytes BIGINT;
