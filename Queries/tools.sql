-- Tools: calls, failures, latency, length of results, and the mean reward of the trajectories that used them.
-- Each call counts once, with the trajectory that made it. mean_result_tokens: of the results whose tokens the log has.
SELECT v.run_id, coalesce(v.tool, 'unknown') AS tool, count(*) AS calls, count(DISTINCT c.trajectory) AS trajectories,
  sum(v.status IS NOT NULL AND v.status NOT IN ('ok', 'success', 'completed')) AS failures,
  round(avg(v.latency_s), 3) AS mean_latency_s, max(v.latency_s) AS max_latency_s,
  -- A text without tokens is one whose tokens nobody logged.
  round(avg(iif(t.unit = 'token' AND (v.result_tokens > 0 OR coalesce(v.result_text, '') = ''), v.result_tokens, NULL)), 1)
    AS mean_result_tokens, round(avg(v.reward), 4) AS mean_reward
FROM tool_calls v
JOIN tool_call c ON c.id = v.id
JOIN trajectory t ON t.id = c.trajectory
GROUP BY v.run_id, v.tool
ORDER BY v.run_id, calls DESC, v.tool;
