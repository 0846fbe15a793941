//! What the tests read of a line. That the rest is JSON is checked on the way.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A record.
#[derive(Debug, Deserialize)]
pub struct Record {
    pub run: String,
    pub seq: u64,
    pub event: String,
    pub time: String,
    pub host: String,
    pub process: Option<Process>,
    pub local: Option<End>,
    pub remote: Option<End>,
    /// Of a loss.
    pub first_seq: Option<u64>,
    pub last_seq: Option<u64>,
    pub count: Option<u64>,
    pub causes: Option<BTreeMap<String, u64>>,
    /// Of a start, a heartbeat, a stop: the output that it went through.
    pub output: Option<String>,
    /// Of a stop.
    pub observed: Option<u64>,
    pub filtered: Option<u64>,
    #[serde(default)]
    pub outputs: Vec<Figures>,
}

/// Of a process, its name.
#[derive(Debug, Deserialize)]
pub struct Process {
    pub comm: Option<String>,
}

/// An end of a connection.
#[derive(Debug, Deserialize)]
pub struct End {
    pub ip: String,
    pub port: u16,
}

/// The figures of an output.
#[derive(Debug, Deserialize)]
pub struct Figures {
    pub output: String,
    pub written: u64,
    pub lost: u64,
    #[serde(default)]
    pub in_flight: u64,
    #[serde(default)]
    pub resent: u64,
}

impl Record {
    /// Whether it tells of a connection. The others are the ledger's own, and each output may have its own of them.
    pub fn is_event(&self) -> bool {
        !["start", "ready", "loss", "heartbeat", "stop"].contains(&self.event.as_str())
    }
}

/// Reads a line.
pub fn parse(line: &str) -> Record {
    serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"))
}

/// What each line begins with.
pub const ANY_HEAD: &str = r#"{"schema":"connledger/1.0","run":""#;

/// What each line of a run begins with.
pub fn head(run: &str) -> String {
    format!(r#"{ANY_HEAD}{run}","seq":"#)
}

/// What the line of this number begins with.
pub fn beginning(run: &str, seq: u64) -> String {
    format!("{}{seq},", head(run))
}
