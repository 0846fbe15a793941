//! The load: connections over the loopback device of the network namespace that this process is in.
//!
//! Its processes are this program in a role, each started anew for each measurement. The first of the
//! machine's cores is the server's, the second the client's; who else runs there competes with them.

mod client;
mod net;
mod one;
mod server;

use std::env;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
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

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub fn start() -> anyhow::Result<Self> {
        let child = role(&["server".to_owned()])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut server = Self { child };
        let mut line = String::new();
        let stdout = server.child.stdout.take().context("the server's output")?;
        BufReader::new(stdout).read_line(&mut line).context("the server's output")?;
        ensure!(line.trim() == server::LISTENING, "the server does not listen: '{line}'");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has no other way to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        ["leash", program, ref arguments @ ..] => {
            // The signal that was asked for above outlasts this.
            Err(Command::new(program).args(arguments).exec())
                .with_context(|| format!("cannot run {program}"))
        }
        _ => bail!("no such role: {arguments:?} (of {:?})", env::args().next()),
    }
}

/// Binds the calling thread to the `nth` core that it may use, or to the last one if they are fewer.
fn pin(nth: usize) -> anyhow::Result<()> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    let core = cores.take(nth + 1).last().context("no core to run on")?;
    let mut one = CpuSet::new();
    one.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &one)?)
}
