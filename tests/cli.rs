//! The command line as a user meets it: help, errors, exit codes, signals, pipes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use nix::unistd::Uid;

const CONNLEDGER: &str = env!("CARGO_BIN_EXE_connledger");

#[path = "support/skip.rs"]
mod skip;

use skip::can_trace;

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().expect(program)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

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
    assert_eq!(text(&output.stdout), include_str!("../schema/connledger-1.schema.json"));
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
fn refused(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{program} {args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "never an empty log that looks like one");
    assert!(stderr.starts_with("connledger: "), "{stderr}");
    stderr
}

#[test]
fn without_privileges_it_says_which() {
    if !can_trace() {
        return;
    }
    // The binary may lie where nobody else can look.
    let copy = tempfile::Builder::new().prefix("connledger-").tempdir_in("/tmp").unwrap();
    let binary = copy.path().join("connledger");
    std::fs::copy(CONNLEDGER, &binary).unwrap();
    run("chmod", &["-R", "755", copy.path().to_str().unwrap()]);
    let binary = binary.to_str().unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];

    let said = refused("setpriv", &[&nobody[..], &[binary]].concat());
    assert!(said.contains("CAP_BPF and CAP_PERFMON missing"), "{said}");
    assert!(said.contains("sudo connledger"), "{said}");

    let bpf_only = ["--inh-caps=+bpf", "--ambient-caps=+bpf"];
    let said = refused("setpriv", &[&nobody[..], &bpf_only, &[binary]].concat());
    assert!(said.contains("CAP_PERFMON missing"), "{said}");

    let perfmon_only = ["--inh-caps=+perfmon", "--ambient-caps=+perfmon"];
    let said = refused("setpriv", &[&nobody[..], &perfmon_only, &[binary]].concat());
    assert!(said.contains("CAP_BPF missing"), "{said}");

    // With both it traces (tests/privileges).
    let both = ["--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon"];
    let traced = run("setpriv", &[&nobody[..], &both, &[binary, "-d", "100ms"]].concat());
    assert_eq!(traced.status.code(), Some(0), "{}", text(&traced.stderr));
}

#[test]
fn an_old_kernel_is_named() {
    if !can_trace() {
        return;
    }
    // The kernel can be told to call itself 2.6.
    let said = refused("setarch", &["--uname-2.6", CONNLEDGER]);
    assert!(said.contains("this kernel is 2.6.") && said.contains("5.12"), "{said}");
}

#[test]
fn a_kernel_without_type_information_is_named() {
    if !can_trace() {
        return;
    }
    let hide = format!("mount -t tmpfs none /sys/kernel/btf && exec {CONNLEDGER}");
    let said = refused("unshare", &["--mount", "sh", "-c", &hide]);
    assert!(said.contains("/sys/kernel/btf/vmlinux"), "{said}");
}

fn start(args: &[&str]) -> Child {
    Command::new(CONNLEDGER)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("connledger")
}

fn signal(child: &Child, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn signals_drain_and_write_the_stop() {
    if !can_trace() {
        return;
    }
    for (which, reason) in [(Signal::SIGINT, "interrupted"), (Signal::SIGTERM, "terminated")] {
        let mut child = start(&[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("\"event\":\"start\""));
        signal(&child, which);
        let last = lines.last().unwrap().unwrap();
        assert!(last.contains("\"event\":\"stop\""), "{last}");
        assert!(last.contains(&format!("\"reason\":\"{reason}\"")), "{last}");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_duration_ends_it() {
    if !can_trace() {
        return;
    }
    let begun = Instant::now();
    let output = run(CONNLEDGER, &["-d", "1s", "-q"]);
    assert_eq!(output.status.code(), Some(0));
    assert!((1.0..5.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    assert!(text(&output.stdout).contains("\"reason\":\"duration\""));
    assert!(output.stderr.is_empty(), "quiet: {}", text(&output.stderr));
}

#[test]
fn a_reader_that_goes_away_ends_it_at_once() {
    if !can_trace() {
        return;
    }
    // Nothing happens that could be written: the hang-up itself is noticed.
    let begun = Instant::now();
    let script = format!("{CONNLEDGER} -p 1 | head -1; echo ${{PIPESTATUS[0]}}");
    let output = run("bash", &["-c", &script]);
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert_eq!(stdout.lines().last(), Some("0"), "a clean end");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("roken pipe") && !stderr.contains("panick"), "{stderr}");
}

#[test]
fn a_reader_that_does_not_read_cannot_hold_it() {
    if !can_trace() {
        return;
    }
    // The pipe is full of heartbeat-sized lines soon; a second signal kills, the first one waits 5 s.
    let mut child = start(&["-q"]);
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    for _ in 0..300 {
        let _ = std::net::TcpStream::connect("127.0.0.1:1");
    }
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    signal(&child, Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, Signal::SIGINT);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_full_device_is_a_failure_that_is_told() {
    if !can_trace() {
        return;
    }
    let script = format!("{CONNLEDGER} -d 1s >/dev/full");
    let output = run("bash", &["-c", &script]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("cannot write to stdout") && stderr.contains("No space"), "{stderr}");
}

#[test]
fn privileges_are_gone_once_it_is_ready() {
    if !can_trace() {
        return;
    }
    let mut child = start(&[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"event\":\"ready\"")));
    for task in std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

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

#[test]
fn stderr_may_be_closed_too() {
    if !can_trace() {
        return;
    }
    let script = format!("{CONNLEDGER} -p 1 2>&1 | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}");
    assert_eq!(text(&run("bash", &["-c", &script]).stdout), "0\n");
}

#[test]
fn a_pipe_that_somebody_made_non_blocking_is_waited_for() {
    if !can_trace() {
        return;
    }
    let (reader, writer) = nix::unistd::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut child =
        Command::new(CONNLEDGER).args(["-q", "-n", "400"]).stdout(writer).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    // 400 events are more than the pipe holds; nobody reads it yet.
    for _ in 0..400 {
        let _ = std::net::TcpStream::connect("127.0.0.1:1");
    }
    std::thread::sleep(Duration::from_millis(500));
    let mut log = String::new();
    std::fs::File::from(reader).read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(log.lines().last().unwrap().contains("\"reason\":\"max_events\""));
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
}
