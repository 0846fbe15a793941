-- The most retransmitted connections: the ten of which most segments were sent again by this host.
--
--   duckdb -c "SET VARIABLE log = 'events.ndjson'" -c '.read events.sql' -c '.read most-retransmitted-connections.sql'
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
WHERE event = 'close' AND retransmits > 0
ORDER BY retransmits DESC, time
LIMIT 10;
