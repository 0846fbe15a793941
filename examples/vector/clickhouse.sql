-- The table of clickhouse.toml:  clickhouse-client < clickhouse.sql
--
-- A record that was sent twice has the same key and the same contents, so one of the two goes when parts are merged;
-- SELECT … FROM connledger FINAL does not wait for that. What a record does not have is NULL, or empty in a tuple.
CREATE TABLE IF NOT EXISTS connledger
(
    run FixedString(16),
    seq UInt64,
    time DateTime64(9, 'UTC'),
    host LowCardinality(String),
    event LowCardinality(String),
    schema LowCardinality(String),

    conn Nullable(String),
    protocol LowCardinality(Nullable(String)),
    mptcp_subflow Nullable(Bool),
    family LowCardinality(Nullable(String)),
    v4_mapped Nullable(Bool),
    local Tuple(ip Nullable(String), port Nullable(UInt16), scope_id Nullable(UInt32)),
    remote Tuple(ip Nullable(String), port Nullable(UInt16), scope_id Nullable(UInt32)),
    netns Nullable(UInt32),
    process Tuple(
        id Nullable(String), pid Nullable(UInt32), tid Nullable(UInt32), ppid Nullable(UInt32),
        comm Nullable(String), comm_hex Nullable(String),
        parent_comm Nullable(String), parent_comm_hex Nullable(String),
        uid Nullable(UInt32), gid Nullable(UInt32), start Nullable(DateTime64(9, 'UTC'))),
    attributed_to LowCardinality(Nullable(String)),
    cgroup_id Nullable(String),

    outcome LowCardinality(Nullable(String)),
    errno LowCardinality(Nullable(String)),
    latency_us Nullable(UInt64),
    wait_us Nullable(UInt64),
    duration_us Nullable(UInt64),
    bytes_sent Nullable(UInt64),
    bytes_received Nullable(UInt64),
    segments_sent Nullable(UInt32),
    segments_received Nullable(UInt32),
    retransmits Nullable(UInt32),
    rtt_us Nullable(UInt32),
    opened_by LowCardinality(Nullable(String)),
    closed_by LowCardinality(Nullable(String)),
    state LowCardinality(Nullable(String)),
    direction LowCardinality(Nullable(String)),
    action LowCardinality(Nullable(String)),
    backlog Nullable(UInt32),

    version LowCardinality(Nullable(String)),
    commit LowCardinality(Nullable(String)),
    host_id LowCardinality(Nullable(String)),
    boot_id LowCardinality(Nullable(String)),
    kernel LowCardinality(Nullable(String)),
    pid Nullable(UInt32),
    since Nullable(DateTime64(9, 'UTC')),
    previous Nullable(String),
    events Array(LowCardinality(String)),
    hooks Map(LowCardinality(String), String),
    filters Nullable(String),
    ring_size Nullable(UInt32),
    output LowCardinality(Nullable(String)),

    first_seq Nullable(UInt64),
    last_seq Nullable(UInt64),
    count Nullable(UInt64),
    observed Nullable(UInt64),
    written Nullable(UInt64),
    lost Nullable(UInt64),
    filtered Nullable(UInt64),
    in_flight Nullable(UInt64),
    causes Map(LowCardinality(String), UInt64),
    incomplete Map(LowCardinality(String), UInt64),
    recovered Nullable(UInt64),
    clock_step_us Nullable(Int64),
    outputs Nullable(String),
    reason LowCardinality(Nullable(String)),
    until Nullable(DateTime64(9, 'UTC'))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (run, seq);
