//! Real connections, in a network namespace that the calling test has for itself.

use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::thread;

use nix::sched::CloneFlags;

/// Connects, accepts, and closes on both sides.
pub const RECORDS_EACH: usize = 4;

/// Clients at a time, each with its server: while one waits for its peer the other goes on.
const PAIRS: usize = 2;

/// A network namespace with nothing in it but what the calling thread does.
pub struct Network {
    /// Its inode number, as records name it.
    pub netns: u64,
}

impl Network {
    /// Moves the calling thread into a new one.
    pub fn enter() -> Self {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).expect("unshare");
        let status = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(status.expect("ip (Debian: iproute2)").success(), "lo");
        Self { netns: fs::metadata("/proc/thread-self/ns/net").expect("ns").ino() }
    }

    /// Makes so many connections. When this returns all of them are closed.
    #[allow(clippy::unused_self, reason = "it must have been entered")]
    pub fn connect(&self, connections: usize) {
        thread::scope(|scope| {
            for pair in 0..PAIRS {
                let share = connections / PAIRS + usize::from(pair < connections % PAIRS);
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
                let address = listener.local_addr().expect("address");
                scope.spawn(move || {
                    for _ in 0..share {
                        drop(listener.accept().expect("accept"));
                    }
                });
                scope.spawn(move || {
                    for _ in 0..share {
                        let mut client = TcpStream::connect(address).expect("connect");
                        assert_eq!(client.read(&mut [0]).expect("end"), 0);
                    }
                });
            }
        });
    }
}
