//! Standard output that is the journal's: the journal gets fields, unless somebody says otherwise.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::Stdio;

use super::Service;
use super::set;
use crate::journal;
use crate::log::Log;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::created;

/// A service's standard output, as systemd makes it: identifier, unit, priority, and what else is to be done with a
/// line.
fn stream(service: &Service) -> UnixStream {
    let mut stream = UnixStream::connect(service.folder().join("stdout")).expect("journald");
    stream.write_all(b"lines\n\n6\n0\n0\n0\n0\n").expect("a header");
    stream
}

/// What JOURNAL_STREAM says of it.
fn named(stream: &UnixStream) -> String {
    let status = nix::sys::stat::fstat(stream).expect("fstat");
    format!("{}:{}", status.st_dev, status.st_ino)
}

/// Starts connledger as a service whose journal is this one: it finds it in the usual place.
fn start(scene: &Scene, service: &Service, stream: &str, stdout: Stdio, args: &[&str]) -> Running {
    let connledger = scene.command(args);
    let place = scene.path("place");
    std::fs::create_dir(&place).expect("a folder");
    let script = "mount --bind \"$1\" \"$2\"; mount -t tmpfs none /run/systemd; \
                  mkdir /run/systemd/journal; mount --bind \"$2\" /run/systemd/journal; \
                  shift 2; exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-ec", script, "sh"])
        .arg(service.folder())
        .arg(place)
        .arg(connledger.get_program())
        .args(connledger.get_args())
        .env("JOURNAL_STREAM", stream)
        .stdout(stdout);
    let mut running = Running::spawn(&mut command);
    running.wait_until_said("tracing; Ctrl-C stops");
    running
}

#[test]
fn stdout_is_the_journal() {
    let Some((scene, service)) = set() else { return };
    let stream = stream(&service);
    let named = named(&stream);
    let stdout = Stdio::from(OwnedFd::from(stream));
    let running = start(&scene, &service, &named, stdout, &[]);
    scene.connect(10);
    let said = running.stop();
    assert_eq!(said.matches("stdout is the journal").count(), 1, "{said}");
    service.wait_for_stop();
    let log = Log { records: service.records() };
    log.check("journald");
    assert!(log.events().count() >= 10);
    let lines = service.print(&["--output=cat", "SYSLOG_IDENTIFIER=lines"]);
    assert!(lines.is_empty(), "{}", lines.escape_ascii());
}

#[test]
fn stdout_is_the_journal_and_lines_were_asked_for() {
    for args in [["-o", "stdout"], ["-f", "ndjson"]] {
        let Some((scene, service)) = set() else { return };
        let stream = stream(&service);
        let named = named(&stream);
        let stdout = Stdio::from(OwnedFd::from(stream));
        let said = start(&scene, &service, &named, stdout, &args).stop();
        assert!(!said.contains("stdout is the journal"), "{said}");
        service.wait_for("SYSLOG_IDENTIFIER=lines");
        let entries =
            journal::entries(&service.print(&["--all", "--output=export", "_TRANSPORT=stdout"]));
        let first = journal::text(&entries[0], "MESSAGE");
        assert!(first.starts_with("{\"schema\":"), "{first}");
        assert!(service.entries().is_empty());
    }
}

#[test]
fn stdout_was_the_journal() {
    let Some((scene, service)) = set() else { return };
    let stream = stream(&service);
    let path = scene.path("stdout");
    // The variable is inherited; the output was redirected.
    let said = start(&scene, &service, &named(&stream), created(&path), &[]).stop();
    assert!(!said.contains("stdout is the journal"), "{said}");
    Log::read(&path).check("stdout");
    assert!(service.entries().is_empty());
}
