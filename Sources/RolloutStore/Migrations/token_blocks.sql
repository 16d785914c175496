
-- Token columns of the segments of a record, segment after segment. Docs of the codings are in ColumnCodec.swift.
CREATE TABLE token_block (
  id INTEGER PRIMARY KEY,              -- row id of the first of the segments
  columns BLOB NOT NULL                -- of each: token_ids, loss_mask, logprobs, entropies, top_logprobs
) STRICT;

-- Ids of the candidates of those segments, apart from the rest, so that entropies are computed without reading them.
CREATE TABLE candidate_ids (
  block INTEGER PRIMARY KEY REFERENCES token_block,  -- the block that they belong to
  ids BLOB NOT NULL                    -- of each segment
) STRICT;

-- The token columns of each segment that has some. json_column() makes JSON of them, candidates from two:
-- json_column(top_logprobs, top_token_ids).
CREATE VIEW segment_tokens AS
SELECT s.id AS segment,
  -- A token each; numbers of token_string in logs that give texts.
  coalesce(substr(b.columns, s.block_offset + 1, s.token_ids_bytes), c.token_ids) AS token_ids,
  -- NULL: all equal, see segment.generated.
  coalesce(substr(b.columns, s.block_offset + 1 + s.token_ids_bytes, s.loss_mask_bytes), c.loss_mask) AS loss_mask,
  -- Of the sampled tokens, in nats; NULL: none logged.
  coalesce(substr(b.columns, s.block_offset + 1 + s.token_ids_bytes + coalesce(s.loss_mask_bytes, 0),
    s.logprobs_bytes), c.logprobs) AS logprobs,
  -- Logged ones, in nats; NULL: none logged.
  coalesce(substr(b.columns, s.block_offset + 1 + s.token_ids_bytes + coalesce(s.loss_mask_bytes, 0)
    + coalesce(s.logprobs_bytes, 0), s.entropies_bytes), c.entropies) AS entropies,
  -- Of the candidates, in nats; NULL: none logged.
  coalesce(substr(b.columns, s.block_offset + 1 + s.token_ids_bytes + coalesce(s.loss_mask_bytes, 0)
    + coalesce(s.logprobs_bytes, 0) + coalesce(s.entropies_bytes, 0), s.top_logprobs_bytes), c.top_logprobs)
    AS top_logprobs,
  -- Ids of the candidates; NULL: none logged, or in top_logprobs, as versions before 5 kept them.
  coalesce(substr(i.ids, s.top_token_ids_offset + 1, s.top_token_ids_bytes), c.top_token_ids)
    AS top_token_ids
FROM segment s
LEFT JOIN token_block b ON b.id = s.token_block
LEFT JOIN candidate_ids i ON i.block = s.token_block
LEFT JOIN segment_columns c ON c.segment = s.id
WHERE s.token_block IS NOT NULL OR c.segment IS NOT NULL;
