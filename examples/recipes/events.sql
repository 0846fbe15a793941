-- The records of connledger as a table, for DuckDB: connledger(FILES). The recipes beside this file read it; so does
-- whoever starts with:  duckdb -init events.sql
--
-- Columns and their types are named here, as what DuckDB would guess from the first lines is not enough: it would take
-- times for microseconds, and would not know a field that comes later, as the errno of the first failure. A field that
-- a record does not have is NULL. No number is larger than 2^53 - 1. Fields of a later minor version of the schema are
-- passed over until they are added here.
--
-- A stream that was resent after a reconnect holds some records twice: SELECT DISTINCT ON (run, seq) * drops them.
CREATE OR REPLACE TEMP MACRO connledger(files) AS TABLE
SELECT * FROM read_ndjson(files, columns = {
    -- every record
    schema: 'VARCHAR',
    run: 'VARCHAR',
    seq: 'BIGINT',
    time: 'TIMESTAMP_NS',
    host: 'VARCHAR',
    event: 'VARCHAR',
    -- connections and what listens
    conn: 'VARCHAR',
    protocol: 'VARCHAR',
    mptcp_subflow: 'BOOLEAN',
    family: 'VARCHAR',
    v4_mapped: 'BOOLEAN',
    local: 'STRUCT(ip VARCHAR, port USMALLINT, scope_id UINTEGER)',
    remote: 'STRUCT(ip VARCHAR, port USMALLINT, scope_id UINTEGER)',
    netns: 'UINTEGER',
    process: 'STRUCT(id VARCHAR, pid UINTEGER, tid UINTEGER, ppid UINTEGER, comm VARCHAR, comm_hex VARCHAR,
              parent_comm VARCHAR, parent_comm_hex VARCHAR, uid UINTEGER, gid UINTEGER, start TIMESTAMP_NS)',
    attributed_to: 'VARCHAR',
    cgroup_id: 'VARCHAR',
    -- connect
    outcome: 'VARCHAR',
    errno: 'VARCHAR',
    latency_us: 'BIGINT',
    -- accept
    wait_us: 'BIGINT',
    -- close
    duration_us: 'BIGINT',
    bytes_sent: 'BIGINT',
    bytes_received: 'BIGINT',
    segments_sent: 'UINTEGER',
    segments_received: 'UINTEGER',
    retransmits: 'UINTEGER',
    rtt_us: 'UINTEGER',
    opened_by: 'VARCHAR',
    closed_by: 'VARCHAR',
    -- open, retransmit, reset, listen
    state: 'VARCHAR',
    direction: 'VARCHAR',
    action: 'VARCHAR',
    backlog: 'UINTEGER',
    -- start
    version: 'VARCHAR',
    commit: 'VARCHAR',
    host_id: 'VARCHAR',
    boot_id: 'VARCHAR',
    kernel: 'VARCHAR',
    pid: 'UINTEGER',
    since: 'TIMESTAMP_NS',
    previous: 'JSON',
    events: 'VARCHAR[]',
    hooks: 'MAP(VARCHAR, VARCHAR)',
    filters: 'JSON',
    ring_size: 'UINTEGER',
    -- start, heartbeat, stop: the output that this line went through
    output: 'VARCHAR',
    -- loss
    first_seq: 'BIGINT',
    last_seq: 'BIGINT',
    count: 'BIGINT',
    -- heartbeat, stop
    observed: 'BIGINT',
    written: 'BIGINT',
    lost: 'BIGINT',
    filtered: 'BIGINT',
    in_flight: 'BIGINT',
    causes: 'MAP(VARCHAR, BIGINT)',
    incomplete: 'MAP(VARCHAR, BIGINT)',
    recovered: 'BIGINT',
    clock_step_us: 'BIGINT',
    outputs: 'JSON[]',
    reason: 'VARCHAR',
    until: 'TIMESTAMP_NS'
});
