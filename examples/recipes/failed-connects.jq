# Failed connects by cause and process: what failed, whose it was, how often, to how many destinations, and when.
#
#   jq -nc -f failed-connects.jq events.ndjson
#
# An attempt that its process gave up has no errno. One that failed early may have no destination.
reduce (inputs | select(.event == "connect" and .outcome != "established")) as $r ({};
  ([$r.outcome, $r.errno, $r.process.comm] | tojson) as $cause
  | .[$cause] = (
      .[$cause] // {
        outcome: $r.outcome, errno: $r.errno, process: $r.process.comm,
        attempts: 0, to: {}, first: $r.time, last: $r.time
      }
      | .attempts += 1
      | if $r.remote then .to[$r.remote | tojson] = 1 else . end
      | .first = ([.first, $r.time] | min)
      | .last = ([.last, $r.time] | max)))
| [.[] | .to |= length] | sort_by(-.attempts, .outcome, .process)[]
