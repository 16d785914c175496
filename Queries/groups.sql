-- Prompt groups by what they can teach: spread of rewards, leaves, forks and the share of tokens that prefixes share.
-- signal: none (all rewards equal), or the range of the rewards.
SELECT run_id, step, group_id, data_source, leaves, scored, round(mean_reward, 4) AS mean_reward, min_reward, max_reward,
  CASE WHEN scored = 0 THEN 'unscored' WHEN max_reward - min_reward <= 1e-12 THEN 'none'
    ELSE printf('%.4g', max_reward - min_reward) END AS signal,
  forks, tokens, round(1.0 - 1.0 * tokens / tokens_flat, 4) AS shared
FROM groups
WHERE trajectories > 0
ORDER BY run_id, step, group_id;
