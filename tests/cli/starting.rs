//! What it says where it cannot trace, and what it is once it does.

use std::io::BufRead as _;
use std::io::BufReader;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;
use std::process::Command;
use std::process::Stdio;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::CONNLEDGER;
use crate::can_trace;
use crate::run;
use crate::signal;
use crate::start;
use crate::text;

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
fn a_list_that_was_broken_off_is_not_called_complete() {
    if !can_trace() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _open: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let pid = process::id().to_string();
    for (limit, ready) in [("1", 0), ("100", 1)] {
        let args = ["-q", "-e", "open", "-p", &pid, "-n", limit, "-d", "2s"];
        let log = text(&run(CONNLEDGER, &args).stdout);
        let count = |what: &str| log.matches(&format!("\"event\":\"{what}\"")).count();
        assert!(count("open") >= 1 && count("stop") == 1, "{log}");
        assert_eq!(count("ready"), ready, "{limit}: {log}");
    }
}

#[test]
fn times_are_the_hosts_in_a_time_namespace() {
    if !can_trace() {
        return;
    }
    let pid = process::id().to_string();
    let mut child = Command::new("unshare")
        .args(["--time", "--boottime", "86400", "--", CONNLEDGER, "-q"])
        .args(["-e", "connect", "-p", &pid, "-n", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"event\":\"ready\"")));
    let _ = TcpStream::connect("127.0.0.1:1");
    let connect = lines.find(|line| line.contains("\"event\":\"connect\"")).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let record: serde_json::Value = serde_json::from_str(&connect).unwrap();
    for time in [&record["time"], &record["process"]["start"]] {
        let time: Timestamp = time.as_str().unwrap().parse().unwrap();
        let age = now - time.as_duration().as_secs_f64();
        assert!((-1.0..600.0).contains(&age), "{age} s ago: {connect}");
    }
    assert_eq!(lines.filter(|line| line.contains("\"event\":\"stop\"")).count(), 1);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
