//! Runs that follow each other: what each says of the one before it, however that ended, and where it remembers
//! itself.

mod after;
mod alone;
mod frozen;
mod place;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;

use crate::file::Target;
use crate::log::Log;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;

/// Where a run that writes to a file is remembered if nobody says.
fn beside(target: &Target) -> PathBuf {
    let name = target.path.file_name().unwrap().to_str().unwrap();
    target.path.with_file_name(format!(".{name}.state"))
}

/// What is remembered there.
fn remembered(path: &Path) -> Value {
    let line = fs::read(path).expect("a state");
    assert_eq!(line.len(), 1024);
    serde_json::from_slice(&line).expect("JSON")
}

/// One run from its start to its end, with some connections in it.
fn run_once(scene: &Scene, args: &[&str]) -> String {
    let running = scene.start(args);
    scene.connect(5);
    running.stop()
}

/// The runs in the file, and what the last one's start says of the one before.
fn runs(target: &Target) -> (Vec<Log>, Value) {
    let runs = Log::runs(&fs::read(&target.path).unwrap());
    let previous = runs.last().expect("a run").records[0]["previous"].clone();
    (runs, previous)
}

/// A time in a record, microseconds.
fn micros(time: &Value) -> i64 {
    time.as_str().expect("a time").parse::<Timestamp>().expect("RFC 3339").as_microsecond()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// What verify says of files, and with which exit code.
fn verify(paths: &[&Path]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connledger"));
    let output = command.args(["verify", "--json"]).args(paths).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("a report"))
}

/// Waits until the state names another number than this one.
fn wait_for_progress(path: &Path, seq: &Value) {
    wait_until("the state goes on", || remembered(path)["seq"] != *seq);
}

/// Waits until a record is remembered.
fn wait_for_record(running: &Running, path: &Path) {
    wait_until("a record is remembered", || {
        let line = fs::read(path).unwrap_or_default();
        serde_json::from_slice::<Value>(&line)
            .is_ok_and(|state| state["pid"] == running.pid().as_raw())
    });
}
