
-- Schema version 5: the ids of candidates in a column of their own, behind the others, so that entropies are computed
-- without reading them. Rows of earlier versions keep them in top_logprobs.

ALTER TABLE segment_tokens ADD COLUMN
  top_token_ids BLOB;                  -- ids of the candidates, row after row; NULL: none logged, or in top_logprobs
