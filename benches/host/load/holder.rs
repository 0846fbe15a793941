//! Connections that are open, and do nothing. Each process holds both ends of as many as its descriptors allow.

use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

/// What a holder says when it holds all.
pub const HELD: &str = "held";

/// Opens `count` connections, and holds them until it is killed.
pub fn hold(count: usize) -> anyhow::Result<()> {
    // An address of its own for each process, and so all its ports.
    let host = u32::from(Ipv4Addr::new(127, 1, 0, 0)) + std::process::id();
    let listener = TcpListener::bind((Ipv4Addr::from(host), 0))?;
    let address = listener.local_addr()?;
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let connected = TcpStream::connect(address).context("a connection to hold")?;
        let (accepted, _) = listener.accept()?;
        held.push((connected, accepted));
    }
    println!("{HELD}");
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
