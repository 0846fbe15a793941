//! Each connection of a busy host, through the start of a tracer: one beginning, one end, nothing doubled and nothing
//! missing.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use nix::fcntl::FcntlArg;
use nix::fcntl::OFlag;
use serde_json::Value;
use socket2::SockRef;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::opening::ends;
use crate::opening::pair;
use crate::processes::Child;
use crate::processes::forked;
use crate::times::now;
use crate::times::unix_ns;
use crate::tracer::Tracer;

/// What a process did with one end of a connection, in nanoseconds since 1970.
#[derive(Debug)]
struct Life {
    cookie: u64,
    ports: (u64, u64),
    /// The call that made it, or took it, was about to be made.
    begun: u64,
    /// It was about to be closed.
    ending: u64,
}

/// Makes connections to itself until `enough` says so: keeps some for a while, closes the oldest.
fn live(enough: impl Fn() -> bool, kept: usize) -> Vec<Life> {
    let listener = TcpListener::bind(v4()).unwrap();
    let mut open: VecDeque<(TcpStream, u64)> = VecDeque::new();
    let mut lives = Vec::new();
    let mut close = |(stream, begun): (TcpStream, u64)| {
        let cookie = SockRef::from(&stream).cookie().unwrap();
        let (local, remote) = ends(&stream);
        let ports = (local.port().into(), remote.port().into());
        lives.push(Life { cookie, ports, begun, ending: now() });
    };
    // Some last from beginning to end.
    let lasting: Vec<_> = (0..200).map(|_| (now(), pair(&listener))).collect();
    while !enough() {
        let begun = now();
        let (client, server) = pair(&listener);
        open.extend([(client, begun), (server, begun)]);
        while open.len() > kept {
            close(open.pop_front().unwrap());
        }
        // Some thousands a second are asked for, not all that the host can do.
        thread::sleep(Duration::from_micros(200));
    }
    for (begun, (client, server)) in lasting {
        open.extend([(client, begun), (server, begun)]);
    }
    open.into_iter().for_each(close);
    lives
}

/// Processes that live so.
struct Busy {
    children: Vec<Child>,
    books: Vec<File>,
    stop: OwnedFd,
}

impl Busy {
    fn begin() -> Self {
        const KEPT: [usize; 4] = [2, 20, 200, 600];
        let (wait, stop) = nix::unistd::pipe().unwrap();
        nix::fcntl::fcntl(&wait, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let books = KEPT.map(|_| tempfile::tempfile().unwrap());
        let children = books.iter().zip(KEPT).map(|(book, kept)| {
            forked(|| {
                // A byte, or the end of the test.
                let enough = || nix::unistd::read(wait.as_fd(), &mut [0]).is_ok();
                nix::unistd::close(stop.as_raw_fd()).unwrap();
                let line = |Life { cookie, ports: (local, remote), begun, ending }| {
                    format!("{cookie} {local} {remote} {begun} {ending}")
                };
                let text = live(enough, kept).into_iter().map(line).collect::<Vec<_>>().join("\n");
                let mut book: &File = book;
                book.write_all(text.as_bytes()).unwrap();
            })
        });
        let children = children.collect();
        thread::sleep(Duration::from_millis(400));
        Self { children, books: books.into(), stop }
    }

    /// What they did.
    fn end(self) -> Vec<Life> {
        nix::unistd::write(&self.stop, &vec![0; self.children.len()]).unwrap();
        self.children.into_iter().for_each(Child::wait);
        self.books.iter().flat_map(read_book).collect()
    }
}

/// The cookie in a connection's name.
fn cookie_of(conn: &str) -> u64 {
    u64::from_str_radix(conn.rsplit('-').next().unwrap(), 16).unwrap()
}

#[test]
fn the_union_is_exact_while_thousands_come_and_go() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    let busy = Busy::begin();
    let before = now();
    let tracer = Tracer::start(&["--ring-size", "64MiB"]);
    thread::sleep(Duration::from_millis(300));
    let lives = busy.end();
    let log = tracer.stop();
    assert_eq!(log.stop()["lost"], 0, "{}", log.stop());

