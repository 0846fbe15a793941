//! The server: answers 64 bytes with 64 bytes, and closes.
//!
//! It closes first, so that TIME_WAIT stays at its end: the client's ports are free again at once, and
//! never run out.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use anyhow::Context as _;
use rustix::event::epoll::EventFlags;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::MESSAGE;
use super::net::Epoll;
use super::net::address;
use super::net::unless_it_waits;

/// What it says when it listens.
pub const LISTENING: &str = "listening";

/// The listener's number in the epoll set; a connection's is its descriptor, which is never 0 here.
const LISTENER: usize = 0;

/// More than a load ever has in flight.
const BACKLOG: i32 = 4096;

/// Serves until it is killed.
pub fn serve() -> anyhow::Result<()> {
    let listener = listen().context("the server cannot listen")?;
    println!("{LISTENING}");
    let mut epoll = Epoll::new()?;
    epoll.add(&listener, LISTENER, EventFlags::IN)?;
    let mut connections = Vec::new();
    loop {
        epoll.wait(None)?;
        for index in 0.. {
            match epoll.event(index) {
                None => break,
                Some(LISTENER) => accept_all(&listener, &epoll, &mut connections)?,
                // The client may have been killed: no fault of the server.
                Some(number) => {
                    if !matches!(answer(&connections, number), Ok(None)) {
                        connections[number] = None;
                    }
                }
            }
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address().into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn accept_all(
    listener: &TcpListener,
    epoll: &Epoll,
    connections: &mut Vec<Option<TcpStream>>,
) -> io::Result<()> {
    while let Some((connection, _)) = unless_it_waits(listener.accept())? {
        connection.set_nonblocking(true)?;
        let number = usize::try_from(connection.as_raw_fd()).unwrap_or_default();
        epoll.add(&connection, number, EventFlags::IN)?;
        if connections.len() <= number {
            connections.resize_with(number + 1, || None);
        }
        connections[number] = Some(connection);
    }
    Ok(())
}

/// Answers what was asked. `None` if nothing was asked yet; else the connection is to be closed.
fn answer(connections: &[Option<TcpStream>], number: usize) -> io::Result<Option<()>> {
    let Some(Some(connection)) = connections.get(number) else { return Ok(None) };
    let mut connection: &TcpStream = connection;
    let mut message = [0; MESSAGE];
    // 64 bytes come in one piece, or not at all: the client writes them in one.
    match unless_it_waits(connection.read(&mut message))? {
        None => Ok(None),
        Some(read) => connection.write_all(&message[..read]).map(Some),
    }
}
