-- Where each kept attribution puts its credit: shares of the sum of |A| by segment kind and tool, paths counted each.
-- tokens: NULL in text-only logs; mean: of A over the generated tokens (there: the segments) of these segments.
WITH a AS (
  SELECT s.*, k.name, t.run, t.unit FROM segment_advantage s
  JOIN attribution k ON k.id = s.attribution AND k.state = 'complete'
  JOIN trajectory t ON t.id = s.trajectory
)
SELECT a.name, r.run_id, a.kind, coalesce(a.tool, '') AS tool, sum(iif(a.unit = 'token', a.generated, NULL)) AS tokens,
  round(sum(a.total_abs) / (SELECT sum(b.total_abs) FROM a b WHERE b.attribution = a.attribution AND b.run = a.run), 4)
    AS share,
  round(sum(a.mean * a.generated) / sum(a.generated), 4) AS mean
FROM a
JOIN run r ON r.id = a.run
GROUP BY a.attribution, a.run, a.kind, a.tool
ORDER BY a.name, r.run_id, share DESC, a.kind, a.tool;
