-- Kept attributions: strategy, numbers, how many trajectories have advantages, and the mean |A| of their generated tokens.
-- In text-only logs a segment counts as one token.
-- checks: the conservation checks as JSON; state: complete, or writing where the command was cut off.
SELECT name, strategy, parameters, evidence, state, trajectories, missing,
  (SELECT round(sum(s.total_abs) / sum(s.generated), 4) FROM segment_advantage s WHERE s.attribution = attributions.id)
    AS mean_abs,
  checks
FROM attributions
ORDER BY name;
