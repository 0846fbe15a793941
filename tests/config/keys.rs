//! What a file can say, and how a mistake is named.

use std::fs;
use std::net::Ipv4Addr;

use connledger::config::Destination;
use connledger::config::OnFull;
use connledger::event::Kind;

use super::Written;
use super::config;
use super::config_of;
use super::keys;
use super::refused;

#[test]
fn values_in_all_their_forms() {
    let config = config_of(
        r#"
        events = ["connect", "close"]
        pid = [1, "!2", 0x10, "3,4"]
        uid = 1_000
        comm = "curl,!sshd"
        remote-port = '!443'
        no-loopback = true
        exclude-self = false
        heartbeat = 60
        duration = 1.5
        flush-interval = "20ms"
        ring-size = 16_777_216
        max-events = "10"
        "#,
    )
    .unwrap();
    let filters = &config.filters;
    assert_eq!(config.events, [Kind::Connect, Kind::Close]);
    assert_eq!(filters.pids.to_string(), "1,16,3,4,!2");
    assert_eq!(filters.uids.to_string(), "1000");
    assert_eq!(filters.comms.to_string(), "curl,!sshd");
    assert_eq!(filters.remote_ports.to_string(), "!443");
    assert_eq!(filters.local_nets.to_string(), "!127.0.0.0/8,!::1");
    assert!(!filters.exclude_self);
    assert_eq!(config.heartbeat.unwrap().as_secs(), 60);
    assert_eq!(config.duration.unwrap().as_millis(), 1500);
    assert_eq!(config.flush_interval.as_millis(), 20);
    assert_eq!(config.ring_size, 16 << 20);
    assert_eq!(config.max_events, Some(10));
}

#[test]
fn outputs_are_tables_or_text() {
    let tables = config_of(
        r#"
        [[output]]
        to = "file:/var/log/a,b = c.ndjson"
        rotate = "100MiB"
        keep = 3
        mode = "0600"
        [[output]]
        to = "unix:/run/x.sock"
        on-full = "block"
        send-buffer = 65536
        format = "table"
        "#,
    )
    .unwrap();
    let text = config_of(
        r#"output = ['file:/var/log/a\,b = c.ndjson,rotate=100MiB,keep=3,mode=0600',
                     { to = "unix:/run/x.sock", on-full = "block", send-buffer = "64KiB", format = "table" }]"#,
    )
    .unwrap();
    assert_eq!(tables, text);
    let [file, socket] = tables.outputs.as_slice() else { panic!("{tables:?}") };
    assert_eq!(file.destination.to_string(), "file:/var/log/a,b = c.ndjson");
    let Destination::File(settings) = &file.destination else { panic!("{file:?}") };
    assert_eq!((settings.rotate, settings.keep, settings.mode), (Some(100 << 20), 3, 0o600));
    assert_eq!(socket.on_full, OnFull::Block);

    let single = config_of("output = \"journald\"").unwrap();
    assert_eq!(single.outputs[0].destination.to_string(), "journald");
    assert_eq!(config_of("").unwrap(), config([""; 0]).unwrap());
}

