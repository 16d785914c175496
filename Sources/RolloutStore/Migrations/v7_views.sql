
-- Segments by the names of their trajectories; tokens, generated: NULL where the log has text only.
CREATE VIEW segments AS
SELECT x.id, r.run_id, g.group_id, coalesce(t.step, g.step) AS step, t.trajectory_id, x.ordinal, x.kind, x.tool,
  x.start_index, x.end_index, iif(t.unit = 'token', x.end_index - x.start_index, NULL) AS tokens,
  iif(t.unit = 'token', x.generated, NULL) AS generated, x.tool_call_id, x.status, x.latency_s, x.arguments, x.text
FROM segment x
JOIN trajectory t ON t.id = x.trajectory
JOIN run r ON r.id = t.run
JOIN prompt_group g ON g.id = t.prompt_group;

-- Tool calls with their results, each once, by the trajectory that made them; call_tokens, result_tokens: NULL where the
-- log has text only.
CREATE VIEW tool_calls AS
SELECT c.id, r.run_id, g.group_id, coalesce(t.step, g.step) AS step, t.trajectory_id,
  coalesce(t.data_source, g.data_source) AS data_source, c.number, c.tool, c.tool_call_id, a.arguments, b.status,
  b.latency_s, iif(t.unit = 'token', a.end_index - a.start_index, NULL) AS call_tokens,
  iif(t.unit = 'token', b.end_index - b.start_index, NULL) AS result_tokens,
  b.end_index AS result_end, t.reward, b.text AS result_text
FROM tool_call c
JOIN trajectory t ON t.id = c.trajectory
JOIN run r ON r.id = t.run
JOIN prompt_group g ON g.id = t.prompt_group
LEFT JOIN segment a ON a.id = c.call_segment
LEFT JOIN segment b ON b.id = c.result_segment;

-- Prompt groups with their rewards; leaves count padded copies, tokens are stored once, tokens_flat are those of all paths,
-- NULL where the log has text only.
CREATE VIEW groups AS
SELECT g.id, r.run_id, g.group_id, g.step, coalesce(g.data_source, min(t.data_source)) AS data_source, count(t.id) AS trajectories,
  coalesce(sum(t.multiplicity), 0) AS leaves, coalesce(sum(iif(t.reward IS NULL, 0, t.multiplicity)), 0) AS scored,
  sum(t.reward * t.multiplicity) / sum(iif(t.reward IS NULL, 0, t.multiplicity)) AS mean_reward,
  min(t.reward) AS min_reward, max(t.reward) AS max_reward,
  sum(iif(t.unit = 'token', t.owned, NULL)) AS tokens, sum(iif(t.unit = 'token', t.length, NULL)) AS tokens_flat,
  count(t.parent) AS forks
FROM prompt_group g
JOIN run r ON r.id = g.run
LEFT JOIN trajectory t ON t.prompt_group = g.id
GROUP BY g.id;

-- Model calls, and parts of trajectories that have a row each, in the order of the trajectories that they became; what
-- stands before end_index and behind that of the call before it is the call's.
CREATE VIEW model_calls AS
SELECT c.id, r.run_id, g.group_id, coalesce(t.step, g.step) AS step, t.trajectory_id, c.response_id, c.created, c.end_index,
  s.path, c.line, c.byte_offset
FROM model_call c
JOIN trajectory t ON t.id = c.trajectory
JOIN run r ON r.id = t.run
JOIN prompt_group g ON g.id = t.prompt_group
LEFT JOIN source s ON s.id = c.source;
