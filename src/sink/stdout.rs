//! Standard output: a terminal, a pipe, or a file that the shell opened.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::pipe::PIPE_BUF;

use super::Sink;
use super::Written;
use crate::outlet::Frames;

/// Standard output.
#[derive(Debug)]
pub struct Stdout {
    file: File,
    /// A pipe takes up to PIPE_BUF bytes wholly or not at all: killed while it waits for a slow reader,
    /// connledger leaves no torn line behind.
    pipe: bool,
    can_hang_up: bool,
}

impl Stdout {
    /// Takes it over, unbuffered: batches are written whole.
    ///
    /// # Errors
    /// If it is closed.
    pub fn open() -> io::Result<Self> {
        let fd = rustix::io::dup(rustix::stdio::stdout())?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        Ok(Self {
            file: File::from(fd),
            pipe: kind == FileType::Fifo,
            can_hang_up: matches!(kind, FileType::Fifo | FileType::Socket),
        })
    }
}

impl Stdout {
    /// Writes all of it. Whoever shares the pipe or the terminal may have made it non-blocking.
    fn write_whole(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    let mut wanted = [PollFd::new(&self.file, PollFlags::OUT)];
                    match rustix::event::poll(&mut wanted, None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(err) => return Err(err.into()),
                    }
                }
                // So says a socket whose reader left something unread.
                Err(err) if err.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}

impl Sink for Stdout {
    fn write(&mut self, mut lines: Frames<'_>) -> io::Result<Written> {
        let most = if self.pipe { PIPE_BUF } else { usize::MAX };
        while !lines.is_empty() {
            let now = lines.that_fit(most);
            self.write_whole(lines.slice(0..now).bytes())?;
            lines = lines.from(now);
        }
        Ok(Written::All)
    }

    fn hangup_fd(&self) -> Option<OwnedFd> {
        if !self.can_hang_up {
            return None;
        }
        self.file.try_clone().ok().map(OwnedFd::from)
    }

    fn reader_fd(&self) -> Option<OwnedFd> {
        self.file.try_clone().ok().map(OwnedFd::from)
    }
}
