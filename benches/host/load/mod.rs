//! The load: connections over the loopback device of the network namespace that this process is in.
//!
//! Its processes are this program in a role, each started anew for each measurement. The first of the
//! machine's cores is the server's, the second the client's; who else runs there competes with them.

mod client;
mod crowd;
mod holder;
mod net;
mod one;
mod server;

use std::env;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use nix::sys::signal::Signal;
use rustix::thread::CpuSet;
use serde::Deserialize;
use serde::Serialize;

pub use self::net::PORT;
pub use self::one::exchange;

/// The first argument of this program when it plays a part in the load.
pub const ROLE: &str = "role";

/// Bytes that go each way over each connection.
const MESSAGE: usize = 64;

/// What the load shall be.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Before the measurement begins.
    pub warm_up: Duration,
    /// What is measured.
    pub measured: Duration,
    /// Connections a second; as many as the machine makes if there is none.
    pub rate: Option<u32>,
}

/// What the load was.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Made {
    /// Connections that ended within the measurement.
    pub measured: u64,
    /// How long that was.
    pub seconds: f64,
    /// All connections, from the first to the last.
    pub total: u64,
    /// Those that failed: there should be none.
    pub failed: u64,
}

impl Made {
    /// Connections a second.
    pub fn rate(&self) -> f64 {
        self.measured as f64 / self.seconds
    }
}

impl Load {
    /// Puts the load on the machine, and tells what it was.
    pub fn make(&self) -> anyhow::Result<Made> {
        let _server = Server::start()?;
        let client = role(&[
            "client".to_owned(),
            self.warm_up.as_millis().to_string(),
            self.measured.as_millis().to_string(),
            self.rate.unwrap_or(0).to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the client")?;
        let output = client.wait_with_output().context("the client")?;
        ensure!(output.status.success(), "the client: {}", output.status);
        let made: Made = serde_json::from_slice(&output.stdout).context("what the client said")?;
        ensure!(made.failed == 0, "{} connections of the load failed", made.failed);
        Ok(made)
    }
}

/// A process of the load that runs until it is dropped, and says on a line each how far it is.
#[derive(Debug)]
struct Player {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Player {
    fn start(arguments: &[String]) -> anyhow::Result<Self> {
        let mut child = role(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {arguments:?}"))?;
        let says = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, says })
    }

    /// Waits until it says this.
    fn await_word(&mut self, word: &str) -> anyhow::Result<()> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        ensure!(line.trim() == word, "a process of the load says '{line}' instead of '{word}'");
        Ok(())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // Some have no other way to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    _player: Player,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub fn start() -> anyhow::Result<Self> {
        let mut player = Player::start(&["server".to_owned()])?;
        player.await_word(server::LISTENING)?;
        Ok(Self { _player: player })
    }
}

/// Connections that are open until this is dropped, and do nothing.
#[derive(Debug)]
pub struct Holders {
    _players: Vec<Player>,
}

impl Holders {
    /// Opens `count` connections, `most` in each process.
    pub fn start(count: usize, most: usize) -> anyhow::Result<Self> {
        let mut players = Vec::new();
        let mut left = count;
        while left > 0 {
            let share = left.min(most);
            let mut player = Player::start(&["holder".to_owned(), share.to_string()])?;
            player.await_word(holder::HELD)?;
            players.push(player);
            left -= share;
        }
        Ok(Self { _players: players })
    }
}

/// Processes that take turns in making connections.
#[derive(Debug)]
pub struct Crowd {
    player: Player,
}

impl Crowd {
    /// Starts them, and waits until each has made a connection. They pause then.
    pub fn start(processes: usize, rate: u32, measured: Duration) -> anyhow::Result<Self> {
        let mut player = Player::start(&[
            "crowd-in-turns".to_owned(),
            processes.to_string(),
            rate.to_string(),
            measured.as_millis().to_string(),
        ])?;
        player.await_word(crowd::WARM)?;
        Ok(Self { player })
    }

    /// Waits until they are through. They live on, for a moment.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.player.await_word(crowd::DONE)
    }

    /// Waits until they have ended.
    pub fn disperse(mut self) -> anyhow::Result<()> {
        let status = self.player.child.wait()?;
        ensure!(status.success(), "the crowd: {status}");
        Ok(())
    }

    /// Lets `processes` make `each` so many connections, and end.
    pub fn make_each(processes: usize, each: usize) -> anyhow::Result<()> {
        let mut player =
            Player::start(&["crowd".to_owned(), processes.to_string(), each.to_string()])?;
        player.await_word(crowd::DONE)
    }
}

/// This program, to be started in a role.
pub fn role(arguments: &[String]) -> Command {
    // Where Linux says that it is, even if it has been deleted since.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("bench-load").arg(ROLE).args(arguments).stdin(Stdio::null());
    command
}

/// Plays a role, until it is over. None of them outlives who started it.
pub fn play(arguments: &[String]) -> anyhow::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server"] => {
            pin(0)?;
            server::serve()
        }
        ["client", warm_up, measured, rate] => {
            pin(1)?;
            let load = Load {
                warm_up: Duration::from_millis(warm_up.parse()?),
                measured: Duration::from_millis(measured.parse()?),
                rate: Some(rate.parse()?).filter(|&rate| rate != 0),
            };
            let made = client::make(&load)?;
            serde_json::to_writer(std::io::stdout(), &made)?;
            Ok(std::io::stdout().flush()?)
        }
        ["crowd", processes, each] => crowd::make_each(processes.parse()?, each.parse()?),
        ["crowd-in-turns", processes, rate, measured] => crowd::make_in_turns(
            processes.parse()?,
            rate.parse()?,
            Duration::from_millis(measured.parse()?),
        ),
        ["holder", count] => holder::hold(count.parse()?),
        ["leash", program, ref arguments @ ..] => {
            // The signal that was asked for above outlasts this.
            Err(Command::new(program).args(arguments).exec())
                .with_context(|| format!("cannot run {program}"))
        }
        _ => bail!("no such role: {arguments:?} (of {:?})", env::args().next()),
    }
}

/// Binds the calling thread to the `nth` core that it may use, or to the last one if they are fewer.
pub fn pin(nth: usize) -> anyhow::Result<()> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    let core = cores.take(nth + 1).last().context("no core to run on")?;
    let mut one = CpuSet::new();
    one.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &one)?)
}
