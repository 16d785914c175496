-- Schema version 6: the token columns of a log's record stand in one row, from which its segments take their parts. Rows
-- that earlier versions wrote, one a segment, stay where they are.

-- Users' views of segment_tokens go on with the view that takes its place.
PRAGMA legacy_alter_table = ON;
ALTER TABLE segment_tokens RENAME TO segment_columns;
PRAGMA legacy_alter_table = OFF;

-- A segment's part of its block; all NULL where it has no tokens, or a row of segment_columns.
ALTER TABLE segment ADD COLUMN
  token_block INTEGER REFERENCES token_block;  -- the block
ALTER TABLE segment ADD COLUMN
  block_offset INTEGER;                -- byte of token_block.columns at which the segment's columns begin
-- Lengths of the columns, in the order in which they stand there; NULL: the segment has no such column.
ALTER TABLE segment ADD COLUMN
  token_ids_bytes INTEGER;             -- of token_ids
ALTER TABLE segment ADD COLUMN
  loss_mask_bytes INTEGER;             -- of loss_mask
ALTER TABLE segment ADD COLUMN
  logprobs_bytes INTEGER;              -- of logprobs
ALTER TABLE segment ADD COLUMN
  entropies_bytes INTEGER;             -- of entropies
ALTER TABLE segment ADD COLUMN
  top_logprobs_bytes INTEGER;          -- of top_logprobs
ALTER TABLE segment ADD COLUMN
  top_token_ids_offset INTEGER;        -- byte of candidate_ids.ids at which the segment's ids begin
ALTER TABLE segment ADD COLUMN
  top_token_ids_bytes INTEGER;         -- their length; NULL: none
