
-- Schema version 3: runs of the learner (`arpo-replay learn`).

-- One run of the learner. Its folder has the same in learner_run.json and metrics.jsonl.
CREATE TABLE learner_run (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- row id, for joins
  directory TEXT NOT NULL UNIQUE,      -- absolute path of the run's folder
  policy TEXT NOT NULL,                -- the checkpoint that it started from
  adapter TEXT,                        -- the adapter that it started from; NULL: none
  attribution TEXT,                    -- where advantages come from; NULL: the loss needs none
  loss TEXT NOT NULL,                  -- such as decoupled
  seed INTEGER NOT NULL,               -- of everything that is drawn
  options TEXT NOT NULL,               -- JSON: everything that decides the result
  data_hash TEXT NOT NULL,             -- SHA-256 of the tokens, advantages and logprobs trained on, in order
  updates INTEGER NOT NULL,            -- of the whole run
  state TEXT NOT NULL,                 -- running (or killed), interrupted, stopped or complete
  reason TEXT,                         -- why it stopped
  started TEXT NOT NULL,               -- UTC
  finished TEXT                        -- UTC; NULL: it was not
) STRICT;

-- What happened to each group that the run selected.
CREATE TABLE learner_group (
  learner_run INTEGER NOT NULL REFERENCES learner_run ON DELETE CASCADE,  -- the run that selected it
  prompt_group INTEGER NOT NULL REFERENCES prompt_group ON DELETE CASCADE,  -- the group
  split TEXT NOT NULL,                 -- train, held_out or dropped
  reason TEXT,                         -- why it was dropped
  trajectories INTEGER NOT NULL,       -- used of it
  PRIMARY KEY (learner_run, prompt_group)
) STRICT, WITHOUT ROWID;

-- Numbers by update, by verl's and TRL's names.
CREATE TABLE learner_metric (
  learner_run INTEGER NOT NULL REFERENCES learner_run ON DELETE CASCADE,  -- the run that the number is of
  step INTEGER NOT NULL,               -- update, from 1
  name TEXT NOT NULL,                  -- such as actor/pg_loss
  value REAL NOT NULL,                 -- as metrics.jsonl has it
  PRIMARY KEY (learner_run, step, name)
) STRICT, WITHOUT ROWID;

-- Runs of the learner, how far they came, and what became of the groups.
CREATE VIEW learner_runs AS
SELECT l.id, l.directory, l.policy, l.adapter, l.attribution, l.loss, l.seed, l.updates,
  (SELECT max(step) FROM learner_metric m WHERE m.learner_run = l.id) AS updates_done, l.state, l.reason,
  (SELECT count(*) FROM learner_group g WHERE g.learner_run = l.id AND g.split = 'train') AS train_groups,
  (SELECT count(*) FROM learner_group g WHERE g.learner_run = l.id AND g.split = 'held_out') AS held_out_groups,
  (SELECT count(*) FROM learner_group g WHERE g.learner_run = l.id AND g.split = 'dropped') AS dropped_groups,
  l.started, l.finished, l.data_hash, l.options
FROM learner_run l;

-- Numbers by update.
CREATE VIEW learner_metrics AS
SELECT l.id AS learner_run, l.directory, m.step, m.name, m.value
FROM learner_metric m
JOIN learner_run l ON l.id = m.learner_run;

-- Groups that a run selected, by name.
CREATE VIEW learner_groups AS
SELECT l.id AS learner_run, l.directory, r.run_id, g.group_id, g.step, x.split, x.reason, x.trajectories
FROM learner_group x
JOIN learner_run l ON l.id = x.learner_run
JOIN prompt_group g ON g.id = x.prompt_group
JOIN run r ON r.id = g.run;
