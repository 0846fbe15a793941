//! What the numbers were measured on, and with.

use std::fs;
use std::process::Command;
use std::thread;

use serde::Serialize;

/// The packages that the peers come in, as Debian calls them.
const PACKAGES: [&str; 4] = ["libbpf-tools", "bpftrace", "bpfcc-tools", "tcpdump"];

/// A machine, and what runs on it.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub processor: String,
    /// Cores that we may use.
    pub cores: usize,
    /// Whether it is a virtual one.
    pub is_virtual: bool,
    /// Memory, in GiB.
    pub memory_gib: f64,
    /// The kernel's release.
    pub kernel: String,
    /// What is measured, with its commit.
    pub connledger: String,
    /// When, in UTC.
    pub time: String,
    /// The peers' packages and versions.
    pub peers: Vec<String>,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let kib = field(&read("/proc/meminfo"), "MemTotal").split(' ').next().map(str::to_owned);
        let kib: f64 = kib.and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
        let mut query = vec!["dpkg-query", "-W", "-f=${Package} ${Version}\\n"];
        query.extend(PACKAGES);
        Self {
            processor: field(&cpuinfo, "model name"),
            cores: thread::available_parallelism().map_or(0, usize::from),
            is_virtual: field(&cpuinfo, "flags").split(' ').any(|flag| flag == "hypervisor"),
            memory_gib: kib / 1024.0 / 1024.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            connledger: said_by(&[env!("CARGO_BIN_EXE_connledger"), "--version"]).trim().to_owned(),
            time: format!("{:.0}", jiff::Timestamp::now()),
            peers: said_by(&query).lines().map(str::to_owned).collect(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What a command prints; nothing if it is not there.
fn said_by(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// What stands behind the first `name`, and a colon.
fn field(text: &str, name: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))
        .unwrap_or("unknown")
        .trim()
        .to_owned()
}
