# The slowest handshakes: the ten connects that took longest to be established, from the first SYN on.
#
#   jq -nc -f slowest-handshakes.jq events.ndjson
reduce (inputs | select(.event == "connect" and .outcome == "established" and .latency_us)) as $r ([];
  if length < 10 or $r.latency_us >= .[-1].latency_us
  then . + [$r] | sort_by(-.latency_us, .time)[:10]
  else . end)
| .[]
| {
    time, latency_ms: (.latency_us / 1000), process: .process.comm, pid: .process.pid,
    from: .local.ip, to: .remote.ip, port: .remote.port
  }
