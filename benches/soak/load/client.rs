//! Clients: those that stay, and those that are gone after a few connections.

use std::io;
use std::thread;

use super::servers;
use super::ways;
use crate::children::again;
use crate::random::Random;

/// Threads of a client: more than there are processors to keep busy, for each waits for its server.
const THREADS: u64 = 4;

/// How many brief processes are there at a time.
const HURRIED: usize = 2;

/// Connections of a brief process.
const FEW: u64 = 3;

/// The role of a client. It does not return.
pub fn connect(seed: u64) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut random = Random::new(seed ^ (thread << 56));
                let servers = servers();
                loop {
                    one(&servers, &mut random);
                }
            });
        }
    });
}

fn one(servers: &[std::net::SocketAddr], random: &mut Random) {
    // Every server has as good a chance as the port at which nobody listens.
    let server = usize::try_from(random.below(servers.len() as u64)).unwrap_or(0);
    // Refused, reset, or the server was killed: all are wanted.
    let _ = ways::go(servers[server], random);
}

/// The role of who starts one brief process after the other. It does not return.
///
/// # Errors
/// If one cannot be started.
pub fn hurry(seed: u64) -> io::Result<()> {
    let mut random = Random::new(seed);
    let mut brief = || again(&["brief"])?.arg(format!("--seed={}", random.next())).spawn();
    let mut running = Vec::new();
    loop {
        running.push(brief()?);
        if running.len() == HURRIED {
            running.remove(0).wait()?;
        }
    }
}

/// The role of a brief process.
pub fn brief(seed: u64) {
    let mut random = Random::new(seed);
    let servers = servers();
    for _ in 0..FEW {
        one(&servers, &mut random);
    }
}
