-- What each run's log lets one compute: trajectories and tokens by evidence, with the tokens saved by shared prefixes.
-- tokens: stored once; tokens_flat: what the same trajectories hold one by one; NULL where the log has text only.
SELECT run_id, evidence, count(*) AS trajectories, sum(iif(unit = 'token', generated, NULL)) AS generated,
  sum(iif(unit = 'token', owned, NULL)) AS tokens, sum(iif(unit = 'token', length, NULL)) AS tokens_flat,
  sum(tool_calls) AS tool_calls, round(avg(reward), 4) AS mean_reward
FROM trajectories
GROUP BY run_id, evidence
ORDER BY run_id, trajectories DESC;
