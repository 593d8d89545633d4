-- Since when an orphan is to be removed, by somebody's word or by policy; NULL where it stays.
ALTER TABLE orphans ADD COLUMN removal_requested_at BIGINT;
