//! Standard output: a terminal, a pipe, or a file that the shell opened.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::fs::FileType;
use rustix::pipe::PIPE_BUF;

use super::Sink;

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
                    rustix::event::poll(&mut wanted, None)?;
                }
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}

impl Sink for Stdout {
    fn write(&mut self, mut lines: &[u8]) -> io::Result<()> {
        if !self.pipe {
            return self.write_whole(lines);
        }
        while !lines.is_empty() {
            let (now, later) = lines.split_at(whole_lines(lines, PIPE_BUF));
            self.write_whole(now)?;
            lines = later;
        }
        Ok(())
    }

    fn hangup_fd(&self) -> Option<OwnedFd> {
        if !self.can_hang_up {
            return None;
        }
        self.file.try_clone().ok().map(OwnedFd::from)
    }
}

/// The length of as many whole lines as fit into `limit` bytes; at least of the first one.
fn whole_lines(lines: &[u8], limit: usize) -> usize {
    if lines.len() <= limit {
        return lines.len();
    }
    let newline = |b: &u8| *b == b'\n';
    lines[..limit]
        .iter()
        .rposition(newline)
        .or_else(|| lines.iter().position(newline))
        .map_or(lines.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::whole_lines;

    #[test]
    fn splits_between_lines() {
        assert_eq!(whole_lines(b"aa\nbb\ncc\n", 100), 9);
        assert_eq!(whole_lines(b"aa\nbb\ncc\n", 8), 6);
        assert_eq!(whole_lines(b"aa\nbb\ncc\n", 6), 6);
        assert_eq!(whole_lines(b"aa\nbb\ncc\n", 5), 3);
        assert_eq!(whole_lines(b"aaaaaaaa\nbb\n", 5), 9, "a line alone may be longer");
        assert_eq!(whole_lines(b"aaaaaaaa", 5), 8);
    }
}
