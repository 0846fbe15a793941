//! What it prints: help, errors, the schema, tables and lines.

use nix::unistd::Uid;

use crate::CONNLEDGER;
use crate::can_trace;
use crate::run;
use crate::text;

#[test]
fn help_fits_a_terminal_and_names_everything() {
    for flag in ["-h", "--help"] {
        let output = run(CONNLEDGER, &[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        let help = text(&output.stdout);
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{flag}: {line}");
        }
        for word in [
            "Usage:",
            "Examples:",
            "What to trace:",
            "Which connections:",
            "Output:",
            "Tuning:",
            "check",
            "schema",
            "verify",
            "generate",
            "--config",
            "--events",
            "--format",
            "--output",
            "--pid",
            "--uid",
            "--comm",
            "--cgroup",
            "--netns",
            "--local-port",
            "--remote-port",
            "--local-net",
            "--remote-net",
            "--no-loopback",
            "--exclude-self",
            "--mptcp-subflows",
            "-4",
            "-6",
            "--max-events",
            "--duration",
            "--ring-size",
            "--flush-interval",
            "--heartbeat",
            "--quiet",
            "--verbose",
            "--timestamp",
            "ndjson",
            "table",
            "connect,accept,close",
            "8MiB",
        ] {
            assert!(help.contains(word), "{flag} lacks {word}");
        }
        assert!(!help.contains("\n  line\n"), "a wrapped example");
        assert_eq!(help.contains("Exit codes:"), flag == "--help", "{flag}");
        assert_eq!(help.contains("Filters:"), flag == "--help", "{flag}");
    }
}

#[test]
fn version_names_commit_libbpf_and_schema() {
    for flag in ["-V", "--version"] {
        let version = text(&run(CONNLEDGER, &[flag]).stdout);
        assert!(version.starts_with(concat!("connledger ", env!("CARGO_PKG_VERSION"))));
        assert!(version.contains("(commit "), "{version}");
        assert!(version.contains(", libbpf 1."), "{version}");
        assert!(version.contains(", schema connledger/1.0)"), "{version}");
    }
}

#[test]
fn the_schema_is_printed() {
    let output = run(CONNLEDGER, &["schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), include_str!("../../schema/connledger-1.schema.json"));
}

#[test]
fn bad_input_names_the_option_and_the_value() {
    for (args, option, value) in [
        (&["-e", "packet"][..], "--events", "packet"),
        (&["-e", ""], "--events", "connect, accept, close"),
        (&["-f", "xml"], "--format", "xml"),
        (&["-o", "tcp:1.2.3.4"], "--output", "tcp:1.2.3.4"),
        (&["-o", "stdout", "-o", "stdout"], "--output", "stdout"),
        (&["-p", "1,x"], "--pid", "x"),
        (&["-p", "-3"], "--pid", "-3"),
        (&["-p", "!"], "--pid", "!"),
        (&["-u", "4294967296"], "--uid", "4294967296"),
        (&["--comm", "a-name-that-is-too-long"], "--comm", "the first 15 of a name"),
        (&["--comm", "curl,"], "--comm", "'' is no name"),
        (&["--cgroup", "!/no/such"], "--cgroup", "!/no/such"),
        (&["--cgroup", "/sys/fs/cgroup/no-such"], "--cgroup", "/sys/fs/cgroup/no-such"),
        (&["--netns", "no-such"], "--netns", "/run/netns/no-such"),
        (&["--netns", "1,/proc/self/ns/mnt"], "--netns", "/proc/self/ns/mnt"),
        (&["--local-port", "80,http"], "--local-port", "http"),
        (&["--local-port", "-80"], "--local-port", "-80"),
        (&["--remote-port", "65536"], "--remote-port", "65536"),
        (&["--remote-port", "!9000-8000"], "--remote-port", "8000-9000"),
        (&["--local-net", "10.0.0.0/33"], "--local-net", "10.0.0.0/33"),
        (&["--local-net", "!10.1.2.3/8"], "--local-net", "the network is 10.0.0.0/8"),
        (&["--remote-net", "example.org"], "--remote-net", "example.org"),
        (&["--remote-net", "::1,2001:db8::1/32"], "--remote-net", "2001:db8::/32"),
        (&["--no-loopback=yes"], "--no-loopback", "yes"),
        (&["--exclude-self=yes"], "--exclude-self", "yes"),
        (&["--mptcp-subflows=1"], "--mptcp-subflows", "1"),
        (&["-n", "0"], "--max-events", "0"),
        (&["-d", "soon"], "--duration", "soon"),
        (&["-d", "0"], "--duration", "0"),
        (&["--ring-size", "1KiB"], "--ring-size", "1KiB"),
        (&["--ring-size", "8XB"], "--ring-size", "8XB"),
        (&["--flush-interval", "1week"], "--flush-interval", "1week"),
        (&["--heartbeat", "often"], "--heartbeat", "often"),
        (&["-4", "-6"], "--ipv4", "--ipv6"),
        (&["-t"], "--timestamp", "-f table"),
        (&["-q", "-v"], "--quiet", "--verbose"),
        (&["--colour"], "--colour", "--colour"),
        (&["record"], "record", "record"),
    ] {
        let output = run(CONNLEDGER, args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(option) && stderr.contains(value), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

/// Runs a command that must fail to trace; returns what it said.

#[test]
fn a_table_has_its_columns_and_jq_its_lines() {
    if !can_trace() {
        return;
    }
    assert!(Uid::effective().is_root());
    let script = format!(
        "{CONNLEDGER} -q -e connect -f table -t -n 1 & sleep 1; \
         for i in 1 2 3; do exec 3<>/dev/tcp/127.0.0.1/1; done 2>/dev/null; wait"
    );
    let table = text(&run("bash", &["-c", &script]).stdout);
    let mut lines = table.lines();
    let titles: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        titles,
        ["TIME", "EVENT", "PID", "COMM", "IP", "LADDR", "LPORT", "RADDR", "RPORT", "RESULT"]
    );
    assert!(lines.next().unwrap().contains("connect"), "{table}");

    let script = format!("{CONNLEDGER} -q -e connect -d 500ms | jq -r .event");
    let events = text(&run("bash", &["-c", &script]).stdout);
    assert!(events.starts_with("start\nready\n") && events.ends_with("stop\n"), "{events}");
}

/// `ip netns add 100`: which of the two is meant, only the user knows.
#[test]
fn a_number_that_is_the_name_of_a_namespace_is_asked_about() {
    if !can_trace() {
        return;
    }
    let script = format!(
        "mount -t tmpfs none /run && mkdir /run/netns && touch /run/netns/100 && exec {CONNLEDGER} --netns 100"
    );
    let output = run("unshare", &["--mount", "sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("for the name write /run/netns/100"), "{said}");
}
