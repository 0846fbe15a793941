//! How it ends: by signals, after a time, and with readers that go away or stand still.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::CONNLEDGER;
use crate::can_trace;
use crate::run;
use crate::signal;
use crate::start;
use crate::text;

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
        let _ = TcpStream::connect("127.0.0.1:1");
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
    // 400 events are more than the pipe holds; nobody reads it yet. This kernel may hide a few from all BPF programs.
    for _ in 0..420 {
        let _ = TcpStream::connect("127.0.0.1:1");
    }
    std::thread::sleep(Duration::from_millis(500));
    let mut log = String::new();
    File::from(reader).read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(log.lines().last().unwrap().contains("\"reason\":\"max_events\""));
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
}

/// As of `connledger 2>&1 | less`, which takes what fits on its screen.
#[test]
fn a_pager_that_stands_still_holds_up_neither_other_outputs_nor_the_end() {
    if !can_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut pager = BufReader::new(File::from(reader)).lines().map(Result::unwrap);
    let mut child = Command::new(CONNLEDGER)
        .args(["-e", "connect", "-o", "stdout,on-full=drop,queue=100", "-o"])
        .arg(format!("file:{}", path.display()))
        .stderr(writer.try_clone().unwrap())
        .stdout(writer)
        .spawn()
        .unwrap();
    assert!(pager.any(|line| line.starts_with("connledger: tracing")));
    let count = |what: &str| {
        std::fs::read_to_string(&path).unwrap().matches(&format!("\"event\":\"{what}\"")).count()
    };
    // The pipe is full, then the queue, and what is said of that has no room either.
    for most in [2000, 4000] {
        // This kernel may hide a few from all BPF programs.
        for _ in 0..2050 {
            let _ = TcpStream::connect("127.0.0.1:1");
        }
        let begun = Instant::now();
        while count("connect") < most {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", count("connect"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let begun = Instant::now();
    signal(&child, Signal::SIGINT);
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(15), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(1), "stdout lacks something");
    assert_eq!(count("stop"), 1);
    drop(pager);
}

#[test]
fn a_reader_that_leaves_something_unread_ends_it_as_well() {
    if !can_trace() {
        return;
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = Command::new(CONNLEDGER)
        .args(["-q", "-e", "connect"])
        .stdout(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let mut start = [0; 1];
    (&ours).read_exact(&mut start).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    // More than the socket takes: the next write waits.
    for _ in 0..3000 {
        let _ = TcpStream::connect("127.0.0.1:1");
    }
    std::thread::sleep(Duration::from_millis(300));
    drop(ours);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
