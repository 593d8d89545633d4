-- Which version an instance runs, ran and is about to run (TOOL-4), as JSON. NULL: only ever the one that
-- it was deployed with.
ALTER TABLE account_tool_instances ADD COLUMN versions TEXT;
