//! The one line of the state, as it is written and read.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::slot::Note;
use crate::clock::Moment;
use crate::clock::WallTime;
use crate::encode::TimeWriter;
use crate::encode::push_count;
use crate::encode::push_u64;
use crate::host::Identity;
use crate::host::is_id;
use crate::ledger::Position;
use crate::ledger::Previous;
use crate::ledger::StopReason;
use crate::verify::printable;

/// Name and version of the line's form.
const SCHEMA: &str = "connledger-state/1";

/// How the line of any version begins.
const BEGINNING: &[u8] = b"{\"schema\":\"connledger-state/";

/// Its length with the newline, bytes: more than it ever needs, and within one page.
pub const SIZE: usize = 1024;

/// The line as it is written: again and again in the same buffer, without formatting machinery.
#[derive(Debug)]
pub struct Line {
    bytes: Vec<u8>,
    /// What does not change: so much of it.
    fixed: usize,
    /// The run before, until an output has this one.
    before: Vec<u8>,
    time: TimeWriter,
}

impl Line {
    /// The line of a run that has given no number yet, and of the run before it that it shall name.
    #[must_use]
    pub fn new(identity: &Identity, before: Option<&Before>) -> Self {
        let Identity { run, boot_id, .. } = identity;
        let pid = std::process::id();
        let fixed = format!(
            "{{\"schema\":\"{SCHEMA}\",\"run\":\"{run}\",\"pid\":{pid},\"boot_id\":\"{boot_id}\",\"seq\":"
        );
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(fixed.as_bytes());
        let mut time = TimeWriter::default();
        let before = before.map(|before| before.member(&mut time)).unwrap_or_default();
        Self { fixed: bytes.len(), bytes, before, time }
    }

    /// Says where the run stands.
    pub fn set(&mut self, note: &Note) {
        let Note { position: Position { seq, until }, begun, stopped } = *note;
        let out = &mut self.bytes;
        out.truncate(self.fixed);
        push_end(out, &mut self.time, seq, until, stopped);
        if !begun {
            out.extend_from_slice(&self.before);
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

/// The value of `seq`, and how far and how it got.
fn push_end(
    out: &mut Vec<u8>,
    time: &mut TimeWriter,
    seq: u64,
    until: Moment,
    stopped: Option<StopReason>,
) {
    push_count(out, seq);
    out.extend_from_slice(b",\"until\":\"");
    time.write(out, until.wall.0);
    out.extend_from_slice(b"\",\"until_boot_ns\":");
    push_u64(out, until.boot_ns);
    if let Some(reason) = stopped {
        out.extend_from_slice(b",\"stopped\":\"");
        out.extend_from_slice(reason.name().as_bytes());
        out.push(b'"');
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
    /// The run before it, if no output is known to have anything of this one.
    pub before: Option<Before>,
}

/// The last run that an output has, and where it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Its id.
    pub run: String,
    /// Of its boot.
    pub boot_id: String,
    /// The last number that it gave.
    pub seq: u64,
    /// Until then it saw what happened.
    pub until: Moment,
    /// Why it ended; absent if it never came to its end.
    pub stopped: Option<StopReason>,
    /// Runs after it that no output is known to have anything of.
    pub unwritten: u64,
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
    before: Option<BeforeFields>,
}

/// As it stands in there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeforeFields {
    run: String,
    boot_id: String,
    seq: u64,
    until: Timestamped,
    until_boot_ns: u64,
    stopped: Option<StopReason>,
    unwritten: u64,
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
        let Fields { schema, run, pid, boot_id, seq, until, until_boot_ns, stopped, before } =
            fields;
        if schema != SCHEMA {
            return Err(format!("it is not of the form {SCHEMA}"));
        }
        check(&run, &boot_id, seq)?;
        let until = Moment { boot_ns: until_boot_ns, wall: until.0 };
        let before = before.map(Before::try_from).transpose()?;
        Ok(Some(Self { run, pid, boot_id, seq, until, stopped, before }))
    }

    /// Whether there is a process with its number.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).exists()
    }

    /// The run that the next one shall name.
    #[must_use]
    pub fn into_before(self) -> Before {
        let Self { run, boot_id, seq, until, stopped, before, .. } = self;
        match before {
            Some(before) => Before { unwritten: before.unwritten.saturating_add(1), ..before },
            None => Before { run, boot_id, seq, until, stopped, unwritten: 0 },
        }
    }
}

fn check(run: &str, boot_id: &str, seq: u64) -> Result<(), String> {
    let is_run = run.len() == 16 && run.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_run || !is_id(boot_id) || seq == 0 {
        return Err("the run, the boot or the number in it is none".to_owned());
    }
    Ok(())
}

impl TryFrom<BeforeFields> for Before {
    type Error = String;

    fn try_from(fields: BeforeFields) -> Result<Self, String> {
        let BeforeFields { run, boot_id, seq, until, until_boot_ns, stopped, unwritten } = fields;
        check(&run, &boot_id, seq)?;
        let until = Moment { boot_ns: until_boot_ns, wall: until.0 };
        Ok(Self { run, boot_id, seq, until, stopped, unwritten })
    }
}

impl Before {
    /// As it stands in the line.
    fn member(&self, time: &mut TimeWriter) -> Vec<u8> {
        let Self { run, boot_id, seq, until, stopped, unwritten } = self;
        let text = format!(
            ",\"before\":{{\"run\":\"{run}\",\"boot_id\":\"{boot_id}\",\"unwritten\":{unwritten},\"seq\":"
        );
        let mut out = text.into_bytes();
        push_end(&mut out, time, *seq, *until, *stopped);
        out.push(b'}');
        out
    }

    /// What a run says of it that watches since then, and was begun in this boot.
    #[must_use]
    pub fn previous(self, since: Moment, boot_id: &str) -> Previous {
        let same_boot = self.boot_id == boot_id;
        let by_boot_clock = || since.boot_ns.checked_sub(self.until.boot_ns);
        let by_wall_clock = || since.wall.0.checked_sub(self.until.wall.0);
        // The boot's clock cannot be behind, but the file is only a file; then the wall clock is left.
        let gap_ns = Some(()).filter(|()| same_boot).and_then(|()| by_boot_clock());
        Previous {
            gap_us: gap_ns.or_else(by_wall_clock).map(|ns| ns / 1000),
            run: self.run,
            seq: self.seq,
            until: self.until.wall,
            stopped: self.stopped,
            boot_id: Some(self.boot_id).filter(|_| !same_boot),
            unwritten: self.unwritten,
        }
    }
}
