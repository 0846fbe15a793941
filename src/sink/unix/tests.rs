//! Real readers at a real socket: what they got, whatever they did.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;

use rustix::net::AddressFamily;
use rustix::net::SocketType;
use tempfile::TempDir;

use super::*;
use crate::ledger::Body;
use crate::ledger::Entry;
use crate::outlet::FrameBuffer;

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// What a reader does when it has read a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    HangUp,
}

/// Listens, and reads one connection after the other, so many bytes at once. Tells each line that it takes, and the
/// number of the connection. `judge` is asked for each line, and for what has come of one: nothing at the beginning.
fn listen(
    path: PathBuf,
    chunk: usize,
    mut judge: impl FnMut(usize, &str) -> Then + Send + 'static,
) -> Receiver<(usize, String)> {
    let listener = UnixListener::bind(path).expect("a socket");
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let judge = |line: &str| judge(number, line);
            // Who does not listen any more has got what it wanted.
            read(&mut stream, chunk, judge, |line| drop(told.send((number, line))));
        }
    });
    heard
}

fn read(
    stream: &mut UnixStream,
    chunk: usize,
    mut judge: impl FnMut(&str) -> Then,
    mut take: impl FnMut(String),
) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; chunk];
    if judge("") == Then::HangUp {
        return;
    }
    loop {
        let count = stream.read(&mut buffer).expect("readable");
        if count == 0 {
            assert!(bytes.is_empty(), "torn at the end");
            return;
        }
        bytes.extend_from_slice(&buffer[..count]);
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8(bytes.drain(..=end).collect()).expect("UTF-8");
            if judge(&line) == Then::HangUp {
                return;
            }
            take(line);
        }
        let begun = std::str::from_utf8(&bytes).expect("UTF-8");
        if !begun.is_empty() && judge(begun) == Then::HangUp {
            return;
        }
    }
}

/// Line number so and so.
fn line(number: usize) -> String {
    format!("{{\"seq\":{number},\"rest\":\"{}\"}}\n", "x".repeat(number * 37 % 700))
}

/// What the outlet's thread does with the sink.
struct Writer {
    sink: Unix,
    given_up: Rc<RefCell<Vec<u64>>>,
}

impl Writer {
    fn new(path: &Path, send_buffer: Option<u32>) -> Self {
        let control = Control::new(format!("unix:{}", path.display()), true);
        let output = SocketOutput { path: path.to_owned(), send_buffer };
        Self { sink: Unix::open(&output, &control).expect("a sink"), given_up: Rc::default() }
    }

    fn write(&mut self, numbers: std::ops::Range<usize>) {
        let mut buffer = FrameBuffer::default();
        for number in numbers {
            let entry = Entry { seq: number as u64, time_unix_ns: 0, body: Body::Ready };
            buffer.push(Some((number, &entry)), |out| out.extend(line(number).as_bytes()));
        }
        let frames = buffer.frames();
        let mut from = 0;
        let mut own = FrameBuffer::default();
        let mut telling = false;
        while telling || from < frames.len() {
            let now = if telling { own.frames() } else { frames.from(from) };
            match self.sink.write(now).expect("it does not fail") {
                Written::All if telling => telling = false,
                Written::All => break,
                Written::GivenUp { subject, next } => {
                    from += if telling { 0 } else { next };
                    self.given_up.borrow_mut().push(subject.seq);
                    own.clear();
                    let loss = format!("{{\"loss\":{}}}\n", subject.seq);
                    own.push(None, |out| out.extend(loss.as_bytes()));
                    telling = true;
                }
                Written::Refused { .. } => panic!("no line is refused at once"),
            }
        }
    }

    fn resent(&self) -> u64 {
        self.sink.control.tally().resent()
    }

    /// Waits for the last line. Returns what the reader got of each connection.
    fn end(mut self, heard: &Receiver<(usize, String)>, last: &str) -> Vec<Vec<String>> {
        let deadline = Instant::now() + LONG;
        let mut all: Vec<Vec<String>> = Vec::new();
        let mut more = 1_000_000;
        loop {
            let Ok((number, line)) = heard.recv_timeout(Duration::from_millis(100)) else {
                // That a reader has hung up shows with the next line.
                assert!(Instant::now() < deadline, "the last line does not come");
                self.write(more..more + 1);
                more += 1;
                continue;
            };
            all.resize(all.len().max(number + 1), Vec::new());
            let found = line == last;
            all[number].push(line);
            if found {
                return all;
            }
        }
    }
}

/// Each number from 0 on arrived, but for those.
fn assert_complete(got: &[Vec<String>], count: usize, but: &[u64]) {
    let lines: BTreeSet<&String> = got.iter().flatten().collect();
    for number in 0..count {
        let missing = but.contains(&(number as u64));
        assert_eq!(lines.contains(&line(number)), !missing, "line {number}");
        let loss = format!("{{\"loss\":{number}}}\n");
        assert_eq!(lines.contains(&loss), missing, "loss of {number}");
    }
}

