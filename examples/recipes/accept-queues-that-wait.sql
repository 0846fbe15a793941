-- Accept queues that wait: for each listener how long connections waited until its process accepted them, and when the
-- longest wait ended.
--
--   duckdb -c "SET VARIABLE log = 'events.ndjson'" -c '.read events.sql' -c '.read accept-queues-that-wait.sql'
SELECT
    local.ip AS ip,
    local.port AS port,
    process.comm AS process,
    count(*) AS accepts,
    quantile_disc(wait_us, 0.5) / 1000 AS median_ms,
    quantile_disc(wait_us, 0.99) / 1000 AS p99_ms,
    max(wait_us) / 1000 AS longest_ms,
    first(time ORDER BY wait_us DESC, time) AS at
FROM connledger(getvariable('log'))
WHERE event = 'accept' AND wait_us IS NOT NULL
GROUP BY ALL
ORDER BY longest_ms DESC, ip, port;
