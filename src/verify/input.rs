//! Logs as blocks of whole lines, read and decompressed on a thread of its own, so that this and the decoding go
//! on at the same time. Memory is what a few blocks take.

use std::fmt;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Cursor;
use std::io::Read;
use std::path::PathBuf;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use flate2::read::MultiGzDecoder;
use serde::Serialize;

use super::progress::Progress;

/// Size of a block, and the longest line that is looked at: connledger writes none above 8 KiB.
pub const BLOCK: usize = 256 << 10;

/// Blocks on their way; when they are used up the reader waits for the decoder.
const BLOCKS: usize = 4;

/// Where a log comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `-`
    Stdin,
    /// A file.
    File(PathBuf),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// How many bytes it has, compressed as they may be; `None` if that cannot be known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        let Self::File(path) = self else { return None };
        path.metadata().ok().filter(Metadata::is_file).map(|data| data.len())
    }

    fn open(&self) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Stdin => Ok(Box::new(io::stdin().lock())),
            Self::File(path) => {
                let file = File::open(path)?;
                if file.metadata()?.is_dir() {
                    return Err(io::Error::other("it is a directory; name the files in it"));
                }
                Ok(Box::new(file))
            }
        }
    }
}

/// How a log is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all
    None,
    /// gzip, one member or several
    Gzip,
    /// Zstandard, one frame or several
    Zstd,
}

impl Compression {
    /// By the first bytes.
    ///
    /// # Errors
    /// If it is a format that is known, and not read here.
    fn of(magic: &[u8]) -> io::Result<Self> {
        let other = |name: &str| {
            Err(io::Error::other(format!(
                "it is compressed with {name}, which is not read here; {name} -dc FILE | connledger verify -"
            )))
        };
        match magic {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // A frame, or one that is to be skipped (RFC 8878, 3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', ..] => other("xz"),
            [b'B', b'Z', b'h', ..] => other("bzip2"),
            [0x04, 0x22, 0x4d, 0x18, ..] => other("lz4"),
            _ => Ok(Self::None),
        }
    }
}

/// What the reader hands over, file by file.
#[derive(Debug)]
pub enum Piece {
    /// A log begins.
    Begin(Compression),
    /// Lines, each with its newline; only the last one of a log may lack it.
    Lines(Vec<u8>),
    /// A line longer than a block was passed over.
    TooLong,
    /// The log is over, or could not be read further.
    End(io::Result<()>),
}

/// Gives the pieces of the sources one after the other, and takes blocks back.
#[derive(Debug)]
pub struct Pieces {
    /// From the reader.
    pub pieces: Receiver<Piece>,
    /// To the reader, to be filled again.
    pub used: Sender<Vec<u8>>,
}

/// The reader's side.
#[derive(Debug)]
pub struct Reader {
    pieces: Sender<Piece>,
    blocks: Receiver<Vec<u8>>,
}

/// Nobody takes the pieces any more.
struct Gone;

/// Both ends.
#[must_use]
pub fn channel() -> (Reader, Pieces) {
    let (pieces, from_reader) = crossbeam_channel::bounded(BLOCKS);
    let (used, blocks) = crossbeam_channel::unbounded();
    for _ in 0..BLOCKS {
        // The receiver is in this function.
        let _ = used.send(Vec::with_capacity(BLOCK));
    }
    (Reader { pieces, blocks }, Pieces { pieces: from_reader, used })
}

impl Reader {
    /// Reads all sources. Ends early if nobody takes the pieces any more.
    pub fn run(self, sources: &[Source], progress: &Progress) {
        for source in sources {
            let read = self.read(source, progress);
            let end = match read {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Gone)) => return,
                Err(err) => Err(err),
            };
            if self.pieces.send(Piece::End(end)).is_err() {
                return;
            }
        }
    }

    fn read(&self, source: &Source, progress: &Progress) -> io::Result<Result<(), Gone>> {
        let mut file = progress.watch(source.open()?);
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic)?;
        let compression = Compression::of(&magic)?;
        let file = Cursor::new(magic).chain(file);
        let mut log: Box<dyn Read> = match compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(MultiGzDecoder::new(file)),
            Compression::Zstd => Box::new(zstd::Decoder::new(file)?),
        };
        if self.pieces.send(Piece::Begin(compression)).is_err() {
            return Ok(Err(Gone));
        }
        self.lines(&mut log)
    }

    /// Cuts what is read behind the last newline of each block; the rest begins the next one.
    fn lines(&self, log: &mut dyn Read) -> io::Result<Result<(), Gone>> {
        let mut rest = Vec::new();
        let mut in_long_line = false;
        loop {
            let Ok(mut block) = self.blocks.recv() else { return Ok(Err(Gone)) };
            block.clear();
            block.append(&mut rest);
            let read = fill(log, &mut block);
            let at_end = !matches!(read, Ok(Fill::Full));
            let end = memchr::memrchr(b'\n', &block).map(|newline| newline + 1);
            let whole = match end {
                _ if at_end => block.len(),
                Some(end) => end,
                None => 0,
            };
            rest.extend_from_slice(&block[whole..]);
            block.truncate(whole);
            if in_long_line {
                let behind =
                    memchr::memchr(b'\n', &block).map_or(block.len(), |newline| newline + 1);
                block.drain(..behind);
                in_long_line = end.is_none() && !at_end;
            }
            let mut pieces = Vec::from([Piece::Lines(block)]);
            if rest.len() >= BLOCK {
                rest.clear();
                if !in_long_line {
                    pieces.push(Piece::TooLong);
                }
                in_long_line = true;
            }
            for piece in pieces {
                if self.pieces.send(piece).is_err() {
                    return Ok(Err(Gone));
                }
            }
            match read? {
                Fill::Full => {}
                Fill::End => return Ok(Ok(())),
            }
        }
    }
}

/// How a block was filled.
enum Fill {
    Full,
    End,
}

/// Fills a block up. What was read before an error stays in it.
fn fill(log: &mut dyn Read, block: &mut Vec<u8>) -> io::Result<Fill> {
    let room = (BLOCK - block.len()) as u64;
    let read = log.take(room).read_to_end(block)? as u64;
    Ok(if read < room { Fill::End } else { Fill::Full })
}
