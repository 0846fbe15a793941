//! A crowd: many processes that make connections, one after the other each.
//!
//! They are forked, not executed: ten thousand are there within seconds, and to whoever watches each is a
//! process of its own.

#![allow(unsafe_code, reason = "fork")]

use std::io::PipeWriter;
use std::io::Read as _;
use std::io::Write as _;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::ensure;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd::ForkResult;

use super::one::exchange;

/// What a crowd says when each of its processes has made a connection. It pauses then.
pub const WARM: &str = "warm";

/// What it says at its end.
pub const DONE: &str = "done";

/// The pause after [`WARM`] and [`DONE`], in which whoever measures looks at the clock.
const PAUSE: Duration = Duration::from_millis(300);

/// The grain of the pace.
const TICK: Duration = Duration::from_millis(1);

/// `processes` make `each` so many connections as fast as they can, and end.
pub fn make_each(processes: usize, each: usize) -> anyhow::Result<()> {
    fork_all(processes, || (0..each).try_for_each(|_| exchange().map_err(anyhow::Error::from)))?;
    await_all(processes)?;
    println!("{DONE}");
    Ok(())
}

/// `processes` take turns in making connections at a `rate` a second: each one, then as many as fit into
/// `measured`. They live until all is over.
pub fn make_in_turns(processes: usize, rate: u32, measured: Duration) -> anyhow::Result<()> {
    // Who waits longest for a byte gets the next: that is how the kernel wakes readers of a pipe.
    let (turns, dealer) = std::io::pipe()?;
    let (mut turns, mut dealer) = (turns, Some(dealer));
    fork_all(processes, || {
        // Else no process would see the end: each would hold the pipe open for the others.
        drop(dealer.take());
        while turns.read(&mut [0])? == 1 {
            exchange()?;
        }
        Ok(())
    })?;
    drop(turns);
    let mut dealer = dealer.context("the parent keeps its end")?;
    deal(&mut dealer, rate, processes)?;
    thread::sleep(PAUSE);
    println!("{WARM}");
    thread::sleep(PAUSE);
    deal(&mut dealer, rate, (measured.as_secs_f64() * f64::from(rate)) as usize)?;
    thread::sleep(PAUSE);
    println!("{DONE}");
    // Once whoever measures has looked at the clock.
    thread::sleep(PAUSE);
    drop(dealer);
    await_all(processes)
}

/// Gives out turns at a pace.
fn deal(dealer: &mut PipeWriter, rate: u32, turns: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut dealt = 0;
    while dealt < turns {
        let due = (begin.elapsed().as_secs_f64() * f64::from(rate)) as usize;
        let now = due.min(turns).saturating_sub(dealt);
        dealer.write_all(&vec![0; now])?;
        dealt += now;
        thread::sleep(TICK);
    }
    Ok(())
}

fn fork_all(processes: usize, mut life: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    for _ in 0..processes {
        // SAFETY: this process has one thread.
        if let ForkResult::Child = unsafe { nix::unistd::fork() }.context("cannot fork")? {
            let lived = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
                .map_err(anyhow::Error::from)
                .and_then(|()| life());
            if let Err(err) = &lived {
                eprintln!("bench: a process of the crowd: {err:#}");
            }
            std::process::exit(i32::from(lived.is_err()));
        }
    }
    Ok(())
}

fn await_all(processes: usize) -> anyhow::Result<()> {
    for _ in 0..processes {
        let status = waitpid(None, None)?;
        ensure!(matches!(status, WaitStatus::Exited(_, 0)), "a process of the crowd: {status:?}");
    }
    Ok(())
}
