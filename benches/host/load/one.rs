//! One connection at a time, by calls that wait.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;

use super::MESSAGE;
use super::net::address;

/// Makes a connection, sends, reads the answer until the server closes, and closes.
pub fn exchange() -> io::Result<()> {
    let mut connection = TcpStream::connect(address())?;
    connection.write_all(&[b'x'; MESSAGE])?;
    let mut answer = Vec::with_capacity(2 * MESSAGE);
    connection.read_to_end(&mut answer)?;
    if answer.len() == MESSAGE { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
