-- Declared forks: where they lie, and how the child fared against its parent.
-- after: what the parent had just done where the child leaves it (kind and tool of the segment that ends there).
SELECT c.run_id, c.group_id, p.trajectory_id AS parent, c.trajectory_id AS child, c.branch_index, p.length AS parent_length,
  coalesce((
    SELECT s.kind || coalesce(' ' || s.tool, '') FROM segments s
    WHERE s.run_id = p.run_id AND s.trajectory_id = p.trajectory_id AND s.end_index = c.branch_index
    ORDER BY s.ordinal DESC LIMIT 1
  ), iif(c.branch_index = 0, 'start', 'inside a segment')) AS after,
  p.reward AS parent_reward, c.reward AS child_reward, c.reward - p.reward AS gain
FROM trajectory t
JOIN trajectories c ON c.id = t.id
JOIN trajectories p ON p.id = t.parent
ORDER BY c.run_id, c.group_id, c.trajectory_id;
