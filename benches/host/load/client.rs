//! The client: keeps up to 64 connections in flight. Each sends 64 bytes, gets 64, and is closed after the
//! server has closed it.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use rustix::event::epoll::EventFlags;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::Load;
use super::MESSAGE;
use super::Made;
use super::net::Epoll;
use super::net::address;
use super::net::unless_it_waits;

/// Connections in flight.
const IN_FLIGHT: usize = 64;

/// How long it waits for what is in flight before it looks at the clock; also the grain of a paced load.
const TICK_MILLIS: u16 = 1;

/// A connection under way.
struct Exchange {
    connection: TcpStream,
    asked: bool,
    /// Bytes of the answer.
    answered: usize,
}

struct Client {
    epoll: Epoll,
    exchanges: Vec<Option<Exchange>>,
    /// Indexes of `exchanges` that are free.
    free: Vec<usize>,
    opened: u64,
    ended: u64,
    failed: u64,
}

/// Makes the load.
pub fn make(load: &Load) -> anyhow::Result<Made> {
    let mut client = Client {
        epoll: Epoll::new()?,
        exchanges: (0..IN_FLIGHT).map(|_| None).collect(),
        free: (0..IN_FLIGHT).collect(),
        opened: 0,
        ended: 0,
        failed: 0,
    };
    let begin = Instant::now();
    let measured_from = client.run_until(begin, begin + load.warm_up, load.rate)?;
    let ended_before = client.ended;
    let measured_to = client.run_until(begin, begin + load.warm_up + load.measured, load.rate)?;
    let measured = client.ended - ended_before;
    client.finish()?;
    Ok(Made {
        measured,
        seconds: (measured_to - measured_from).as_secs_f64(),
        total: client.ended,
        failed: client.failed,
    })
}

impl Client {
    /// Runs until it is `end`, and tells when it really was.
    fn run_until(
        &mut self,
        begin: Instant,
        end: Instant,
        rate: Option<u32>,
    ) -> anyhow::Result<Instant> {
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(now);
            }
            let due = rate.map_or(u64::MAX, |rate| connections_due(now - begin, rate));
            while self.opened < due
                && let Some(index) = self.free.pop()
            {
                self.open(index).context("the client cannot connect")?;
            }
            self.go_on()?;
        }
    }

    /// Waits for what is in flight.
    fn finish(&mut self) -> anyhow::Result<()> {
        while self.free.len() < IN_FLIGHT {
            self.go_on()?;
        }
        Ok(())
    }

    /// Waits a tick at most, and takes the connections on which something happened further.
    fn go_on(&mut self) -> anyhow::Result<()> {
        self.epoll.wait(Some(TICK_MILLIS))?;
        for event in 0.. {
            let Some(index) = self.epoll.event(event) else { return Ok(()) };
            let Some(exchange) = &mut self.exchanges[index] else { continue };
            match exchange.go_on() {
                Ok(None) => continue,
                Ok(Some(())) => self.ended += 1,
                Err(_) => {
                    self.ended += 1;
                    self.failed += 1;
                }
            }
            self.exchanges[index] = None;
            self.free.push(index);
        }
        Ok(())
    }

    fn open(&mut self, index: usize) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address().into()) {
            Err(err) if err.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
            other => other?,
        }
        let connection = TcpStream::from(socket);
        // Each of them is told once, by its edge.
        self.epoll.add(
            &connection,
            index,
            EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
        )?;
        self.exchanges[index] = Some(Exchange { connection, asked: false, answered: 0 });
        self.opened += 1;
        Ok(())
    }
}

impl Exchange {
    /// Goes on as far as it can. `None` if it has to wait.
    fn go_on(&mut self) -> io::Result<Option<()>> {
        if !self.asked {
            let Some(written) = unless_it_waits(self.connection.write(&[b'x'; MESSAGE]))? else {
                return Ok(None);
            };
            if written < MESSAGE {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.asked = true;
        }
        let mut message = [0; MESSAGE];
        loop {
            match unless_it_waits(self.connection.read(&mut message))? {
                None => return Ok(None),
                Some(0) if self.answered == MESSAGE => return Ok(Some(())),
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(read) => self.answered += read,
            }
        }
    }
}

/// How many connections are to be opened within `elapsed` at a `rate` a second.
fn connections_due(elapsed: Duration, rate: u32) -> u64 {
    (elapsed.as_secs_f64() * f64::from(rate)) as u64
}
