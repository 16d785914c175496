-- Where each kept attribution puts its credit: shares of the sum of |A| by segment kind and tool, paths counted each.
-- mean: of A over the generated tokens of these segments.
SELECT name, run_id, kind, coalesce(tool, '') AS tool, sum(generated) AS tokens,
  round(sum(total_abs) / (SELECT sum(b.total_abs) FROM segment_advantages b WHERE b.name = a.name AND b.run_id = a.run_id), 4)
    AS share,
  round(sum(mean * generated) / sum(generated), 4) AS mean
FROM segment_advantages a
GROUP BY name, run_id, kind, tool
ORDER BY name, run_id, share DESC, kind, tool;
