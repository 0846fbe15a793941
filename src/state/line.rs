//! The one line of the state, as it is written and read.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::clock::Moment;
use crate::clock::WallTime;
use crate::encode::TimeWriter;
use crate::encode::push_count;
use crate::encode::push_u64;
use crate::host::Identity;
use crate::host::is_id;
use crate::ledger::Previous;
use crate::ledger::StopReason;
use crate::verify::printable;

/// Name and version of the line's form.
const SCHEMA: &str = "connledger-state/1";

/// How the line of any version begins.
const BEGINNING: &[u8] = b"{\"schema\":\"connledger-state/";

/// Its length with the newline, bytes: a sector of the oldest disks, and more than it ever needs.
pub const SIZE: usize = 512;

/// The line as it is written: again and again in the same buffer, without formatting machinery.
#[derive(Debug)]
pub struct Line {
    bytes: Vec<u8>,
    /// What does not change: so much of it.
    fixed: usize,
    time: TimeWriter,
}

impl Line {
    /// The line of a run that has given no number yet.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let Identity { run, boot_id, .. } = identity;
        let pid = std::process::id();
        let fixed = format!(
            "{{\"schema\":\"{SCHEMA}\",\"run\":\"{run}\",\"pid\":{pid},\"boot_id\":\"{boot_id}\",\"seq\":"
        );
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(fixed.as_bytes());
        Self { fixed: bytes.len(), bytes, time: TimeWriter::default() }
    }

    /// Says where the run stands, and why it has ended, if it has.
    pub fn set(&mut self, seq: u64, until: Moment, stopped: Option<StopReason>) {
        let out = &mut self.bytes;
        out.truncate(self.fixed);
        push_count(out, seq);
        out.extend_from_slice(b",\"until\":\"");
        self.time.write(out, until.wall.0);
        out.extend_from_slice(b"\",\"until_boot_ns\":");
        push_u64(out, until.boot_ns);
        if let Some(reason) = stopped {
            out.extend_from_slice(b",\"stopped\":\"");
            out.extend_from_slice(reason.name().as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
        out.resize(SIZE - 1, b' ');
        out.push(b'\n');
    }

    /// The whole line.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A line that says nothing yet.
pub fn blank() -> [u8; SIZE] {
    let mut line = [b' '; SIZE];
    line[SIZE - 1] = b'\n';
    line
}

/// Whether it is a line of this or another version, sound or not, or none yet: a file that may be written over.
pub fn is_ours(bytes: &[u8]) -> bool {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    bytes.starts_with(BEGINNING) || bytes.iter().all(is_blank)
}

/// Where the last run ended, as it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its id.
    pub run: String,
    /// Its process.
    pub pid: u32,
    /// Of its boot.
    pub boot_id: String,
    /// The last number that it gave.
    pub seq: u64,
    /// Until then it saw what happened.
    pub until: Moment,
    /// Why it ended; absent if it never came to its end.
    pub stopped: Option<StopReason>,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    schema: String,
    run: String,
    pid: u32,
    boot_id: String,
    seq: u64,
    until: Timestamped,
    until_boot_ns: u64,
    stopped: Option<StopReason>,
}

/// A time as text.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Timestamped(WallTime);

impl TryFrom<String> for Timestamped {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = text.parse::<Timestamp>().map_err(|err| err.to_string())?;
        let ns = u64::try_from(time.as_nanosecond()).map_err(|_| "it is before 1970".to_owned())?;
        Ok(Self(WallTime(ns)))
    }
}

impl Last {
    /// Reads a line; `None` if it says nothing yet.
    ///
    /// # Errors
    /// If it is not as a run leaves it: what is wrong.
    pub fn parse(line: &[u8]) -> Result<Option<Self>, String> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let fields: Fields =
            serde_json::from_slice(line).map_err(|err| printable(&err.to_string()))?;
        let Fields { schema, run, pid, boot_id, seq, until, until_boot_ns, stopped } = fields;
        if schema != SCHEMA {
            return Err(format!("it is not of the form {SCHEMA}"));
        }
        let is_run = run.len() == 16 && run.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_run || !is_id(&boot_id) || seq == 0 {
            return Err("the run, the boot or the number in it is none".to_owned());
        }
        let until = Moment { boot_ns: until_boot_ns, wall: until.0 };
        Ok(Some(Self { run, pid, boot_id, seq, until, stopped }))
    }

    /// Whether there is a process with its number.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).exists()
    }

    /// What a run says of it that watches since then, and was begun in this boot.
    #[must_use]
    pub fn before(self, since: Moment, boot_id: &str) -> Previous {
        let same_boot = self.boot_id == boot_id;
        let gap_ns = if same_boot {
            since.boot_ns.checked_sub(self.until.boot_ns)
        } else {
            since.wall.0.checked_sub(self.until.wall.0)
        };
        Previous {
            run: self.run,
            seq: self.seq,
            until: self.until.wall,
            stopped: self.stopped,
            boot_id: Some(self.boot_id).filter(|_| !same_boot),
            gap_us: gap_ns.map(|ns| ns / 1000),
        }
    }
}
