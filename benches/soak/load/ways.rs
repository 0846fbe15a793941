//! The ways in which a connection goes. The client chooses, and tells the server in its first byte.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;

use crate::random::Random;

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The client closes first.
    ClientFin,
    /// The server closes first.
    ServerFin,
    /// The client resets it.
    ClientReset,
    /// The server resets it.
    ServerReset,
    /// The client says that it has no more to say, and still listens.
    HalfClosed,
    /// The client closes without having read what the server sent.
    Unread,
    /// The client says nothing at all.
    Silent,
}

const WAYS: [Way; 7] = [
    Way::ClientFin,
    Way::ServerFin,
    Way::ClientReset,
    Way::ServerReset,
    Way::HalfClosed,
    Way::Unread,
    Way::Silent,
];

const MESSAGE: usize = 64;

fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

fn read_to_end(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The client's side of one connection.
///
/// # Errors
/// If its server is not there, or dies meanwhile: both happen.
pub fn go(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let number = u8::try_from(random.below(WAYS.len() as u64)).unwrap_or(0);
    let way = WAYS[usize::from(number)];
    let mut stream = TcpStream::connect(server)?;
    if way == Way::Silent {
        return Ok(());
    }
    let mut message = [b'x'; MESSAGE];
    message[0] = number;
    stream.write_all(&message)?;
    match way {
        Way::ClientFin => stream.read_exact(&mut message),
        Way::ClientReset => {
            stream.read_exact(&mut message)?;
            reset(&stream)
        }
        Way::HalfClosed => {
            stream.shutdown(Shutdown::Write)?;
            read_to_end(&stream)
        }
        // The first byte of many.
        Way::Unread => stream.read_exact(&mut message[..1]),
        Way::ServerFin | Way::ServerReset | Way::Silent => read_to_end(&stream),
    }
}

/// The server's side.
///
/// # Errors
/// If the client resets it, or dies.
pub fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    if stream.read(&mut message)? == 0 {
        return Ok(());
    }
    match WAYS.get(usize::from(message[0])) {
        Some(Way::ClientFin | Way::ClientReset) => {
            stream.write_all(&message)?;
            read_to_end(stream)
        }
        Some(Way::ServerFin) => stream.write_all(&message),
        Some(Way::ServerReset) => reset(stream),
        Some(Way::HalfClosed) => {
            read_to_end(stream)?;
            stream.write_all(&[b'y'; 1000])
        }
        Some(Way::Unread) => {
            stream.write_all(&[b'y'; 1000])?;
            read_to_end(stream)
        }
        Some(Way::Silent) | None => Ok(()),
    }
}
