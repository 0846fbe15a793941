//! What the service manager is told, as sd_notify(3) has it: that connledger is ready, how it stands, and that it
//! lives. Without a manager that wants to know (`NOTIFY_SOCKET`) nothing happens here.
//!
//! The words are the crate's; the socket is not: its send waits for as long as a manager that hangs, and so would the
//! collector, which waits for nobody.

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use std::time::Instant;

use sd_notify::NotifyState;

/// So often it is told how connledger stands, if the watchdog does not ask for more: the collector does not sleep
/// longer either.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// During a long start, so often that it goes on. Far below any sensible TimeoutStartSec=.
const START_SILENCE: Duration = Duration::from_secs(10);

/// And for how long it shall wait for the next such word: a busy machine may be late by far.
const START_PATIENCE_USEC: u32 = 60_000_000;

/// A manager that does not read is waited for so long. The ring holds what happens meanwhile.
const PATIENCE: Duration = Duration::from_millis(100);

/// systemd drops what is longer than 4,096 bytes. Eight outputs with long names that all lack something come near.
const LONGEST_STATUS: usize = 3_500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    /// Ready, whether the manager knows it or could not be told yet.
    Ready {
        told: bool,
    },
}

/// The way to the service manager.
#[derive(Debug)]
pub struct Notifier {
    /// Its socket; `None` if nobody wants to know.
    manager: Option<OsString>,
    /// After so long a silence it takes us for dead.
    watchdog: Option<Duration>,
    phase: Phase,
    last_beat: Instant,
    failed: bool,
}

impl Notifier {
    /// The manager that the environment names. It is told nothing yet.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            manager: env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
            // None if WATCHDOG_PID is another process.
            watchdog: sd_notify::watchdog_enabled().filter(|time| !time.is_zero()),
            phase: Phase::Starting,
            last_beat: Instant::now(),
            failed: false,
        }
    }

    /// Whether there is one: nobody sits at a terminal then.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.manager.is_some()
    }

    /// When the next [`Notifier::beat`] is due.
    #[must_use]
    pub fn next_beat(&self) -> Option<Instant> {
        self.manager.as_ref().map(|_| self.last_beat + self.silence())
    }

    /// Whether [`Notifier::beat`] would tell anything now: from half of the time on, as who is awake anyhow need not be
    /// woken for it soon after.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.manager.is_some() && self.last_beat.elapsed() >= self.silence() / 2
    }

    /// Tells it that connledger lives, and how it stands, if that is due.
    ///
    /// # Errors
    /// What keeps it from being told, once.
    pub fn beat(&mut self, status: &str) -> io::Result<()> {
        if !self.is_due() {
            return Ok(());
        }
        match self.phase {
            Phase::Starting => {
                self.tell(&[NotifyState::ExtendTimeoutUsec(START_PATIENCE_USEC)], status)
            }
            Phase::Ready { told: true } => self.tell(&[], status),
            Phase::Ready { told: false } => self.ready(status),
        }
    }

    /// Tells it that connledger is ready; after a reload, that it is done.
    ///
    /// # Errors
    /// What keeps it from being told, once. It is tried again with the next beat.
    pub fn ready(&mut self, status: &str) -> io::Result<()> {
        self.phase = Phase::Ready { told: false };
        let told = self.tell(&[NotifyState::Ready], status);
        self.phase = Phase::Ready { told: !self.failed };
        told
    }

    /// Tells it that connledger does what SIGHUP asks for. Not for whom the first `ready` is still to come.
    ///
    /// # Errors
    /// What keeps it from being told, once.
    pub fn reloading(&mut self) -> io::Result<()> {
        let sent = NotifyState::monotonic_usec_now()
            .and_then(|now| self.send(&[NotifyState::Reloading, now]));
        self.once(sent)
    }

    /// Tells it that connledger ends.
    ///
    /// # Errors
    /// What keeps it from being told, once.
    pub fn stopping(&mut self, status: &str) -> io::Result<()> {
        self.tell(&[NotifyState::Stopping], status)
    }

    /// Whether it was to be told that connledger is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase != Phase::Starting
    }

    fn silence(&self) -> Duration {
        // Half of the time, as sd_watchdog_enabled(3) asks for.
        let watchdog = || self.watchdog.map_or(LONGEST_SILENCE, |time| time / 2);
        let silence = if self.is_ready() { LONGEST_SILENCE.min(watchdog()) } else { START_SILENCE };
        // What did not get there is said again soon: the watchdog waits for a second half only.
        if self.failed { silence / 10 } else { silence }
    }

    fn tell(&mut self, news: &[NotifyState<'_>], status: &str) -> io::Result<()> {
        self.last_beat = Instant::now();
        let status = shortened(status);
        let mut news = news.to_vec();
        if self.watchdog.is_some() && self.is_ready() {
            news.push(NotifyState::Watchdog);
        }
        news.push(NotifyState::Status(status));
        let sent = self.send(&news);
        self.once(sent)
    }

    /// Each time by a socket of its own: the manager may have been replaced by another one.
    fn send(&self, news: &[NotifyState<'_>]) -> io::Result<()> {
        let Some(manager) = &self.manager else { return Ok(()) };
        let lines = news.iter().map(ToString::to_string).collect::<Vec<_>>();
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        match socket.send_to_addr(lines.join("\n").as_bytes(), &address(manager)?) {
            Ok(_) => Ok(()),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read what it is told"))
            }
            Err(err) => Err(err),
        }
    }

    fn once(&mut self, sent: io::Result<()>) -> io::Result<()> {
        let failed_before = std::mem::replace(&mut self.failed, sent.is_err());
        if failed_before { Ok(()) } else { sent }
    }
}

/// A path, or a name in the abstract namespace behind `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

fn shortened(status: &str) -> &str {
    let mut end = status.len().min(LONGEST_STATUS);
    while !status.is_char_boundary(end) {
        end -= 1;
    }
    &status[..end]
}
