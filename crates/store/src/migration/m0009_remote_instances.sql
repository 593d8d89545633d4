-- Where the server of an instance is that runs elsewhere, and the headers it is shown, as JSON. Values of
-- secrets are not in it.
ALTER TABLE account_tool_instances ADD COLUMN remote TEXT;
