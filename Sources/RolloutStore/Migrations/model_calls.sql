
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
