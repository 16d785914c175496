-- Records that could not be imported, by reason, with the first of each.
SELECT path, reason, count(*) AS records, min(line) AS first_line, min(byte_offset) AS first_byte, message AS example
FROM quarantined
GROUP BY path, reason
ORDER BY records DESC, path, reason;
