-- Restarts after which no session is left to be ended. A minute later than the restart, since what was decided before
-- it may be committed after it.
UPDATE gyro.gateway g SET restart_open = false
 WHERE restart_open AND restarted_at < clock_timestamp() - interval '1 minute'
   AND NOT EXISTS (SELECT FROM gyro.session_index i
                    WHERE i.gateway_id = g.gateway_id AND i.opened < g.restarted_at AND NOT i.ended AND NOT i.taken_over
                      AND NOT i.release_requested AND i.session <> g.restarted_by)
