//! A crowd: many processes that make connections, one after the other each.
//!
//! They are forked, not executed: ten thousand are there within seconds, and to whoever watches each is a
//! process of its own.

#![allow(unsafe_code, reason = "fork")]

use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
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

/// The pause after [`WARM`], in which whoever measures looks at the clock.
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
    let (turns, dealer) = (OwnedFd::from(turns), OwnedFd::from(dealer));
    let mut dealer = Some(File::from(dealer));
    let dealer_fd = dealer.as_ref().map(File::as_raw_fd);
    fork_all(processes, || {
        // Else no process would see the end: each would hold the pipe open for the others.
        if let Some(fd) = dealer_fd {
            nix::unistd::close(fd)?;
        }
        let mut turns = File::from(turns.try_clone()?);
        while turns.read(&mut [0])? == 1 {
            exchange()?;
        }
        Ok(())
    })?;
    if let Some(dealer) = &mut dealer {
        deal(dealer, rate, processes)?;
        thread::sleep(PAUSE);
        println!("{WARM}");
        thread::sleep(PAUSE);
        deal(dealer, rate, (measured.as_secs_f64() * f64::from(rate)) as usize)?;
        thread::sleep(PAUSE);
    }
    println!("{DONE}");
    drop(dealer.take());
    await_all(processes)
}

/// Gives out turns at a pace.
fn deal(dealer: &mut File, rate: u32, turns: usize) -> anyhow::Result<()> {
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
