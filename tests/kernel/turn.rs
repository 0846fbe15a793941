//! Whose turn it is.
//!
//! In a process one test at a time: a test that forks would otherwise keep other tests' sockets open in its
//! child. Other processes run tests meanwhile (scripts/kernel-tests.sh), but none beside a test that puts the
//! machine under load or measures what it does.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use nix::fcntl::Flock;
use nix::fcntl::FlockArg;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The calling test's turn, until this goes.
pub struct Turn {
    _machine: Flock<File>,
    _process: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for it. Tests of other processes may have theirs at the same time.
    pub fn take() -> Self {
        Self::with(FlockArg::LockShared)
    }

    /// Waits for it, and has nobody else's at the same time.
    pub fn take_alone() -> Self {
        Self::with(FlockArg::LockExclusive)
    }

    fn with(share: FlockArg) -> Self {
        // A test that failed has had its turn.
        let process = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // Who wants to be alone waits here, with all who came later behind it: it would wait for ever for a
        // moment in which nobody happens to have a turn.
        let queue = lock("turns-queue", FlockArg::LockExclusive);
        let machine = lock("turns", share);
        drop(queue);
        Self { _machine: machine, _process: process }
    }
}

fn lock(name: &str, how: FlockArg) -> Flock<File> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let file = File::options().create(true).append(true).open(path).expect(name);
    Flock::lock(file, how).expect(name)
}
