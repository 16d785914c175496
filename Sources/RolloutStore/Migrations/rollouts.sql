-- The arpo-replay database: logs, rollouts and their tokens, as schema version 7 has them (PRAGMA user_version).
--
-- Tables are named in the singular and joined by integer ids; the views at the end are named in the plural and carry the
-- names a person looks for. Token columns are blobs, in segment_tokens one a segment; the SQL function
-- json_column(blob), which `arpo-replay query` registers, turns any of them into a JSON array; for candidates it takes two
-- blobs, json_column(top_logprobs, top_token_ids).
-- Absent values are NULL, never 0. Provenance: every row leads to a source, a line (from 1) and a byte offset in the
-- uncompressed log.

-- A log file (or standard input) that records came from.
CREATE TABLE source (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  path TEXT NOT NULL,                  -- as given, '-' for standard input
  format TEXT NOT NULL,                -- name of the log format
  container TEXT NOT NULL,             -- plain, zstd or gzip
  layout TEXT NOT NULL,                -- lines, documents or elements
  bytes INTEGER NOT NULL,              -- stored (compressed) bytes read
  sha256 TEXT NOT NULL,                -- of those bytes
  resume_offset INTEGER NOT NULL,      -- uncompressed bytes that are done: the import goes on there
  resume_lines INTEGER NOT NULL,       -- line feeds in them
  records INTEGER NOT NULL,            -- records read, quarantined ones included
  state TEXT NOT NULL,                 -- reading, complete, or cut_off (the stream itself ends early)
  current_run INTEGER REFERENCES run,  -- the run that holds for the next record
  announced_trajectories INTEGER       -- what the log's own `end` record says
) STRICT;

-- A training or sampling run, by its name.
CREATE TABLE run (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  run_id TEXT NOT NULL UNIQUE,         -- name of the run
  algorithm TEXT,                      -- as the log names it, such as arpo or grpo
  model TEXT,                          -- name of the policy that was sampled
  tokenizer_name TEXT,                 -- as logged
  tokenizer_sha256 TEXT,               -- as logged
  vocab_size INTEGER,                  -- tokens of the policy's vocabulary
  temperature REAL,                    -- sampling temperature
  top_p REAL,                          -- of the sampling
  top_k INTEGER,                       -- of the sampling
  logprobs_mode TEXT,                  -- processed_logprobs or raw_logprobs
  branching TEXT,                      -- JSON: the rollout's branching settings
  extra TEXT,                          -- JSON: keys of the log without a column
  source INTEGER REFERENCES source,    -- NULL: no run record, the run was named after its file
  line INTEGER,                        -- of the run record
  byte_offset INTEGER,                 -- of the run record
  is_settled INTEGER NOT NULL DEFAULT 0  -- 0: an import was cut off before it joined calls and groups
) STRICT;

-- All rollouts of one prompt at one step.
CREATE TABLE prompt_group (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  run INTEGER NOT NULL REFERENCES run, -- the run that it belongs to
  group_id TEXT NOT NULL,              -- the log's name of the prompt
  step INTEGER,                        -- training step; NULL: the log has none
  data_source TEXT,                    -- benchmark or data set
  policy_version INTEGER,              -- of the policy that sampled it
  prompt_text TEXT,                    -- as logged
  prompt_token_ids BLOB,               -- token column
  ground_truth TEXT,                   -- the right answer, as logged
  extra TEXT,                          -- JSON: keys of the log without a column
  source INTEGER REFERENCES source,    -- of the group record, else of the first trajectory
  line INTEGER,                        -- of that record
  byte_offset INTEGER,                 -- of that record
  is_recorded INTEGER NOT NULL         -- 1: the log has a group record
) STRICT;
CREATE UNIQUE INDEX prompt_group_key ON prompt_group (run, group_id, coalesce(step, 'none'));

