-- Prompt groups by what they can teach: spread of rewards, leaves, forks and the share of tokens that prefixes share.
-- signal: none (all rewards equal), or the range of the rewards. tokens, shared: NULL where the log has text only.
WITH size AS (
  SELECT prompt_group, sum(owned) AS tokens, sum(length) AS tokens_flat FROM trajectory WHERE unit = 'token'
  GROUP BY prompt_group
)
SELECT g.run_id, g.step, g.group_id, g.data_source, g.leaves, g.scored, round(g.mean_reward, 4) AS mean_reward,
  g.min_reward, g.max_reward,
  CASE WHEN g.scored = 0 THEN 'unscored' WHEN g.max_reward - g.min_reward <= 1e-12 THEN 'none'
    ELSE printf('%.4g', g.max_reward - g.min_reward) END AS signal,
  g.forks, size.tokens, round(1.0 - 1.0 * size.tokens / size.tokens_flat, 4) AS shared
FROM groups g
LEFT JOIN size ON size.prompt_group = g.id
WHERE g.trajectories > 0
ORDER BY g.run_id, g.step, g.group_id;
