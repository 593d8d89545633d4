-- From where the port of an instance may be reached directly, as JSON; and what is known of the
-- firewall that the machine has of its own at its provider, as JSON.
ALTER TABLE account_tool_instances ADD COLUMN direct_access TEXT;
ALTER TABLE account_tool_environments ADD COLUMN firewall TEXT;
