//! The load: servers, clients and processes that live for a few connections only, all in a process namespace of
//! their own. Whatever becomes of them, they end with its first process, the crowd, and that ends with the soak.

mod client;
mod server;
mod ways;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

pub use self::client::brief;
pub use self::client::connect;
pub use self::client::hurry;
pub use self::server::serve;
use crate::children::Process;
use crate::children::again;
use crate::random::Random;

/// The servers' ports; nobody listens at the one after them.
const PORTS: std::ops::Range<u16> = 7001..7003;

/// Where clients find the servers, and nobody.
fn servers() -> Vec<SocketAddr> {
    let ports = PORTS.start..=PORTS.end;
    ports
        .flat_map(|port| {
            [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from((V6_LOCALHOST, port))]
        })
        .collect()
}

const V6_LOCALHOST: [u16; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

/// Starts it.
///
/// # Errors
/// If the system has no process left.
pub fn start(seed: u64) -> io::Result<Process> {
    let role = ["load", &format!("--seed={seed}")];
    Process::start(&role, Stdio::null(), Stdio::null(), Stdio::inherit())
}

/// The role of the load's first process: makes the process namespace, and waits in front of it.
///
/// # Errors
/// If it cannot.
pub fn enclose(seed: u64) -> io::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWPID)?;
    let mut crowd = again(&["crowd", &format!("--seed={seed}")])?.spawn()?;
    Err(io::Error::other(format!("the load has ended: {}", crowd.wait()?)))
}

/// The role of the crowd: keeps its members alive, and kills one of them now and then.
///
/// # Errors
/// If one cannot be started.
pub fn crowd(seed: u64) -> io::Result<()> {
    let mut random = Random::new(seed);
    let mut members = BTreeMap::new();
    for role in roles() {
        members.insert(start_member(&role, &mut random)?, role);
    }
    let mut next_death = Instant::now();
    loop {
        for dead in reap() {
            if let Some(role) = members.remove(&dead) {
                members.insert(start_member(&role, &mut random)?, role);
            }
        }
        if Instant::now() >= next_death {
            next_death += Duration::from_millis(random.between(100, 800));
            let victim = random.below(members.len() as u64);
            if let Some(victim) = members.keys().nth(usize::try_from(victim).unwrap_or(0)) {
                // It has not been waited for, so this is still the member.
                nix::sys::signal::kill(*victim, Signal::SIGKILL)?;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn roles() -> Vec<Vec<String>> {
    let mut roles: Vec<Vec<String>> =
        PORTS.map(|port| vec!["serve".to_owned(), format!("--port={port}")]).collect();
    for role in ["connect", "connect", "hurry"] {
        roles.push(vec![role.to_owned()]);
    }
    roles
}

fn start_member(role: &[String], random: &mut Random) -> io::Result<Pid> {
    let role: Vec<&str> = role.iter().map(String::as_str).collect();
    let member = again(&role)?.arg(format!("--seed={}", random.next())).spawn()?;
    Ok(Pid::from_raw(member.id().cast_signed()))
}

/// Takes leave of who has ended: members, and what dead members have left behind.
fn reap() -> Vec<Pid> {
    let mut dead = Vec::new();
    while let Ok(status) = nix::sys::wait::waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => dead.push(pid),
            WaitStatus::StillAlive => break,
            _ => {}
        }
    }
    dead
}
