//! logrotate, with the file that packaging/logrotate ships, while connledger writes.

use std::fs;
use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::thread;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::tempdir;

use crate::load;
use crate::log::wait_until;
use crate::namespace::Namespace;
use crate::skip::can_trace;
use crate::tools::file;
use crate::tools::output;
use crate::tools::program;

const ROTATIONS: usize = 4;
/// So many at least, before, between and after the rotations; and while they happen as many as there is time for.
const CONNECTIONS: usize = 400;

/// The shipped file for a log in this folder. There is no unit here that systemctl could signal, and no user of that
/// name.
fn configuration(folder: &Path, pid: Pid) -> String {
    let shipped = fs::read_to_string(file("packaging/logrotate/connledger")).unwrap();
    let lines = shipped.lines().map(|line| {
        if line.trim_start().starts_with("systemctl kill --signal=HUP") {
            format!("kill -HUP {pid}")
        } else {
            line.replace("/var/log/connledger", folder.to_str().unwrap())
                .replace("connledger connledger", "root root")
        }
    });
    let configuration = lines.collect::<Vec<_>>().join("\n");
    assert!(configuration.contains(&format!("\nkill -HUP {pid}\n")), "{configuration}");
    configuration
}

fn start(log: &Path) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_connledger"))
        .args(["-q", "--ring-size", "64MiB", "--netns", "/proc/self/ns/net"])
        .args(["-o", &format!("file:{}", log.display())])
        .spawn()
        .expect("connledger");
    wait_until(|| fs::read_to_string(log).is_ok_and(|text| text.contains("\"ready\"")), "ready");
    child
}

/// How many lines a file has.
fn length(path: &Path) -> usize {
    BufReader::new(File::open(path).unwrap()).lines().count()
}

/// Several rotations under load, one that finds nothing new to write, and in the end every record once: the old ones
/// compressed, the one before last as it was.
#[test]
fn rotation_loses_nothing() {
    if !can_trace() || program("logrotate").is_none() {
        return;
    }
    let folder = tempdir().unwrap();
    // In a thread of its own, which stays in the namespace.
    thread::scope(|scope| scope.spawn(|| rotate_under_load(folder.path())).join().unwrap());

    let mut text = String::new();
    for number in (2..=ROTATIONS).rev() {
        let path = folder.path().join(format!("events.log.{number}.gz"));
        let lines = output(Command::new("gzip").arg("-dc").arg(&path));
        assert!(lines.ends_with('\n'), "{} ends within a line", path.display());
        text.push_str(&lines);
    }
    for name in ["events.log.1", "events.log"] {
        let path = folder.path().join(name);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640, "{name}");
        text.push_str(&fs::read_to_string(&path).unwrap());
    }
    // The log and its old ones, connledger's state, and logrotate's configuration and state.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), ROTATIONS + 4, "no other file");

    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let mut next = 1;
    for record in &records {
        assert_eq!(record["seq"], next, "{record}");
        assert!(record["causes"].get("output_full").is_none(), "{record}");
        next = record["last_seq"].as_u64().unwrap_or(next) + 1;
    }
    let stop = records.last().unwrap();
    assert_eq!(stop["event"], "stop");
    assert!(stop["written"].as_u64() >= Some(4 * CONNECTIONS as u64), "{stop}");
}

fn rotate_under_load(folder: &Path) {
    let _namespace = Namespace::enter();
    let log = folder.join("events.log");
    let mut connledger = start(&log);
    let pid = Pid::from_raw(i32::try_from(connledger.id()).unwrap());
    let configuration_file = folder.join("logrotate.conf");
    fs::write(&configuration_file, configuration(folder, pid)).unwrap();
    let rotate = || {
        let mut logrotate = program("logrotate").unwrap();
        logrotate.arg("--force").arg("--state").arg(folder.join("logrotate.state"));
        output(logrotate.arg(&configuration_file));
    };

    for _ in 1..ROTATIONS {
        load::chat(CONNECTIONS / 8);
        thread::scope(|scope| {
            let rotation = scope.spawn(rotate);
            while !rotation.is_finished() {
                load::chat(10);
            }
            rotation.join().unwrap();
        });
        load::chat(CONNECTIONS / 8);
        wait_until(|| length(&log) > 0, "line in the new file");
    }
    load::chat(CONNECTIONS);
    // Nothing happens around this one: the signal alone tells of it.
    wait_until(load::no_socket_is_open, "end of every connection");
    rotate();
    let opened = || {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok()).any(|path| path == log)
    };
    wait_until(opened, "new file opened for a signal");
    load::chat(1);
    wait_until(load::no_socket_is_open, "end of every connection");
    kill(pid, Signal::SIGINT).unwrap();
    assert!(connledger.wait().unwrap().success());
}
