-- Segments on which two kept attributions differ most: -p a=arpo-hard -p b=grpo:verl.
-- delta: mean of A under a less that under b, over the segment's generated tokens (a text-only log's segment is one).
SELECT t.run_id, t.group_id, t.step, t.trajectory_id, x.ordinal AS segment, x.kind, x.tool, x.start_index, x.end_index,
  round(x.mean, 4) AS mean_a, round(y.mean, 4) AS mean_b, round(x.mean - y.mean, 4) AS delta
FROM attribution a
JOIN attribution b ON b.name = :b AND b.state = 'complete'
JOIN segment_advantage x ON x.attribution = a.id
JOIN segment_advantage y ON y.attribution = b.id AND y.trajectory = x.trajectory AND y.ordinal = x.ordinal
JOIN trajectories t ON t.id = x.trajectory
WHERE a.name = :a AND a.state = 'complete'
ORDER BY abs(x.mean - y.mean) DESC, t.run_id, t.group_id, t.step, t.trajectory_id, x.ordinal
LIMIT 20;
