-- Records that could not be imported, by reason, with the first of each.
-- first_line and example belong to first_byte.
SELECT path, reason, count(*) AS records, line AS first_line, min(byte_offset) AS first_byte, message AS example
FROM quarantined
GROUP BY path, reason
ORDER BY records DESC, path, reason;
