-- Whether the agent sees two tools that find and call the others, in place of all.
ALTER TABLE agents ADD COLUMN search_mode BOOLEAN NOT NULL DEFAULT FALSE;
