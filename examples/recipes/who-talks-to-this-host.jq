# Who talks to this host: which addresses connect to which of its ports, how often, and how much went each way.
#
#   jq -nc -f who-talks-to-this-host.jq events.ndjson
#
# A connection counts when a process accepts it, its bytes when it is closed; the process is the one that accepted last.
# Times are those of the accepts. They have a fixed length, so they compare as text.
reduce (inputs | select(.event == "accept" or (.event == "close" and .opened_by == "remote"))) as $r ({};
  ([$r.remote.ip, $r.local.port] | tojson) as $who
  | .[$who] = (
      .[$who] // {
        from: $r.remote.ip, port: $r.local.port, process: null,
        connections: 0, bytes_received: 0, bytes_sent: 0, first: null, last: null
      }
      | if $r.event == "accept" then
          .connections += 1
          | if .last == null or $r.time > .last then .last = $r.time | .process = $r.process.comm else . end
          | if .first == null or $r.time < .first then .first = $r.time else . end
        else
          .bytes_received += ($r.bytes_received // 0) | .bytes_sent += ($r.bytes_sent // 0)
        end))
| [.[]] | sort_by(-.connections, .from, .port)[]
