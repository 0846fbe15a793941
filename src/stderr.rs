//! What is said on stderr. Nobody waits for its reader: a pager that stands still must keep neither records from being
//! written nor the program from ending.

use std::fmt::Display;
use std::io;
use std::io::StderrLock;
use std::io::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

/// A reader who took the last message has so long to make room for the next one.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Messages since the last one that were not said.
static UNSAID: AtomicU64 = AtomicU64::new(0);

/// Says something, in a line of its own. Where that cannot be written, whoever says it goes on.
pub fn say(text: impl Display) {
    write(format!("connledger: {text}\n"));
}

/// Writes whole lines, or none of them.
pub(crate) fn write(mut lines: String) {
    // Held while it is looked for room: no other thread of ours takes it. Another process that writes to the same pipe
    // could, in that moment.
    let mut stderr = io::stderr().lock();
    let unsaid = UNSAID.load(Ordering::Relaxed);
    // Who did not take the last message is not waited for again.
    let patience = if unsaid == 0 { PATIENCE } else { Timespec::default() };
    if !has_room(&stderr, patience) {
        UNSAID.store(unsaid + 1, Ordering::Relaxed);
        return;
    }
    UNSAID.store(0, Ordering::Relaxed);
    if unsaid != 0 {
        lines.insert_str(0, &format!("connledger: messages that found no room here: {unsaid}\n"));
    }
    // At once: a pipe that has any room takes PIPE_BUF bytes, and a message is shorter.
    let _ = stderr.write_all(lines.as_bytes());
}

fn has_room(stderr: &StderrLock<'_>, patience: Timespec) -> bool {
    let mut wanted = [PollFd::new(stderr, PollFlags::OUT)];
    // An error, also of a stderr that is closed, is for the write to find.
    rustix::event::poll(&mut wanted, Some(&patience)) != Ok(0)
}
