-- The slowest handshakes: the ten connects that took longest to be established, from the first SYN on.
--
--   duckdb -c "SET VARIABLE log = 'events.ndjson'" -c '.read events.sql' -c '.read slowest-handshakes.sql'
SELECT
    time,
    latency_us / 1000 AS latency_ms,
    process.comm AS process,
    process.pid AS pid,
    local.ip AS "from",
    remote.ip AS "to",
    remote.port AS port
FROM connledger(getvariable('log'))
WHERE event = 'connect' AND outcome = 'established' AND latency_us IS NOT NULL
ORDER BY latency_us DESC, time
LIMIT 10;
