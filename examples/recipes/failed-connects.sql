-- Failed connects by cause and process: what failed, whose it was, how often, to how many destinations, and when.
--
--   duckdb -c "SET VARIABLE log = 'events.ndjson'" -c '.read events.sql' -c '.read failed-connects.sql'
--
-- An attempt that its process gave up has no errno. One that failed early may have no destination.
SELECT
    outcome,
    errno,
    process.comm AS process,
    count(*) AS attempts,
    count(DISTINCT remote) AS "to",
    min(time) AS first,
    max(time) AS last
FROM connledger(getvariable('log'))
WHERE event = 'connect' AND outcome <> 'established'
GROUP BY ALL
ORDER BY attempts DESC, outcome, process;