#[test]
fn a_mistake_is_named_with_its_line() {
    for (text, line, named) in [
        ("\nevnets = 'all'", 2, "unknown key 'evnets'; did you mean 'events'?"),
        ("remote_port = 1", 1, "unknown key 'remote_port'; did you mean 'remote-port'?"),
        ("xyzzy = 1", 1, "unknown key 'xyzzy'; the keys are the long options"),
        ("[filters]\npid = 1", 1, "unknown key 'filters'"),
        ("help = true", 1, "unknown key 'help'"),
        ("loopback = true", 1, "unknown key 'loopback'; did you mean 'no-loopback'?"),
        ("config = '/etc/x'", 1, "config: it makes no sense in a file"),
        ("quiet = true\nquiet = true", 2, "duplicate key: quiet"),
        ("events =", 1, "string values must be quoted"),
        ("quiet = true\n\nverbose = true", 3, "verbose: it cannot be used with quiet"),
        ("ipv6 = true\nipv4 = true", 2, "ipv4: it cannot be used with ipv6"),
        // Types.
        ("no-loopback = 'yes'", 1, "no-loopback: it must be true or false, not a string"),
        ("heartbeat = true", 1, "heartbeat: it must be a string or a number, not a boolean"),
        ("heartbeat = [1]", 1, "heartbeat: it must be a string or a number, not an array"),
        ("pid = {}", 1, "pid: it must be a string, a number, or an array of these, not a table"),
        ("pid = [1,\n[2]]", 2, "pid: it must be a string or a number, not an array"),
        ("duration = 07:30:00", 1, "duration: it must be a string or a number, not a date or time"),
        ("pid = []", 1, "pid: it is empty"),
        // Values, as on the command line.
        ("events = ['all',\n'opened']", 2, "events=opened: 'opened' is none of connect, accept"),
        ("pid = [1, -2]", 1, "pid=-2: '-2' is not a number"),
        ("comm = 'sixteen----bytes'", 1, "comm=sixteen----bytes: 'sixteen----bytes' has 16 bytes"),
        ("cgroup = '/no/such'", 1, "cgroup=/no/such: '/no/such' "),
        ("netns = 'no-such'", 1, "there is no /run/netns/no-such"),
        ("local-net = '10.1.2.3/8'", 1, "the network is 10.0.0.0/8"),
        ("format = 'xml'", 1, "format=xml: it is none of ndjson, table"),
        ("ring-size = '8XB'", 1, "ring-size=8XB: 'XB' is no unit"),
        ("max-events = 0", 1, "max-events=0: 0 is not in 1.."),
        ("heartbeat = 1e3", 1, "heartbeat=1e3: "),
        ("timestamp = true", 1, "--timestamp adds a column to a table"),
        // Outputs.
        ("output = 'tape'", 1, "output=tape: 'tape' is none of stdout"),
        ("output = 1.5", 1, "output=1.5: '1.5' is none of stdout"),
        ("output = true", 1, "output: it must be a string, a number, or an array of these"),
        ("[output]\nto = '-'", 1, "output: write it as [[output]]"),
        ("[[output]]\nkeep = 1", 1, "output 1: it does not say where to"),
        ("[[output]]\nto = 7", 2, "output 1: to: it must be a string, not a number"),
        ("[[output]]\n\nto = 'tape'", 3, "output 1: to=tape: 'tape' is none of stdout"),
        (
            "[[output]]\nto = 'stdout'\n[[output]]\nto = 'file:/x'\nrotate = '1'",
            5,
            "output 2: rotate=1: it must be at least 64KiB",
        ),
        ("[[output]]\nkeep = 1\nto = '-'", 2, "output 1: stdout has no option 'keep'; it has"),
        ("[[output]]\nto = '-'\nqueue = true", 3, "output 1: queue: it must be a string or a num"),
        ("[[output]]\nto = '-'\nqueue = '1,format=table'", 3, "output 1: queue=1,format=table: "),
        ("[[output]]\nto = '-'\n[[output]]\nto = 'stdout'", 3, "--output names stdout twice"),
    ] {
        let written = Written::new(text);
        let said = refused(&written.path());
        let place = format!("connledger: {}:{line}: ", written.path().display());
        assert!(said.starts_with(&place) && said.contains(named), "{text:?}: {said}");
    }
}

#[test]
fn long_lists_are_fine() {
    let net = |number: u32| format!("\"{}/32\"", Ipv4Addr::from_bits(0x0a00_0000 + number));
    let nets: Vec<String> = (0..10_000).map(net).collect();
    let with = config_of(&format!("remote-net = [\n{}\n]", nets.join(",\n"))).unwrap();
    assert_eq!(with.filters.remote_nets.include.len(), 10_000);
    let written = Written::new(&format!("local-net = [\n{},\n'10.0.0'\n]", nets.join(",\n")));
    let said = refused(&written.path());
    assert!(said.contains(":10002: local-net=10.0.0: '10.0.0' is no network"), "{said}");
}

#[test]
fn nine_outputs_are_too_many() {
    let table = |number: usize| format!("[[output]]\nto = 'file:/{number}'\n");
    let text: String = (1..=9).map(table).collect();
    let written = Written::new(&text);
    let said = refused(&written.path());
    assert!(said.contains(".toml:17: there are more than 8 outputs"), "{said}");
    fs::write(written.path(), (1..=8).map(table).collect::<String>()).unwrap();
    super::reported(&written.path(), &[]);
}

/// A new option is a key at once, or is named among those that are none.
#[test]
fn each_long_option_is_a_key() {
    let keys = keys();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        // No option takes a table but output, which has another message: whatever is said, the key is known.
        let said = config_of(&format!("{key} = {{}}")).unwrap_err();
        assert!(said.contains(&format!(":1: {key}: ")), "{key}: {said}");
    }
}