-- One rollout. It stores the tokens that it owns: those from branch_index on; the ones before are its parent's.
CREATE TABLE trajectory (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  run INTEGER NOT NULL REFERENCES run, -- the run of its group
  prompt_group INTEGER NOT NULL REFERENCES prompt_group,  -- the group that it belongs to
  trajectory_id TEXT NOT NULL,         -- the log's name of the rollout; unique in a run and step
  step INTEGER,                        -- as the record says; the group's step where it says nothing
  rollout_index INTEGER,               -- place among the group's rollouts, as logged
  parent INTEGER REFERENCES trajectory,  -- the trajectory that it branched from; NULL: none
  branch_index INTEGER NOT NULL,       -- first owned response index
  branch TEXT,                         -- JSON: why the branch was taken
  unit TEXT NOT NULL,                  -- token, or segment in text-only trajectories
  length INTEGER NOT NULL,             -- units of the whole path
  owned INTEGER NOT NULL,              -- units from branch_index on
  generated INTEGER NOT NULL,          -- owned units that the policy sampled
  reward REAL,                         -- NULL: unscored
  data_source TEXT,                    -- NULL: its group's
  policy_version INTEGER,              -- NULL: its group's
  finish_reason TEXT,                  -- as logged
  multiplicity INTEGER NOT NULL,       -- identical padded copies that this row stands for, itself included
  copies INTEGER NOT NULL,             -- of them, rows of the log that the import folded into this one
  evidence INTEGER NOT NULL,           -- 1 text, 2 token_ids, 4 sampled_logprobs, 8 top_logprobs, 16 entropies
  entropy_kind TEXT,                   -- what the logged entropies are, such as exact or topk
  text TEXT,                           -- the decoded response as logged, without its first text_shared bytes
  text_shared INTEGER NOT NULL,        -- UTF-8 bytes at the front that a full record repeats from its parent's text
  extra TEXT,                          -- JSON: keys of the log without a column
  part INTEGER NOT NULL,               -- last part of a trajectory that a log spreads over several records
  content_hash INTEGER NOT NULL,       -- of everything the record says
  row_hash INTEGER NOT NULL,           -- of everything but its ids: equal rows are copies
  source INTEGER NOT NULL REFERENCES source,  -- the log of its record
  line INTEGER NOT NULL,               -- of the record, in lines from 1
  byte_offset INTEGER NOT NULL         -- of the record, in the uncompressed log
) STRICT;
CREATE UNIQUE INDEX trajectory_key ON trajectory (run, trajectory_id, coalesce(step, 'none'));
CREATE INDEX trajectory_group ON trajectory (prompt_group);
CREATE INDEX trajectory_parent ON trajectory (parent) WHERE parent IS NOT NULL;

-- A stretch of a trajectory: what the policy wrote, or what a tool gave back.
CREATE TABLE segment (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  trajectory INTEGER NOT NULL REFERENCES trajectory,  -- the trajectory that owns it
  ordinal INTEGER NOT NULL,            -- among the trajectory's own segments, from 0
  kind TEXT NOT NULL,                  -- reasoning, tool_call, tool_result, answer or other
  tool TEXT,                           -- name of the tool, in calls and results
  start_index INTEGER NOT NULL,        -- response indices of the whole trajectory, half-open
  end_index INTEGER NOT NULL,          -- first index behind it
  generated INTEGER NOT NULL,          -- units that the policy sampled
  tool_call_id TEXT,                   -- joins a call and its result
  status TEXT,                         -- of a result, as logged: ok, error, …
  latency_s REAL,                      -- of the call, in seconds
  arguments TEXT,                      -- of the call, as logged
  text TEXT,                           -- as logged
  extra TEXT,                          -- JSON: keys of the log without a column
  -- The segment's part of its block; all NULL where it has no tokens, or a row of segment_columns.
  token_block INTEGER REFERENCES token_block,  -- the block
  block_offset INTEGER,                -- byte of token_block.columns at which the segment's columns begin
  -- Lengths of the columns, in the order in which they stand there; NULL: the segment has no such column.
  token_ids_bytes INTEGER,             -- of token_ids
  loss_mask_bytes INTEGER,             -- of loss_mask
  logprobs_bytes INTEGER,              -- of logprobs
  entropies_bytes INTEGER,             -- of entropies
  top_logprobs_bytes INTEGER,          -- of top_logprobs
  top_token_ids_offset INTEGER,        -- byte of candidate_ids.ids at which the segment's ids begin
  top_token_ids_bytes INTEGER          -- their length; NULL: none
) STRICT;
CREATE UNIQUE INDEX segment_key ON segment (trajectory, ordinal);

