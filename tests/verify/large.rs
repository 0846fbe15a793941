//! Large logs: how long they take, and how much memory.

use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::command::CONNLEDGER;
use crate::logs::Writer;

/// Events that are written at a time.
const BATCH: usize = 10_000;

/// Writes a whole run of at least so many bytes.
fn write_run(bytes: usize, to: &mut impl std::io::Write) {
    let mut writer = Writer::new("00000000000000aa", 0);
    let mut block = Vec::new();
    writer.begin(&mut block);
    let mut written = 0;
    while written < bytes {
        writer.events(BATCH, &mut block);
        writer.heartbeat(&mut block);
        to.write_all(&block).expect("it is read");
        written += block.len();
        block.clear();
    }
    writer.end(&mut block);
    to.write_all(&block).expect("it is read");
}

/// The most memory that a process has had, KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has memory");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// It reads a log of a hundred megabytes in the memory that a small one takes.
#[test]
fn memory_does_not_grow_with_the_log() {
    let mut verify = Command::new(CONNLEDGER)
        .args(["verify", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = verify.stdin.take().expect("a pipe");
    write_run(100 << 20, &mut stdin);
    // All is read but what is in the pipe.
    let peak = peak_kib(verify.id());
    drop(stdin);
    let output = verify.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(peak < 32 << 10, "{peak} KiB");
}

/// A gigabyte in under five seconds, on two cores with nothing else to do:
/// `cargo test --release --test verify -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, which needs the release build and a gigabyte"]
fn a_gigabyte_in_five_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.ndjson");
    write_run(1_000_000_000, &mut File::create(&path).expect("a file"));
    let mut logs = vec![path.clone()];
    for program in ["gzip", "zstd"] {
        let mut command = Command::new(program);
        command.arg("-kfq").arg(&path);
        if command.status().is_ok_and(|status| status.success()) {
            let suffix = if program == "gzip" { "gz" } else { "zst" };
            logs.push(path.with_extension(format!("ndjson.{suffix}")));
        }
    }
    for log in logs {
        let begun = Instant::now();
        let output = Command::new(CONNLEDGER).arg("verify").arg(&log).output().expect("it runs");
        let took = begun.elapsed();
        println!("{}: {took:?}\n{}", log.display(), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success());
        if log == path && !cfg!(debug_assertions) {
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    }
    std::io::stdout().flush().expect("it is read");
}
