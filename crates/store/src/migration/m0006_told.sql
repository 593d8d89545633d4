-- Why the first start of the machine that got this token failed; NULL as long as it did not.
ALTER TABLE dtma_credentials ADD COLUMN bootstrap_failure TEXT;

-- What is not as it was wanted although the machine serves, as JSON; NULL where all is well.
ALTER TABLE account_tool_environments ADD COLUMN notice TEXT;
