-- Segments on which two kept attributions differ most: -p a=arpo-hard -p b=grpo:verl.
-- delta: mean of A under a less that under b, over the segment's generated tokens.
SELECT x.run_id, x.group_id, x.step, x.trajectory_id, x.ordinal AS segment, x.kind, x.tool, x.start_index, x.end_index,
  round(x.mean, 4) AS mean_a, round(y.mean, 4) AS mean_b, round(x.mean - y.mean, 4) AS delta
FROM segment_advantages x
JOIN segment_advantages y ON y.name = :b AND y.run_id = x.run_id AND y.trajectory_id = x.trajectory_id
  AND y.step IS x.step AND y.ordinal = x.ordinal
WHERE x.name = :a
ORDER BY abs(x.mean - y.mean) DESC, x.run_id, x.group_id, x.trajectory_id, x.ordinal
LIMIT 20;