-- Token columns of a segment that a version before 6 imported. Every blob begins with a byte that names its coding; docs in
-- ColumnCodec.swift.
CREATE TABLE segment_columns (
  segment INTEGER PRIMARY KEY REFERENCES segment,  -- the segment whose tokens these are
  token_ids BLOB NOT NULL,             -- a token each; numbers of token_string in logs that give texts
  loss_mask BLOB,                      -- NULL: all equal, see segment.generated
  logprobs BLOB,                       -- of the sampled tokens, in nats; NULL: none logged
  top_logprobs BLOB,                   -- of the candidates, in nats; NULL: none logged
  entropies BLOB,                      -- logged ones, in nats; NULL: none logged
  top_token_ids BLOB                   -- ids of the candidates, row after row; NULL: none logged, or in top_logprobs
) STRICT;

-- A tool call and its result, where the trajectory owns at least one of them.
CREATE TABLE tool_call (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  trajectory INTEGER NOT NULL REFERENCES trajectory,  -- the trajectory that owns call or result
  number INTEGER NOT NULL,             -- among the trajectory's own calls, from 0
  tool TEXT,                           -- name of the tool
  tool_call_id TEXT,                   -- as logged
  call_segment INTEGER REFERENCES segment,  -- NULL: inherited from the parent, or not in the log
  result_segment INTEGER REFERENCES segment  -- NULL: the call has no result
) STRICT;
CREATE INDEX tool_call_trajectory ON tool_call (trajectory);

-- The named parts of a reward, where the log has them.
CREATE TABLE reward (
  trajectory INTEGER NOT NULL REFERENCES trajectory,  -- the trajectory that was judged
  name TEXT NOT NULL,                  -- name of the part
  score REAL,                          -- NULL: not scored
  weight REAL NOT NULL,                -- of the score in the whole reward
  PRIMARY KEY (trajectory, name)
) STRICT, WITHOUT ROWID;

