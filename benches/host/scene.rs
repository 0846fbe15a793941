//! Where everything happens: a mount namespace with what the tools expect to be mounted, and network
//! namespaces that hold nothing but the load. All of it goes with the process; the host's own mounts and
//! network stay as they are.

use std::cell::Cell;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::ensure;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use rustix::fs::FlockOperation;

/// What the scene offers to those who play on it.
#[derive(Debug)]
pub struct Scene {
    /// Where the report goes.
    target: PathBuf,
    /// A directory in memory, for what the tools write: a disk's moods are not measured.
    output: PathBuf,
    lock: Option<Lock>,
}

/// A lock that those share who measure on the same machine.
#[derive(Debug)]
struct Lock {
    file: File,
    held_since: Cell<Option<Instant>>,
}

/// A turn to measure is not longer than this, and one more measurement: others are waiting.
const TURN: Duration = Duration::from_secs(45);

/// Between two turns: time for another to take it.
const OTHERS: Duration = Duration::from_millis(500);

impl Scene {
    /// Sets it for this process and its children.
    pub fn set(lock: Option<&Path>) -> anyhow::Result<Self> {
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("no mount namespace")?;
        let nothing = None::<&str>;
        nix::mount::mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
            .context("cannot make the mounts private")?;
        // The peers read their tracepoints there; where they are mounted already this hides nothing.
        for (kind, at) in [("tracefs", "/sys/kernel/tracing"), ("debugfs", "/sys/kernel/debug")] {
            if fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_none()) {
                mount(kind, Path::new(at))?;
            }
        }
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        let output = target.join("output");
        fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
        mount("tmpfs", &output)?;
        let lock = lock
            .map(|path| {
                let file = File::create(path).with_context(|| path.display().to_string())?;
                anyhow::Ok(Lock { file, held_since: Cell::new(None) })
            })
            .transpose()?;
        Ok(Self { target, output, lock })
    }

    /// Waits until it is our turn to measure, if there is a lock. The turn lasts until the next call finds it
    /// long enough.
    pub fn take_turn(&self) -> anyhow::Result<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        if lock.held_since.get().is_none_or(|since| since.elapsed() > TURN) {
            rustix::fs::flock(&lock.file, FlockOperation::Unlock).context("the lock")?;
            thread::sleep(OTHERS);
            rustix::fs::flock(&lock.file, FlockOperation::LockExclusive).context("the lock")?;
            lock.held_since.set(Some(Instant::now()));
        }
        Ok(())
    }

    /// A file in memory for what a tool writes.
    pub fn output_path(&self, name: &str) -> PathBuf {
        self.output.join(name)
    }

    /// A file of the report.
    pub fn report_path(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }
}

/// How many sockets may wait in TIME_WAIT, in the namespace of whoever opens this. Where there are more, the
/// kernel answers a client's FIN with a reset: another load.
const TIME_WAIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";

/// Moves this process, and with it what it starts from now on, into a new network namespace.
///
/// The ends of closed connections stay in TIME_WAIT for a minute. Each measurement has a namespace of
/// its own, so that none begins with those of the one before it.
pub fn new_network() -> anyhow::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).context("no network namespace")?;
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("ip (Debian: iproute2)")?;
    ensure!(status.success(), "ip link set lo up: {status}");
    fs::write(TIME_WAIT, "1000000").context(TIME_WAIT)
}

fn mount(kind: &str, at: &Path) -> anyhow::Result<()> {
    nix::mount::mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("cannot mount {kind} at {}", at.display()))
}
