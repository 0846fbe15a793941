-- Who talks to this host: which addresses connect to which of its ports, how often, and how much went each way.
--
--   duckdb -c "SET VARIABLE log = 'events.ndjson'" -c '.read events.sql' -c '.read who-talks-to-this-host.sql'
--
-- A connection counts when a process accepts it, its bytes when it is closed; the process is the one that accepted
-- last. Times are those of the accepts.
SELECT
    remote.ip AS "from",
    local.port AS port,
    arg_max(process.comm, time) FILTER (event = 'accept') AS process,
    count(*) FILTER (event = 'accept') AS connections,
    coalesce(sum(bytes_received)::BIGINT, 0) AS bytes_received,
    coalesce(sum(bytes_sent)::BIGINT, 0) AS bytes_sent,
    min(time) FILTER (event = 'accept') AS first,
    max(time) FILTER (event = 'accept') AS last
FROM connledger(getvariable('log'))
WHERE event = 'accept' OR (event = 'close' AND opened_by = 'remote')
GROUP BY ALL
ORDER BY connections DESC, "from", port;