fn socket() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("socket");
    (folder, path)
}

/// Writes so many lines in batches of different sizes to a reader that judges so.
fn run(
    count: usize,
    chunk: usize,
    send_buffer: Option<u32>,
    judge: impl FnMut(usize, &str) -> Then + Send + 'static,
) -> (Vec<Vec<String>>, Vec<u64>, u64) {
    let (_folder, path) = socket();
    let heard = listen(path.clone(), chunk, judge);
    let mut writer = Writer::new(&path, send_buffer);
    let mut from = 0;
    for size in [1, 2, 100, 256, 7].into_iter().cycle() {
        let to = (from + size).min(count);
        writer.write(from..to);
        from = to;
        if from == count {
            break;
        }
    }
    let given_up = Rc::clone(&writer.given_up);
    let control = writer.sink.control.clone();
    let got = writer.end(&heard, &line(count - 1));
    (got, given_up.take(), control.tally().resent())
}

const CHUNKS: [usize; 4] = [1, 100, 4096, 1 << 16];

#[test]
fn nothing_is_sent_twice_to_one_that_stays() {
    for chunk in CHUNKS {
        let (got, given_up, resent) = run(3000, chunk, None, |_, _| Then::GoOn);
        assert_eq!((given_up.len(), resent, got.len()), (0, 0, 1));
        assert_eq!(got[0], (0..3000).map(line).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_that_hangs_up_now_and_then_misses_nothing() {
    for send_buffer in [None, Some(1)] {
        for chunk in CHUNKS {
            let mut lines = 0;
            let (got, given_up, _) = run(3000, chunk, send_buffer, move |number, text| {
                lines = if text.is_empty() { 0 } else { lines + usize::from(text.ends_with('\n')) };
                let tired = number < 8 && lines == 50 + number * 97 % 200;
                if tired { Then::HangUp } else { Then::GoOn }
            });
            assert_eq!(given_up, [0; 0], "chunks of {chunk}");
            assert!(got.len() >= 8, "{}", got.len());
            assert_complete(&got, 3000, &[]);
        }
    }
}

#[test]
fn a_line_at_which_it_hangs_up_again_and_again_is_given_up() {
    for send_buffer in [None, Some(1)] {
        for chunk in CHUNKS {
            let mut seen = 0;
            let (got, given_up, _) = run(2000, chunk, send_buffer, move |_, text| {
                if *text == line(1234) {
                    seen += 1;
                    assert!(seen <= 3, "the third time it is known");
                    return Then::HangUp;
                }
                Then::GoOn
            });
            assert_eq!(given_up, [1234], "chunks of {chunk}");
            assert_complete(&got, 2000, &given_up);
            let last = got.last().expect("a connection");
            let loss = last.iter().position(|text| text.contains("loss")).expect("a loss");
            assert_eq!(last[loss + 1], line(1235), "it stands in its place");
        }
    }
}

#[test]
fn so_is_one_at_whose_half_it_hangs_up() {
    for chunk in [1, 50] {
        let (got, given_up, _) = run(400, chunk, None, move |_, text| {
            let begun = text.starts_with("{\"seq\":321,") && !text.ends_with('\n');
            if begun { Then::HangUp } else { Then::GoOn }
        });
        assert_eq!(given_up, [321], "chunks of {chunk}");
        assert_complete(&got, 400, &given_up);
    }
}

#[test]
fn one_at_which_it_hangs_up_once_is_not() {
    for chunk in CHUNKS {
        let mut seen = 0;
        let (got, given_up, resent) = run(2000, chunk, None, move |_, text| {
            seen += u32::from(*text == line(1234));
            if *text == line(1234) && seen == 1 { Then::HangUp } else { Then::GoOn }
        });
        assert_eq!((given_up.len(), got.len()), (0, 2));
        assert!(resent > 0);
        assert_complete(&got, 2000, &[]);
    }
}

#[test]
fn every_line_but_the_losses() {
    let count = 20;
    let (got, given_up, _) = run(count, 1 << 16, None, move |_, text| {
        let last = text == line(count - 1);
        if text.contains("rest") && !last { Then::HangUp } else { Then::GoOn }
    });
    assert_eq!(given_up, (0..count as u64 - 1).collect::<Vec<_>>());
    assert_complete(&got, count, &given_up);
}

#[test]
fn a_reader_that_falls_over_before_it_reads_costs_nothing() {
    let (got, given_up, _) = run(500, 1 << 16, None, |number, _| {
        if (1..5).contains(&number) || number == 0 { Then::HangUp } else { Then::GoOn }
    });
    assert_eq!(given_up, [0; 0]);
    assert_complete(&got, 500, &[]);
}

#[test]
fn a_stalled_reader_that_dies_has_read_nothing() {
    let (_folder, path) = socket();
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut writer = Writer::new(&path, None);
    writer.write(0..500);
    let (stalled, _) = listener.accept().expect("a connection");
    drop(stalled);
    drop(listener);
    std::fs::remove_file(&path).expect("it is there");
    let heard = listen(path, 1 << 16, |_, _| Then::GoOn);
    writer.write(500..501);
    assert_eq!(writer.resent(), 500);
    assert_complete(&writer.end(&heard, &line(500)), 501, &[]);
}

#[test]
fn what_was_read_long_ago_is_not_sent_again() {
    let (_folder, path) = socket();
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut writer = Writer::new(&path, None);
    writer.write(0..100);
    let (mut reader, _) = listener.accept().expect("a connection");
    let expected: usize = (0..100).map(|number| line(number).len()).sum();
    reader.read_exact(&mut vec![0; expected]).expect("all of it");
    // Time is what it is about.
    thread::sleep(Duration::from_millis(1100));
    drop(reader);
    drop(listener);
    std::fs::remove_file(&path).expect("it is there");
    let heard = listen(path, 1 << 16, |_, _| Then::GoOn);
    writer.write(100..101);
    assert_eq!(writer.resent(), 0);
    assert_eq!(writer.end(&heard, &line(100)), [[line(100)]]);
}

#[test]
fn the_rest_can_be_read_when_we_are_gone() {
    let (_folder, path) = socket();
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut writer = Writer::new(&path, None);
    writer.write(0..100);
    drop(writer);
    let (reader, _) = listener.accept().expect("a connection");
    let mut got = Vec::new();
    read(&mut { reader }, 1 << 16, |_| Then::GoOn, |line| got.push(line));
    assert_eq!(got, (0..100).map(line).collect::<Vec<_>>());
}

/// The kernel's words for how much a reader had read, on which all of this rests.
#[test]
fn what_the_kernel_tells_of_a_hang_up() {
    let (_folder, path) = socket();
    let listener = UnixListener::bind(&path).expect("a socket");
    let address = SocketAddrUnix::new(&path).expect("an address");
    for (read, all_read) in [(1000, true), (999, false), (500, false), (0, false)] {
        let connection = Connection::open(&address, None).expect("a connection");
        let (mut reader, _) = listener.accept().expect("a connection");
        for _ in 0..2 {
            connection.send(&[b'x'; 500]).expect("it works").expect("nobody hung up");
        }
        assert!(connection.unread().expect("it works") >= 1000);
        reader.read_exact(&mut vec![0; read]).expect("it is there");
        assert_eq!(connection.unread().expect("it works") == 0, all_read, "{read} of 1000 bytes");
        drop(reader);
        let hang_up = connection.send(b"x").expect("it works");
        assert_eq!(hang_up, Err(connection::HangUp { sent: 0, all_read }), "{read} of 1000 bytes");
    }
}

#[test]
fn no_more_can_be_unread_than_is_kept() {
    let (_folder, path) = socket();
    let listener = UnixListener::bind(&path).expect("a socket");
    for send_buffer in [None, Some(1), Some(16 << 10), Some(64 << 10), Some(1 << 20)] {
        for size in [100, 400, 4000, SEND] {
            let socket = UnixStream::connect(&path).expect("a connection");
            if let Some(bytes) = send_buffer {
                rustix::net::sockopt::set_socket_send_buffer_size(&socket, bytes).expect("a size");
            }
            let _stalled = listener.accept().expect("a connection");
            socket.set_nonblocking(true).expect("non-blocking");
            let mut sent = 0;
            while let Ok(now) = (&socket).write(&vec![0; size]) {
                sent += now;
            }
            let most = rustix::net::sockopt::socket_send_buffer_size(&socket).expect("a size");
            assert!(sent <= most + most / 2, "{sent} bytes in sends of {size}, buffer {most}");
        }
    }
}

#[test]
fn at_the_end_it_says_what_is_wrong() {
    let (folder, path) = socket();
    let wrong = |path: &Path| {
        let mut writer = Writer::new(path, None);
        writer.sink.control.close();
        let mut buffer = FrameBuffer::default();
        buffer.push(None, |out| out.extend(b"{}\n"));
        writer.sink.write(buffer.frames()).expect_err("nobody is there").to_string()
    };
    assert!(wrong(&path).contains("there is no such socket"));
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(wrong(&path).contains("nobody listens"));
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    assert!(wrong(&file).contains("no socket"));
    assert!(wrong(&file.join("x")).contains("no folder"));
    let datagrams = folder.path().join("datagrams");
    let _bound = std::os::unix::net::UnixDatagram::bind(&datagrams).expect("a socket");
    assert!(wrong(&datagrams).contains("unix-dgram:"));
    let full = folder.path().join("full");
    let listener =
        rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    rustix::net::bind(&listener, &SocketAddrUnix::new(&full).expect("an address")).expect("bound");
    rustix::net::listen(&listener, 0).expect("it listens");
    let _first = UnixStream::connect(&full).expect("there is room for one");
    assert!(wrong(&full).contains("no more connections"));
}
