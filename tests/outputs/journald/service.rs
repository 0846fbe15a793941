//! A systemd-journald by hand: an instance for a namespace of its own, which has its own sockets and files, as
//! systemd-journald@.service would run it. The host's journal is not touched.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::journal;
use crate::journal::Fields;
use crate::scene::wait_until;
use crate::skip::skip;

const PROGRAMS: [&str; 2] = ["/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald"];

/// No limits: these tests count. Without the retention it would end after 30 s in which nobody sends.
const CONFIGURATION: &str = "[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\nStorage=volatile\n\
    RuntimeMaxUse=4G\nRuntimeKeepFree=1M\nMaxRetentionSec=1day\n";

/// The instance.
pub struct Service {
    program: &'static str,
    namespace: String,
    machine: String,
    child: Option<Child>,
}

impl Service {
    /// One that does not run yet; none where there is no systemd-journald.
    pub fn prepared() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let Some(program) = PROGRAMS.into_iter().find(|path| Path::new(path).exists()) else {
            skip("needs systemd-journald");
            return None;
        };
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned();
        if machine.len() != 32 {
            skip("needs /etc/machine-id");
            return None;
        }
        let namespace = format!("connledger-{}-{number}", process::id());
        let service = Self { program, namespace, machine, child: None };
        fs::create_dir_all(service.drop_ins()).expect("a folder below /run");
        fs::write(service.drop_ins().join("test.conf"), CONFIGURATION).expect("a drop-in");
        Some(service)
    }

    /// One that runs.
    pub fn started() -> Option<Self> {
        let mut service = Self::prepared()?;
        service.start();
        Some(service)
    }

    /// The output that writes to it.
    pub fn output(&self) -> String {
        format!("journald:{}", self.namespace)
    }

    /// Where its sockets are.
    pub fn folder(&self) -> PathBuf {
        Path::new("/run/systemd").join(format!("journal.{}", self.namespace))
    }

    fn drop_ins(&self) -> PathBuf {
        Path::new("/run/systemd").join(format!("journald@{}.conf.d", self.namespace))
    }

    fn files(&self) -> PathBuf {
        Path::new("/run/log/journal").join(format!("{}.{}", self.machine, self.namespace))
    }

    /// Starts it, and waits until it can be sent to.
    pub fn start(&mut self) {
        fs::create_dir_all(self.folder()).expect("a folder below /run");
        let child = Command::new(self.program)
            .arg(&self.namespace)
            .env("RUNTIME_DIRECTORY", self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("journald");
        self.child = Some(child);
        let socket = self.folder().join("socket");
        let probe = UnixDatagram::unbound().expect("a socket");
        wait_until("journald listens", || probe.connect(&socket).is_ok());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("pid"));
        nix::sys::signal::kill(pid, signal).expect("kill");
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().expect("it ends");
        }
    }

    /// journalctl, on its files.
    pub fn journalctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new("journalctl");
        command.arg("--quiet").arg("--directory").arg(self.files()).args(args);
        command
    }

    /// What journalctl prints.
    pub fn print(&self, args: &[&str]) -> Vec<u8> {
        let output = self.journalctl(args).output().expect("journalctl");
        output.stdout
    }

    /// All of connledger's entries, in the order in which they came.
    pub fn entries(&self) -> Vec<Fields> {
        journal::entries(&self.print(&["--all", "--output=export", "SYSLOG_IDENTIFIER=connledger"]))
    }

    /// The records that they are of. Also checks what is beside them.
    pub fn records(&self) -> Vec<Value> {
        let entries = self.entries();
        entries.iter().for_each(journal::assert_journals_own);
        entries.iter().map(journal::record).collect()
    }

    /// Waits until the journal has an entry with this field.
    pub fn wait_for(&self, field: &str) {
        wait_until(field, || {
            let found = !self.print(&["--lines=1", "--output=cat", field]).is_empty();
            if !found {
                // journalctl takes time that journald could use.
                thread::sleep(Duration::from_millis(50));
            }
            found
        });
    }

    /// Waits for the last record of a run.
    pub fn wait_for_stop(&self) {
        self.wait_for("CONNLEDGER_EVENT=stop");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        for folder in [self.folder(), self.drop_ins(), self.files()] {
            let _ = fs::remove_dir_all(folder);
        }
    }
}
