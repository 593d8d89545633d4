-- Where the tools of an instance may go to (DTMA-4), as JSON. NULL is everywhere, as it was before.
ALTER TABLE account_tool_instances ADD COLUMN egress TEXT;