    let time = |kind: &str| unix_ns(log.of_kind(kind).next().unwrap());
    // The hooks were attached when `start` was made.
    let (start, ready) = (time("start"), time("ready"));
    let mut told: HashMap<u64, (Vec<&str>, usize)> = HashMap::new();
    let mut nobodys: HashMap<u64, &Value> = HashMap::new();
    for record in log.events(namespace.netns) {
        let cookie = if let Some(conn) = record["conn"].as_str() {
            cookie_of(conn)
        } else {
            // Accepted, but established before anybody asked for its cookie, and so before tracing.
            let ports = ["local", "remote"].map(|end| record[end]["port"].as_u64().unwrap());
            let time = unix_ns(record);
            let is_it = |life: &&Life| {
                life.ports == ports.into() && life.begun < time && time < life.ending
            };
            lives.iter().find(is_it).unwrap_or_else(|| panic!("{record}")).cookie
        };
        // What begins while the hooks are being attached may begin as nobody's, and end as somebody's.
        if record.get("process").is_none() && unix_ns(record) > start {
            nobodys.insert(cookie, record);
        }
        let (beginnings, ends) = told.entry(cookie).or_default();
        match record["event"].as_str().unwrap() {
            "close" => *ends += 1,
            beginning => beginnings.push(beginning),
        }
    }
    for (cookie, (beginnings, ends)) in &told {
        assert!(beginnings.len() <= 1 && *ends <= 1, "{cookie:x}: {beginnings:?}, {ends} ends");
    }
    let (mut through, mut during, mut earlier) = (0, 0, 0);
    for life in &lives {
        let (beginnings, ends) = told.remove(&life.cookie).unwrap_or_default();
        let is = || {
            let theirs = |record: &&&Value| {
                record["local"]["port"] == life.ports.0 && record["remote"]["port"] == life.ports.1
            };
            let events = log.events(namespace.netns);
            let records: Vec<_> = events.iter().filter(theirs).collect();
            format!("{life:#?}\n{start}, {ready}: {beginnings:?}, {ends} ends\n{records:#?}")
        };
        if life.ending < before {
            // Its last transitions may come later, if its peer was closed later.
            earlier += 1;
            continue;
        }
        if life.begun > start {
            assert_eq!(beginnings.len(), 1, "{}", is());
            assert_ne!(beginnings[0], "open", "{}", is());
        }
        if life.ending > start {
            assert_eq!((beginnings.len(), ends), (1, 1), "{}", is());
            // Who closes it held it, though the listing may come too late to see that.
            assert_eq!(nobodys.get(&life.cookie), None, "{}", is());
            during += usize::from(life.ending < ready);
            through += usize::from(life.begun < before && life.ending > ready);
        }
    }
    assert!(told.is_empty(), "nobody's: {told:?}");
    // The listing takes a few milliseconds: how many fall into it varies.
    assert!(earlier > 1000 && through > 500 && during > 5, "{earlier}, {through}, {during}");
}

/// Also where no end is asked for: who closes is seen all the same.
#[test]
fn what_is_closed_while_it_is_listed_has_a_process() {
    const ROUNDS: usize = 20;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    let mut during = 0;
    for _ in 0..ROUNDS {
        let busy = Busy::begin();
        let log = Tracer::start(&["-e", "open"]).stop();
        let lives = busy.end();
        assert_eq!(log.stop()["lost"], 0, "{}", log.stop());
        let opens: HashMap<u64, &Value> = log
            .events_of(namespace.netns, "open")
            .into_iter()
            .map(|open| (cookie_of(open["conn"].as_str().unwrap()), open))
            .collect();
        let [start, ready] =
            ["start", "ready"].map(|kind| unix_ns(log.of_kind(kind).next().unwrap()));
        // What was closed before `start` may end later, and is nobody's.
        for life in lives.iter().filter(|life| start < life.ending && life.ending < ready) {
            let Some(open) = opens.get(&life.cookie) else { continue };
            assert!(open.get("process").is_some(), "{life:#?}\n{start}, {ready}: {open}");
            during += 1;
        }
        if during > 20 {
            return;
        }
    }
    panic!("only {during} were closed while they were listed");
}

fn read_book(mut book: &File) -> Vec<Life> {
    let mut text = String::new();
    book.rewind().unwrap();
    book.read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut number = || words.next().unwrap().parse().unwrap();
            Life {
                cookie: number(),
                ports: (number(), number()),
                begun: number(),
                ending: number(),
            }
        })
        .collect()
}
