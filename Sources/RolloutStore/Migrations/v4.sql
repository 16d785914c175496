
-- Schema version 4: what a checkpoint says about the logged tokens (`arpo-replay rescore`), beside what the log says.

-- A checkpoint's word on the response tokens of some runs, under a name.
CREATE TABLE evidence_set (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- row id, for joins
  name TEXT NOT NULL UNIQUE,           -- by which --evidence asks for it
  policy TEXT NOT NULL,                -- name of the checkpoint's folder
  policy_sha256 TEXT NOT NULL,         -- of its config.json and weights
  adapter TEXT,                        -- name of the LoRA adapter's folder; NULL: none
  adapter_sha256 TEXT,                 -- of its config and weights
  vocab_size INTEGER NOT NULL,         -- of the policy
  temperature REAL,                    -- logits were divided by it; NULL: by that of each run's logged logprobs
  top_k INTEGER NOT NULL,              -- candidates kept a token
  inserted INTEGER NOT NULL,           -- 1: tokens that the policy did not sample (tool results) are scored as well
  unconditioned INTEGER NOT NULL,      -- 1: trajectories without a prompt are scored as if nothing stood before them
  state TEXT NOT NULL                  -- writing (cut off: the same command goes on) or complete
) STRICT;

-- A group that is done. One transaction writes it with all that belongs to it.
CREATE TABLE rescored_group (
  evidence_set INTEGER NOT NULL REFERENCES evidence_set ON DELETE CASCADE,  -- the set that it is done for
  prompt_group INTEGER NOT NULL REFERENCES prompt_group ON DELETE CASCADE,  -- the group
  temperature REAL NOT NULL,           -- that was used
  data_key TEXT NOT NULL,              -- tells whether the group's trajectories are still the same
  PRIMARY KEY (evidence_set, prompt_group)
) STRICT, WITHOUT ROWID;

-- What the set holds of a trajectory, and why not more.
CREATE TABLE rescored_trajectory (
  evidence_set INTEGER NOT NULL REFERENCES evidence_set ON DELETE CASCADE,  -- the set that it belongs to
  trajectory INTEGER NOT NULL REFERENCES trajectory ON DELETE CASCADE,  -- the trajectory that was scored
  ids TEXT NOT NULL,                   -- logged; matched: by the texts of single tokens; retokenized: the log has text only
  prompt TEXT NOT NULL,                -- logged, retokenized (from its text), or none
  scored INTEGER NOT NULL,             -- own tokens that have values
  missing INTEGER NOT NULL,            -- own generated tokens that should have values and have none
  reason TEXT,                         -- why some or all have none
  drift_checked INTEGER,               -- generated tokens whose text was tokenised again; NULL: no tokenizer, or no ids
  drift_tokens INTEGER,                -- of them, those that came out as other tokens
  drift_first INTEGER,                 -- response index of the first of these
  PRIMARY KEY (evidence_set, trajectory)
) STRICT, WITHOUT ROWID;
CREATE INDEX rescored_trajectory_trajectory ON rescored_trajectory (trajectory);

-- Values by segment, coded as in segment_tokens; NaN where a token has none. Float32, as computed.
CREATE TABLE rescored_tokens (
  evidence_set INTEGER NOT NULL REFERENCES evidence_set ON DELETE CASCADE,  -- the set that it belongs to
  segment INTEGER NOT NULL REFERENCES segment ON DELETE CASCADE,  -- the segment whose tokens these are
  tokens INTEGER NOT NULL,             -- of the segment
  token_ids BLOB,                      -- NULL: the logged ones
  logprobs BLOB,                       -- of the logged token, in nats
  top_logprobs BLOB,                   -- candidates, likeliest first; NULL: none were kept
  entropies BLOB,                      -- of the whole vocabulary, in nats
  PRIMARY KEY (evidence_set, segment)
) STRICT, WITHOUT ROWID;
CREATE INDEX rescored_tokens_segment ON rescored_tokens (segment);

-- Evidence sets with how much they cover.
CREATE VIEW evidence_sets AS
SELECT e.name, e.policy, e.policy_sha256, e.adapter, e.adapter_sha256, e.vocab_size, e.temperature, e.top_k, e.inserted,
  e.unconditioned, e.state, count(r.trajectory) AS trajectories, coalesce(sum(r.scored), 0) AS scored,
  coalesce(sum(r.missing), 0) AS missing, coalesce(sum(r.ids = 'retokenized'), 0) AS retokenized,
  sum(r.drift_tokens) AS drift_tokens, sum(r.drift_checked) AS drift_checked
FROM evidence_set e
LEFT JOIN rescored_trajectory r ON r.evidence_set = e.id
GROUP BY e.id;

-- What sets hold, by the names of the trajectories.
CREATE VIEW rescored AS
SELECT e.name, r.run_id, g.group_id, coalesce(t.step, g.step) AS step, t.trajectory_id, x.ids, x.prompt, x.scored,
  x.missing, x.reason, x.drift_checked, x.drift_tokens, x.drift_first
FROM rescored_trajectory x
JOIN evidence_set e ON e.id = x.evidence_set
JOIN trajectory t ON t.id = x.trajectory
JOIN run r ON r.id = t.run
JOIN prompt_group g ON g.id = t.prompt_group;
