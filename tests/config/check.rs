//! `connledger check`: it says what would be, and begins nothing.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use nix::unistd::Uid;
use serde_json::Value;

use super::CONNLEDGER;
use super::Written;
use super::check;
use super::mode;
use super::reported;
use super::skip::can_trace;
use super::text;

#[test]
fn it_says_what_is_asked_for() {
    let written = Written::new(
        r#"
        events = ["connect", "close"]
        pid = "!1"
        remote-port = [443, "8000-8999"]
        heartbeat = 60
        [[output]]
        to = "unix:/run/nobody/x.sock"
        send-buffer = "64KiB"
        "#,
    );
    let log = written.directory().join("x.ndjson");
    let output = format!("file:{},rotate=100MiB,rotate-every=1d,on-full=drop", log.display());
    let said = reported(&written.path(), &["-4", "--exclude-self", "-d", "2h", "-v"]);
    for line in [
        &format!("configuration   {}", written.path().display()),
        "events          connect, close",
        "  pid           !1",
        "  remote port   443,8000-8999",
        "  family        IPv4",
        "  not told      the processes that read the output",
        "stops after     2h",
        "heartbeat       1m",
        "messages        all, and what libbpf does",
        "output 1        unix:/run/nobody/x.sock",
        "  queue         16384 records; when it is full: drop",
        "  send buffer   64KiB",
        "                warning: there is no /run/nobody/x.sock yet",
        "state           nowhere",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }

    let said = reported(&written.path(), &["-o", &output, "-o", "stdout,format=table"]);
    for line in [
        &format!("output 1        file:{}", log.display()),
        "  mode          0640",
        "  rotated       at 100MiB or after 1d, 7 old ones kept",
        "output 2        stdout",
        "  format        a table",
        "  queue         4096 records; when it is full: block",
        &format!("state           {}/.x.ndjson.state", written.directory().display()),
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }
    assert!(!said.contains("warning"), "{said}");
    let output = check(&written.path(), &["--state", "/no/such/state"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("state           /no/such/state\n"), "{said}");
    assert!(said.contains("error: there is no /no/such\n"), "{said}");
    assert!(!log.exists(), "it was opened");
}

#[test]
fn the_place_of_the_state_is_looked_into() {
    let check = |arguments: &[&str], directory: &str| {
        let mut command = Command::new(CONNLEDGER);
        command.arg("check").args(arguments).env("STATE_DIRECTORY", directory).stdin(Stdio::null());
        let output = command.output().unwrap();
        (text(&output.stdout) + &text(&output.stderr), output.status.code())
    };
    let (said, _) = check(&[], "/nonexistent");
    assert!(said.contains("warning: there is no /nonexistent\n"), "{said}");
    let (said, code) = check(&["-o", "file:/tmp/../tmp/x", "--state", "/tmp/x"], "");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--state /tmp/x is the file of the output file:/tmp/../tmp/x"), "{said}");
}

#[test]
fn it_needs_no_file() {
    let output =
        Command::new(CONNLEDGER).args(["check", "-p", "7"]).stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.starts_with("events          connect, accept, close, open\n"), "{said}");
    assert!(said.contains("\n  pid           7\n"), "{said}");
    // As wrong as without it.
    let output = Command::new(CONNLEDGER).args(["check", "-p", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("'x' is not a number"));
}

/// What stands against an output. The exit code says whether a run would end for it.
fn doubts(output: &str) -> Vec<String> {
    let written = Written::new("");
    let checked = check(&written.path(), &["-o", output]);
    let said = text(&checked.stdout);
    let is_one = |line: &&str| line.starts_with("warning: ") || line.starts_with("error: ");
    let doubts: Vec<_> = said.lines().map(str::trim).filter(is_one).map(str::to_owned).collect();
    if !Uid::effective().is_root() {
        return doubts;
    }
    let errors = doubts.iter().filter_map(|doubt| doubt.strip_prefix("error: "));
    let errors = errors.collect::<Vec<_>>().join("; ");
    if errors.is_empty() {
        assert_eq!(checked.status.code(), Some(0));
    } else {
        assert_eq!(checked.status.code(), Some(1));
        let expected = format!("connledger: a run would end at once: {errors}\n");
        assert_eq!(text(&checked.stderr), expected);
        // And so it does.
        let run =
            Command::new(CONNLEDGER).args(["-q", "-d", "1ms", "-o", output]).output().unwrap();
        assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    }
    doubts
}

#[test]
fn outputs_that_could_not_be_opened_are_doubted() {
    let place = Written::new("");
    let at = |name: &str| place.directory().join(name);
    let path = |name: &str| at(name).display().to_string();
    let none: [&str; 0] = [];

    assert_eq!(doubts(&format!("file:{}", path("new"))), none);
    assert_eq!(
        doubts(&format!("file:{}", path("no/such"))),
        [format!("error: there is no {}", path("no"))]
    );
    fs::create_dir(at("directory")).unwrap();
    let said = [format!("error: {} is no regular file", path("directory"))];
    assert_eq!(doubts(&format!("file:{}", path("directory"))), said);
    symlink(place.path(), at("link")).unwrap();
    let said = [format!("error: {} is no regular file", path("link"))];
    assert_eq!(doubts(&format!("file:{}", path("link"))), said);
    fs::write(at("file"), "").unwrap();
    let said = [
        format!("warning: {}: Not a directory (os error 20)", path("file/below")),
        format!("error: {} is no directory", path("file")),
    ];
    assert_eq!(doubts(&format!("file:{}", path("file/below"))), said);

    // Read-only for its owner, who can be root: outputs are written without any capability.
    mode(&at("file"), "444");
    let said = doubts(&format!("file:{}", path("file")));
    assert_eq!(said, [format!("warning: {}", no_permission(&at("file")))]);
    mode(&at("file"), "644");
    mode(&at("directory"), "555");
    let said = doubts(&format!("file:{}", path("directory/new")));
    assert_eq!(said, [format!("warning: {}", no_permission(&at("directory")))]);

    let _listener = UnixListener::bind(at("socket")).unwrap();
    assert_eq!(doubts(&format!("unix:{}", path("socket"))), none);
    assert_eq!(
        doubts(&format!("unix-dgram:{}", path("none")))[0],
        format!("warning: there is no {} yet", path("none"))
    );
    assert_eq!(
        doubts(&format!("unix:{}", path("file"))),
        [format!("warning: {} is no socket", path("file"))]
    );
}

#[test]
fn a_file_that_could_not_be_made_again_is_doubted() {
    let place = Written::new("");
    let directory = place.directory().join("logs");
    fs::create_dir(&directory).unwrap();
    let log = directory.join("log");
    fs::write(&log, "").unwrap();
    assert_eq!(doubts(&format!("file:{}", log.display())).len(), 0);
    mode(&directory, "555");
    let said = doubts(&format!("file:{},rotate=1MiB", log.display()));
    assert_eq!(said, [format!("error: {}", no_permission(&directory))]);
}

fn no_permission(path: &Path) -> String {
    let path = path.display();
    format!("{path}, for a process without capabilities: Permission denied (os error 13)")
}

/// The hooks of the report.
fn hooks(report: &str) -> Vec<(String, String)> {
    let hooks = report.lines().skip_while(|line| !line.starts_with("hooks ")).skip(1);
    let words = hooks.take_while(|line| line.starts_with("  ")).map(str::split_whitespace);
    words
        .map(|mut words| (words.next().unwrap().to_owned(), words.next().unwrap().to_owned()))
        .collect()
}

#[test]
fn the_hooks_are_those_that_a_run_uses() {
    if !can_trace() {
        return;
    }
    for events in ["connect,accept,close,open", "all", "connect", "listen"] {
        let written = Written::new(&format!("events = \"{events}\""));
        let mut told = hooks(&reported(&written.path(), &[]));
        told.sort();
        let mut run = Command::new(CONNLEDGER)
            .args(["-q", "-d", "1ms", "--config"])
            .arg(written.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = String::new();
        run.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(0));
        let start: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        let mut used: Vec<(String, String)> = start["hooks"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(what, hook)| (what.clone(), hook.as_str().unwrap().to_owned()))
            .collect();
        used.sort();
        assert_eq!(told, used, "{events}");
        let kinds: Vec<&str> =
            start["events"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let report = reported(&written.path(), &[]);
        assert!(report.contains(&format!("events          {}\n", kinds.join(", "))), "{report}");
    }
}

/// Runs it without privileges, but with these capabilities; the binary may lie where nobody else can look.
fn as_nobody(capabilities: &str, file: &Path) -> std::process::Output {
    let place = Written::new("");
    let binary = place.directory().join("connledger");
    fs::copy(CONNLEDGER, &binary).unwrap();
    mode(&binary, "755");
    mode(place.directory(), "755");
    let inheritable = format!("--inh-caps={capabilities}");
    let ambient = format!("--ambient-caps={capabilities}");
    Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", &inheritable, &ambient])
        .arg(&binary)
        .args(["check", "--config"])
        .arg(file)
        .output()
        .unwrap()
}

#[test]
fn what_is_missing_to_trace_is_an_error_after_the_report() {
    if !can_trace() {
        return;
    }
    let written = Written::new("uid = 7");
    mode(written.directory(), "755");
    for (capabilities, missing) in [
        ("-all", "CAP_BPF and CAP_PERFMON missing"),
        ("-all,+bpf", "CAP_PERFMON missing"),
        ("-all,+perfmon", "CAP_BPF missing"),
    ] {
        let output = as_nobody(capabilities, &written.path());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("connledger: ") && said.contains(missing), "{said}");
        assert!(text(&output.stdout).contains("\n  uid           7\n"), "the report");
        assert!(!text(&output.stdout).contains("hooks"), "they are not known");
    }
    // Both are enough: nothing else is missing.
    let output = as_nobody("-all,+bpf,+perfmon", &written.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    assert!(!report.contains("warning"), "{report}");
    let hooks = hooks(&report);
    for what in ["connect", "accept"] {
        assert!(hooks.iter().any(|(hook, _)| hook == what), "{report}");
    }
}

#[test]
fn kernels_that_lack_something_are_named() {
    if !can_trace() {
        return;
    }
    let old = Command::new("setarch").args(["--uname-2.6", CONNLEDGER, "check"]).output().unwrap();
    assert_eq!(old.status.code(), Some(1));
    assert!(text(&old.stderr).contains("5.12"), "{}", text(&old.stderr));
    let hide = format!("mount -t tmpfs none /sys/kernel/btf && exec {CONNLEDGER} check");
    let blind = Command::new("unshare").args(["--mount", "sh", "-c", &hide]).output().unwrap();
    assert_eq!(blind.status.code(), Some(1));
    assert!(text(&blind.stderr).contains("/sys/kernel/btf/vmlinux"), "{}", text(&blind.stderr));
}

/// No program, no map, no tracepoint, and nobody is spoken to, where tracefs is mounted as systemd does it.
#[test]
fn nothing_is_loaded() {
    if !can_trace() {
        return;
    }
    let written = Written::new("events = 'all'");
    let trace = written.directory().join("calls");
    let traced = "mount -t tracefs none /sys/kernel/tracing && exec strace -f \
                  -e trace=bpf,perf_event_open,connect,mount -o \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", traced, "sh"])
        .arg(&trace)
        .args([CONNLEDGER, "check", "--config"])
        .arg(written.path())
        .args(["-o", "journald", "-o", "unix:/x"])
        .output()
        .unwrap();
    // As sh says that there is no such program.
    if output.status.code() == Some(127) {
        super::skip::skip("needs strace");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let calls = fs::read_to_string(&trace).unwrap();
    // It asks whether it could open an event, by one that counts nothing.
    let harmless = |line: &&str| !line.contains('(') || line.contains("PERF_COUNT_SW_DUMMY");
    let calls: Vec<&str> = calls.lines().filter(|line| !harmless(line)).collect();
    assert!(calls.is_empty(), "{calls:#?}");
}

#[test]
fn a_reader_that_goes_away_has_seen_enough() {
    let written = Written::new("");
    let mut child = Command::new(CONNLEDGER)
        .args(["check", "--config"])
        .arg(written.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let said = child.wait_with_output().unwrap();
    assert!(!text(&said.stderr).contains("roken pipe"), "{}", text(&said.stderr));
    assert!(matches!(said.status.code(), Some(0 | 1)));
}
