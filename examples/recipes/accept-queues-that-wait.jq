# Accept queues that wait: for each listener how long connections waited until its process accepted them, and when the
# longest wait ended.
#
#   jq -nc -f accept-queues-that-wait.jq events.ndjson
def quantile($q): sort | .[(length * $q | ceil) - 1];
[inputs | select(.event == "accept" and .wait_us)]
| group_by(.local.ip, .local.port, .process.comm)
| map(
    (map(.wait_us / 1000)) as $waits
    | (sort_by(-.wait_us, .time)[0]) as $longest
    | {
        ip: .[0].local.ip, port: .[0].local.port, process: .[0].process.comm, accepts: length,
        median_ms: ($waits | quantile(0.5)), p99_ms: ($waits | quantile(0.99)),
        longest_ms: ($longest.wait_us / 1000), at: $longest.time
      })
| sort_by(-.longest_ms, .ip, .port)[]