-- Texts of tokens in logs that give texts and no ids; there token_ids refers to number.
CREATE TABLE token_string (
  run INTEGER NOT NULL REFERENCES run, -- the run whose log has the text
  number INTEGER NOT NULL,             -- stands for the text in token_ids
  text TEXT NOT NULL,                  -- as logged
  bytes BLOB,                          -- where the text alone does not give them
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_string_text ON token_string (run, text);

-- Model calls of response logs, by the hashes that join them into conversations.
CREATE TABLE model_call (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  run INTEGER NOT NULL REFERENCES run, -- the run of the call
  trajectory INTEGER NOT NULL REFERENCES trajectory,  -- the trajectory that holds the call's reply
  response_id TEXT NOT NULL,           -- the server's name of the reply; step/trajectory#part where a log has a row a call
  created REAL,                        -- the server's time, in seconds since 1970
  messages INTEGER NOT NULL,           -- in the request
  request_keys BLOB,                   -- 8 bytes a message: hash of the conversation up to and with it; NULL once joined
  context_segments BLOB,               -- 4 bytes a message: segments of the trajectory that it became; NULL once joined
  prompt_token_ids BLOB,               -- NULL once joined
  reply_key INTEGER NOT NULL,          -- hash of the conversation with the reply, or of the row
  tokens INTEGER,                      -- ids of prompt and reply, where the log has them
  tokens_key INTEGER,                  -- hash of those ids
  end_index INTEGER NOT NULL,          -- response index behind the reply
  is_joined INTEGER NOT NULL,          -- 1: joined to the call before it, or known to have none
  source INTEGER REFERENCES source,    -- the log of its record; NULL, as the next two: imported before version 7
  line INTEGER,                        -- of the record, in lines from 1
  byte_offset INTEGER                  -- of the record, in the uncompressed log
) STRICT;
CREATE INDEX model_call_reply ON model_call (run, reply_key);
CREATE INDEX model_call_response ON model_call (run, response_id);
CREATE INDEX model_call_trajectory ON model_call (trajectory);

-- Records that could not be imported. Their bytes are kept, so that nothing is lost.
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- row id, for joins
  source INTEGER NOT NULL REFERENCES source,  -- the log that it stands in
  line INTEGER NOT NULL,               -- of the record, from 1
  byte_offset INTEGER NOT NULL,        -- of the record, in the uncompressed log
  length INTEGER NOT NULL,             -- bytes of the record; 0: the log breaks off here
  reason TEXT NOT NULL,                -- short name of what is wrong
  message TEXT NOT NULL,               -- what is wrong, in words
  excerpt TEXT,                        -- the first bytes of the record
  raw BLOB,                            -- all of it, zstd; NULL if it was too long to keep
  -- Records that wait for another one (a parent, the part before) and are tried again when it comes.
  waits_in INTEGER REFERENCES run,     -- the run that it waits in
  waits_for TEXT,                      -- key of the record that must come first
  waits_as TEXT                        -- its own key, for records that wait for it; run: those behind a lost run record
) STRICT;
CREATE INDEX quarantine_waiting ON quarantine (waits_in, waits_for) WHERE waits_for IS NOT NULL;

-- What the numbers of a log show that one should know before trusting them.
CREATE TABLE finding (
  id INTEGER PRIMARY KEY,              -- row id, for joins
  source INTEGER NOT NULL REFERENCES source,  -- the log that it was found in
  trajectory INTEGER REFERENCES trajectory,  -- where; NULL: in no single one
  check_name TEXT NOT NULL,            -- what was looked for
  count INTEGER NOT NULL,              -- tokens or records
  first_index INTEGER,                 -- response index of the first one
  note TEXT                            -- more, in words
) STRICT;

-- Trajectories by name, with what they inherit from their group, their evidence in words, and where they stand.
CREATE VIEW trajectories AS
SELECT t.id, r.run_id, g.group_id, coalesce(t.step, g.step) AS step, t.trajectory_id, t.rollout_index,
  p.trajectory_id AS parent_id, t.branch_index, t.unit, t.length, t.owned, t.generated, t.reward, t.multiplicity,
  coalesce(t.data_source, g.data_source) AS data_source,
  coalesce(t.policy_version, g.policy_version) AS policy_version, t.finish_reason,
  rtrim(iif(t.evidence & 1, 'text,', '') || iif(t.evidence & 2, 'token_ids,', '')
    || iif(t.evidence & 4, 'sampled_logprobs,', '') || iif(t.evidence & 8, 'top_logprobs,', '')
    || iif(t.evidence & 16, 'entropies,', ''), ',') AS evidence,
  (SELECT count(*) FROM tool_call c WHERE c.trajectory = t.id) AS tool_calls,
  s.path, t.line, t.byte_offset
FROM trajectory t
JOIN run r ON r.id = t.run
JOIN prompt_group g ON g.id = t.prompt_group
JOIN source s ON s.id = t.source
LEFT JOIN trajectory p ON p.id = t.parent;

-- Records that could not be imported, by the log that they stand in.
CREATE VIEW quarantined AS
SELECT q.id, s.path, q.line, q.byte_offset, q.length, q.reason, q.message, q.excerpt
FROM quarantine q
JOIN source s ON s.id = q.source;

-- Findings by log and check.
CREATE VIEW findings AS
SELECT s.path, f.check_name, count(DISTINCT f.trajectory) AS trajectories, sum(f.count) AS count
FROM finding f
JOIN source s ON s.id = f.source
GROUP BY s.id, f.check_name;
