//! A running container, and the log that it writes to the node.

use std::fs;
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::bundle::Bundle;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it and the runtime say.
const SAID: &str = "said";

const LOG: &str = "/var/log/connledger/events.ndjson";

/// A container. It is killed if it is not stopped.
pub struct Running {
    child: Child,
    name: String,
    /// Where the runtime keeps what it knows.
    known: TempDir,
    log: PathBuf,
    /// What was in the log before.
    before: usize,
}

impl Running {
    /// Starts it, and waits until it is ready.
    pub fn start(bundle: &Bundle) -> Self {
        let known = TempDir::new().unwrap();
        let name = format!("connledger-test-{}", known.path().file_name().unwrap().display());
        let name = name.replace('.', "");
        let log = bundle.of_node(LOG);
        let before = fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        let child = crun(&known)
            .args(["run", "--bundle"])
            .arg(bundle.written())
            .arg(&name)
            .stdin(Stdio::null())
            .stderr(File::create(known.path().join(SAID)).unwrap())
            .spawn()
            .expect("crun");
        let mut running = Self { child, name, known, log, before };
        running.wait_for("ready", |record| record["event"] == "ready");
        running
    }

    /// Its records so far; a line that is being written is none yet.
    pub fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.skip(self.before).map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Waits for a record.
    pub fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(record) = self.records().into_iter().find(&is_it) {
                return record;
            }
            let ended = self.child.try_wait().unwrap();
            let said = || fs::read_to_string(self.known.path().join(SAID)).unwrap();
            assert!(ended.is_none(), "it ended before {what}: {ended:?}: {}", said());
            assert!(Instant::now() < deadline, "no {what} in {:?}: {}", self.records(), said());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Of its process: /proc/PID/status.
    pub fn status(&self) -> String {
        let state = crun(&self.known).args(["state", &self.name]).output().unwrap();
        let state: Value = serde_json::from_slice(&state.stdout).unwrap();
        fs::read_to_string(format!("/proc/{}/status", state["pid"])).unwrap()
    }

    /// Ends it as Kubernetes does. Returns its records.
    pub fn stop(mut self) -> Vec<Value> {
        let told = crun(&self.known).args(["kill", &self.name, "TERM"]).status().unwrap();
        assert!(told.success());
        assert!(self.child.wait().unwrap().success());
        self.records()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = crun(&self.known).args(["kill", &self.name, "KILL"]).status();
            let _ = self.child.wait();
        }
    }
}

/// The runtime. Control groups are not for it to make here, and on some machines it does not like those that there are.
fn crun(known: &TempDir) -> Command {
    let mut crun = Command::new("unshare");
    crun.args([
        "--mount",
        "sh",
        "-ec",
        "mount -t tmpfs none /sys/fs/cgroup; exec crun \"$@\"",
        "sh",
    ]);
    crun.arg("--root").arg(known.path()).arg("--cgroup-manager=disabled");
    crun
}
