//! Follows a log while it is written, and gives back the disk space of what was checked: hours of log would fill it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use jsonschema::Validator;
use nix::fcntl::FallocateFlags;

use crate::checker::Checker;
use crate::checker::Ending;
use crate::checker::Finding;
use crate::schema;

/// Read at a time.
const CHUNK: usize = 1 << 20;

/// Read in one go, before it is time to look after other things: a second's worth.
const MOST: usize = 32 << 20;

/// Kept on disk behind the place that is being checked, to look at if there is a finding.
const KEPT: u64 = 16 << 20;

/// Held against the schema, too: one line in so many. It takes a hundred times as long as all else.
const SAMPLE: u64 = 499;

/// A log that grows.
pub struct Follower {
    log: File,
    /// How much was read.
    offset: u64,
    /// How much was given back.
    freed: u64,
    /// What was read: a line that is not complete yet, and room for more.
    buffer: Vec<u8>,
    checker: Checker,
    schema: Validator,
}

/// Why following ended.
pub enum Fault {
    /// The log is wrong.
    Found(Finding),
    /// It cannot be read.
    Broken(io::Error),
}

impl From<io::Error> for Fault {
    fn from(err: io::Error) -> Self {
        Self::Broken(err)
    }
}

impl From<Finding> for Fault {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

impl Follower {
    /// Follows a log from its beginning.
    pub fn new(log: File) -> Self {
        Self {
            log,
            offset: 0,
            freed: 0,
            buffer: Vec::new(),
            checker: Checker::default(),
            schema: schema::validator(&schema::strict()),
        }
    }

    /// What was found so far.
    pub fn checker(&self) -> &Checker {
        &self.checker
    }

    /// Checks what has been written since the last time. True if that was all.
    ///
    /// # Errors
    /// If it is wrong, or cannot be read.
    pub fn catch_up(&mut self) -> Result<bool, Fault> {
        for _ in 0..MOST / CHUNK {
            let begun = self.buffer.len();
            self.buffer.resize(begun + CHUNK, 0);
            let read = self.log.read_at(&mut self.buffer[begun..], self.offset)?;
            self.buffer.truncate(begun + read);
            self.offset += read as u64;
            self.check_lines()?;
            self.free()?;
            if read == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks all that is left of a log that has ended.
    ///
    /// # Errors
    /// If it is wrong, or cannot be read.
    pub fn end(&mut self, ending: Ending) -> Result<(), Fault> {
        while !self.catch_up()? {}
        Ok(self.checker.end(ending, self.buffer.len())?)
    }

    /// What was found in all of it.
    pub fn into_checker(self) -> Checker {
        self.checker
    }

    fn check_lines(&mut self) -> Result<(), Finding> {
        let mut begun = 0;
        while let Some(length) = self.buffer[begun..].iter().position(|byte| *byte == b'\n') {
            let line = &self.buffer[begun..begun + length];
            self.checker.take(line)?;
            if self.checker.lines() % SAMPLE == 1 {
                self.hold_against_schema(line)?;
            }
            begun += length + 1;
        }
        self.buffer.drain(..begun);
        Ok(())
    }

    fn hold_against_schema(&self, line: &[u8]) -> Result<(), Finding> {
        let complaints = match serde_json::from_slice(line) {
            Ok(record) => schema::complaints(&self.schema, &record),
            Err(err) => err.to_string(),
        };
        if complaints.is_empty() {
            return Ok(());
        }
        let line = String::from_utf8_lossy(line);
        Err(self
            .checker
            .finding(format!("the record before is not as the schema says: {complaints}: {line}")))
    }

    fn free(&mut self) -> io::Result<()> {
        // Whole chunks, and not each by itself.
        let until = self.offset.saturating_sub(KEPT) / CHUNK as u64 * CHUNK as u64;
        if until >= self.freed + KEPT {
            let (from, length) = (self.freed.cast_signed(), (until - self.freed).cast_signed());
            let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            nix::fcntl::fallocate(&self.log, hole, from, length)?;
            self.freed = until;
        }
        Ok(())
    }
}
