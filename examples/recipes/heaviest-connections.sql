-- The heaviest connections: the ten that carried most bytes of their applications, both ways together.
--
--   duckdb -c "SET VARIABLE log = 'events.ndjson'" -c '.read events.sql' -c '.read heaviest-connections.sql'
--
-- Told when they close: time is the end. Of a connection within this host both ends are told.
SELECT
    time,
    process.comm AS process,
    local.ip AS local,
    local.port AS local_port,
    remote.ip AS remote,
    remote.port AS remote_port,
    bytes_sent,
    bytes_received,
    retransmits,
    segments_sent,
    duration_us / 1e6 AS seconds
FROM connledger(getvariable('log'))
WHERE event = 'close' AND bytes_sent IS NOT NULL
ORDER BY bytes_sent + bytes_received DESC, time
LIMIT 10;
