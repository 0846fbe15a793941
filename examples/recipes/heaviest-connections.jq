# The heaviest connections: the ten that carried most bytes of their applications, both ways together.
#
#   jq -nc -f heaviest-connections.jq events.ndjson
#
# Told when they close: time is the end. Of a connection within this host both ends are told.
def weight: (.bytes_sent + .bytes_received);
reduce (inputs | select(.event == "close" and .bytes_sent)) as $r ([];
  if length < 10 or ($r | weight) >= (.[-1] | weight)
  then . + [$r] | sort_by(-weight, .time)[:10]
  else . end)
| .[]
| {
    time, process: .process.comm, local: .local.ip, local_port: .local.port,
    remote: .remote.ip, remote_port: .remote.port, bytes_sent, bytes_received,
    retransmits, segments_sent, seconds: (if .duration_us then .duration_us / 1e6 else null end)
  }
