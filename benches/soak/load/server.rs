//! A server: threads that accept and answer, one connection after the other.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::thread;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::ways;

/// While one of them waits for its client the others serve theirs.
const THREADS: usize = 4;

/// The role of a server. It does not return.
///
/// # Errors
/// If it cannot listen.
pub fn serve(port: u16) -> io::Result<()> {
    // IPv6, and IPv4 as v4-mapped addresses.
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    // Its predecessor was killed: connections of it may wait for their end.
    socket.set_reuse_address(true)?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from(([0u16; 8], port)).into())?;
    socket.listen(1024)?;
    let listener = TcpListener::from(socket);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    if let Ok((stream, _)) = listener.accept() {
                        // Clients reset, and die.
                        let _ = ways::answer(&stream);
                    }
                }
            });
        }
    });
    Ok(())
}
