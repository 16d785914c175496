-- Tools: calls, failures, latency, length of results, and the mean reward of the trajectories that used them.
-- Each call counts once, with the trajectory that made it.
SELECT run_id, coalesce(tool, 'unknown') AS tool, count(*) AS calls, count(DISTINCT trajectory_id) AS trajectories,
  sum(status IS NOT NULL AND status NOT IN ('ok', 'success', 'completed')) AS failures,
  round(avg(latency_s), 3) AS mean_latency_s, max(latency_s) AS max_latency_s,
  round(avg(result_tokens), 1) AS mean_result_tokens, round(avg(reward), 4) AS mean_reward
FROM tool_calls
GROUP BY run_id, tool
ORDER BY run_id, calls DESC, tool;
