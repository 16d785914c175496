-- Declared forks: where they lie, and how the child fared against its parent.
-- branch_index and parent_length count tokens, in text-only logs segments: unit says which.
-- after: what had just been done where the child leaves its parent (kind and tool of the segment that ends there).
WITH RECURSIVE ancestor(child, branch_index, id) AS (
  SELECT t.id, t.branch_index, t.parent FROM trajectory t WHERE t.parent IS NOT NULL
  UNION ALL
  -- What lies before the parent's own branch is stored with its parent.
  SELECT a.child, a.branch_index, p.parent FROM ancestor a JOIN trajectory p ON p.id = a.id
  WHERE p.parent IS NOT NULL AND p.branch_index >= a.branch_index
),
place AS (
  SELECT a.child, s.kind || coalesce(' ' || s.tool, '') AS after, max(s.start_index)
  FROM ancestor a JOIN segment s ON s.trajectory = a.id AND s.end_index = a.branch_index
  GROUP BY a.child
)
SELECT c.run_id, c.group_id, c.step, p.trajectory_id AS parent, c.trajectory_id AS child, c.branch_index,
  p.length AS parent_length, c.unit, coalesce(x.after, iif(c.branch_index = 0, 'start', 'inside a segment')) AS after,
  p.reward AS parent_reward, c.reward AS child_reward, c.reward - p.reward AS gain
FROM trajectory t
JOIN trajectories c ON c.id = t.id
JOIN trajectories p ON p.id = t.parent
LEFT JOIN place x ON x.child = t.id
ORDER BY c.run_id, c.group_id, c.step, c.trajectory_id;
