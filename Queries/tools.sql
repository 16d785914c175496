-- Tools: calls, failures, latency, length of results, and the mean reward of the trajectories that used them.
-- Each call counts once, with the trajectory that made it.
SELECT v.run_id, coalesce(v.tool, 'unknown') AS tool, count(*) AS calls, count(DISTINCT c.trajectory) AS trajectories,
  sum(v.status IS NOT NULL AND v.status NOT IN ('ok', 'success', 'completed')) AS failures,
  round(avg(v.latency_s), 3) AS mean_latency_s, max(v.latency_s) AS max_latency_s,
  round(avg(v.result_tokens), 1) AS mean_result_tokens, round(avg(v.reward), 4) AS mean_reward
FROM tool_calls v
JOIN tool_call c ON c.id = v.id
GROUP BY v.run_id, v.tool
ORDER BY v.run_id, calls DESC, v.tool;
