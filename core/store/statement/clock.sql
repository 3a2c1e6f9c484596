-- The one clock of all nodes: deadlines and records use the database's (P9).
SELECT clock_timestamp()
