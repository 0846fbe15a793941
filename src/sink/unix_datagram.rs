//! A UNIX datagram socket: a record a datagram, without the newline at its end.
//!
//! The socket is connected to nobody, and each datagram has its address: a socket that is connected stays with a
//! reader that has died. When the reader's queue is full (`net.unix.max_dgram_qlen`, about 11) the kernel lets the
//! sender sleep until there is room, or the reader is gone. What was in a dead reader's queue is gone, and nobody
//! can know of it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::sockopt;

use super::Sink;
use super::Written;
use super::absence::Absence;
use super::absence::explain;
use super::datagram;
use crate::config::SocketOutput;
use crate::outlet::Control;
use crate::outlet::Frames;

/// The output.
#[derive(Debug)]
pub struct UnixDatagram {
    socket: OwnedFd,
    path: PathBuf,
    address: SocketAddrUnix,
    control: Control,
    absence: Absence,
}

impl UnixDatagram {
    /// Makes the socket. Whether there is somebody to send to shows with the first datagram.
    ///
    /// # Errors
    /// If there is no socket to be had, or the path is none.
    pub fn open(output: &SocketOutput, control: &Control) -> io::Result<Self> {
        let socket = datagram::socket()?;
        if let Some(bytes) = output.send_buffer {
            sockopt::set_socket_send_buffer_size(&socket, bytes as usize)?;
        }
        Ok(Self {
            socket,
            path: output.path.clone(),
            address: SocketAddrUnix::new(&output.path)?,
            control: control.clone(),
            absence: Absence::new(control),
        })
    }

    /// Sends one datagram. False if it is too large.
    fn send(&mut self, datagram: &[u8]) -> io::Result<bool> {
        loop {
            let sent =
                rustix::net::sendto(&self.socket, datagram, SendFlags::NOSIGNAL, &self.address);
            match sent {
                Ok(_) => {
                    self.absence.end();
                    return Ok(true);
                }
                Err(Errno::MSGSIZE) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => datagram::sleep_on(&self.control, "its reader does not read")?,
                Err(err) => self.absence.wait(err, || explain(err, &self.path, "unix"))?,
            }
        }
    }
}

impl Sink for UnixDatagram {
    fn write(&mut self, records: Frames<'_>) -> io::Result<Written> {
        datagram::send_each(records, |record| {
            self.send(record.strip_suffix(b"\n").unwrap_or(record))
        })
    }

    /// The socket is connected to nobody: the kernel cannot say whose process it is.
    fn reader_fd(&self) -> Option<OwnedFd> {
        self.socket.try_clone().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;

    use tempfile::TempDir;

    use super::*;
    use crate::ledger::Cause;
    use crate::outlet::FrameBuffer;

    #[test]
    fn one_that_is_too_large_is_refused_and_the_others_go_on() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("socket");
        let reader = net::UnixDatagram::bind(&path).expect("a socket");
        // The kernel makes at least 4608 of it, and keeps 32 for itself.
        for (send_buffer, most) in [(Some(1), 4608 - 32), (Some(8000), 16000 - 32)] {
            let output = SocketOutput { path: path.clone(), send_buffer };
            let control = Control::new("unix-dgram:socket".to_owned(), true);
            let mut sink = UnixDatagram::open(&output, &control).expect("a sink");
            let mut buffer = FrameBuffer::default();
            for size in [1, most, most + 1, 2] {
                buffer.push(None, |out| {
                    out.resize(out.len() + size, b'x');
                    out.push(b'\n');
                });
            }
            let frames = buffer.frames();
            let refused = Written::Refused { frame: 2, cause: Cause::TooLarge };
            let mut got = vec![0; 20_000];
            let mut receive = || reader.recv(&mut got).expect("a datagram");
            assert_eq!(sink.write(frames).expect("it works"), refused);
            // They come without newline.
            assert_eq!([receive(), receive()], [1, most]);
            assert_eq!(sink.write(frames.from(3)).expect("it works"), Written::All);
            assert_eq!(receive(), 2);
        }
    }

    #[test]
    fn at_the_end_it_says_what_is_wrong() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("socket");
        let wrong = |count: usize| {
            let output = SocketOutput { path: path.clone(), send_buffer: None };
            let control = Control::new("unix-dgram:socket".to_owned(), true);
            let mut sink = UnixDatagram::open(&output, &control).expect("a sink");
            control.close();
            let mut buffer = FrameBuffer::default();
            for _ in 0..count {
                buffer.push(None, |out| out.extend(b"{}\n"));
            }
            sink.write(buffer.frames()).expect_err("nobody reads").to_string()
        };
        assert!(wrong(1).contains("there is no such socket"));
        let reader = net::UnixDatagram::bind(&path).expect("a socket");
        // More than the system lets wait.
        assert!(wrong(100_000).contains("does not read"));
        drop(reader);
        assert!(wrong(1).contains("nobody listens"));
        std::fs::remove_file(&path).expect("a socket");
        let _listener = net::UnixListener::bind(&path).expect("a socket");
        assert!(wrong(1).contains("-o unix:"));
    }
}
