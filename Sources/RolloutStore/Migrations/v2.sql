
-- Schema version 2: advantages, kept under a name (`arpo-replay attribute`).

-- One strategy applied to the trajectories of a selection.
CREATE TABLE attribution (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- row id, for joins
  name TEXT NOT NULL UNIQUE,           -- by which queries and the learner ask for it
  strategy TEXT NOT NULL,              -- such as arpo-hard or grpo:trl
  kind TEXT NOT NULL,                  -- leaf: one value a trajectory; token: its tokens may differ
  scope TEXT NOT NULL,                 -- what its statistics run over: group, or batch (all leaves of a step)
  formula TEXT NOT NULL,               -- as a report prints it
  formula_source TEXT NOT NULL,        -- paper or code that the formula is taken from
  epsilon REAL,                        -- as the formula has it; NULL: it has none
  ddof INTEGER,                        -- a variance is divided by N - ddof; NULL: there is none
  parameters TEXT NOT NULL,            -- JSON: every number of the formula that has a name, these two included
  evidence TEXT NOT NULL,              -- what of the log it stands on, with commas between
  selection TEXT NOT NULL,             -- JSON: the runs and groups that were asked for, [] = all
  data_key TEXT NOT NULL,              -- tells whether the trajectories of the selection are still the same
  state TEXT NOT NULL,                 -- writing (cut off: the same command starts over) or complete
  trajectories INTEGER,                -- rows of advantage; NULL until complete
  missing INTEGER,                     -- of them, those without a value: unscored, or without the evidence
  checks TEXT                          -- JSON: the conservation checks; NULL until complete
) STRICT;

-- The advantages of one trajectory's generated tokens, those of its inherited prefix included.
CREATE TABLE advantage (
  attribution INTEGER NOT NULL REFERENCES attribution ON DELETE CASCADE,  -- the results that it belongs to
  trajectory INTEGER NOT NULL REFERENCES trajectory ON DELETE CASCADE,  -- whose tokens these are
  mean REAL,                           -- over the generated tokens; NULL: the trajectory has no advantage
  total_abs REAL,                      -- sum of |A| over them
  runs BLOB,                           -- NULL: every generated token has `mean`; json_column(runs) is one number a
                                       -- response token (text-only: a segment), 0 for inserted ones
  PRIMARY KEY (attribution, trajectory)
) STRICT, WITHOUT ROWID;
CREATE INDEX advantage_trajectory ON advantage (trajectory);

-- The same by segment of the path; segments without generated tokens, and trajectories without advantages, have no row.
CREATE TABLE segment_advantage (
  attribution INTEGER NOT NULL,        -- the results that it belongs to
  trajectory INTEGER NOT NULL,         -- whose path it lies on
  ordinal INTEGER NOT NULL,            -- among the segments of the path, inherited ones first, from 0
  kind TEXT NOT NULL,                  -- as in segment
  tool TEXT,                           -- as in segment
  start_index INTEGER NOT NULL,        -- response indices of the whole trajectory, half-open
  end_index INTEGER NOT NULL,          -- first index behind it
  is_owned INTEGER NOT NULL,           -- 0: all of it lies before the trajectory's branch
  generated INTEGER NOT NULL,          -- units that the policy sampled
  mean REAL NOT NULL,                  -- over these
  total_abs REAL NOT NULL,             -- sum of |A| over these
  PRIMARY KEY (attribution, trajectory, ordinal),
  FOREIGN KEY (attribution, trajectory) REFERENCES advantage ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Kept attributions, the ones that are being written included.
CREATE VIEW attributions AS
SELECT a.id, a.name, a.strategy, a.kind, a.scope, a.formula, a.formula_source, a.epsilon, a.ddof, a.parameters,
  a.evidence, a.selection, a.state, a.trajectories, a.missing, a.checks
FROM attribution a;

-- Advantages of complete attributions, a row a trajectory.
CREATE VIEW advantages AS
SELECT a.name, a.strategy, r.run_id, g.group_id, coalesce(t.step, g.step) AS step, t.trajectory_id,
  coalesce(t.data_source, g.data_source) AS data_source, t.reward, t.multiplicity, v.mean, v.total_abs, v.runs
FROM advantage v
JOIN attribution a ON a.id = v.attribution AND a.state = 'complete'
JOIN trajectory t ON t.id = v.trajectory
JOIN run r ON r.id = t.run
JOIN prompt_group g ON g.id = t.prompt_group;

-- The same by segment of the path.
CREATE VIEW segment_advantages AS
SELECT a.name, a.strategy, r.run_id, g.group_id, coalesce(t.step, g.step) AS step, t.trajectory_id,
  coalesce(t.data_source, g.data_source) AS data_source, t.reward, t.multiplicity, s.ordinal, s.kind, s.tool,
  s.start_index, s.end_index, s.is_owned, s.generated, s.mean, s.total_abs
FROM segment_advantage s
JOIN attribution a ON a.id = s.attribution AND a.state = 'complete'
JOIN trajectory t ON t.id = s.trajectory
JOIN run r ON r.id = t.run
JOIN prompt_group g ON g.id = t.prompt_group;
