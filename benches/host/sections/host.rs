//! The host's loss: how many connections a second it makes, unwatched and watched by each tool.
//!
//! The machine is not the same from one second to the next. So each session of a tool stands between two
//! unwatched ones, and is compared with their mean: the ratio is what is reported. The order of the tools
//! rotates from round to round.

use anyhow::Context as _;
use serde::Serialize;

use crate::contestant::Contestant;
use crate::load::Load;
use crate::options::Options;
use crate::progress;
use crate::scene::Scene;
use crate::statistics::Summary;
use crate::statistics::summarize;
use crate::watch;
use crate::watch::Session;

/// How often connledger has its turn in a round: the first target is about it, and its interval is to be narrow.
const OWN_TURNS: usize = 2;

/// What the host lost.
#[derive(Debug, Serialize)]
pub struct Host {
    /// Connections a second that nobody watches.
    pub untraced: Summary,
    /// connledger first, then the peers.
    pub tools: Vec<Row>,
    /// Peers that cannot watch here, with the reason.
    pub refused: Vec<(String, String)>,
    /// connledger's connections a second over those of tcplife, in the same round.
    pub over_tcplife: Option<Summary>,
}

/// One tool.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// How it was called.
    pub command: String,
    /// Connections a second under it.
    pub rate: Summary,
    /// The same over those unwatched, before and after.
    pub ratio: Summary,
    /// What it saw and lost, of all its sessions.
    pub seen: Seen,
    /// What it cost in user space.
    pub user: User,
}

/// What a tool saw of the load's connections, and what it lost.
#[derive(Debug, Default, Serialize)]
pub struct Seen {
    /// Connections of the load.
    pub connections: u64,
    /// Lines that it should have written of them.
    pub expected: u64,
    /// Lines that it wrote of them.
    pub written: u64,
    /// What it says itself that it lost.
    pub reported_lost: u64,
    /// Lines that it wrote of other connections: the machine was not alone.
    pub others: u64,
    /// Bytes that it wrote.
    pub bytes: u64,
}

impl Seen {
    /// Lines that are missing.
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.written)
    }
}

/// What a tool cost in user space, under load.
#[derive(Debug, Serialize)]
pub struct User {
    /// CPU time a line in its own code, in µs.
    pub us_a_line: Summary,
    /// CPU time a line in the kernel on its behalf, in µs.
    pub system_us_a_line: Summary,
    /// Both, a connection.
    pub us_a_connection: Summary,
    /// The most anonymous memory, in KiB.
    pub anonymous_kib: Summary,
    /// Times a second that it went to sleep or was interrupted.
    pub switches_a_second: Summary,
}

/// What came of a tool, in all rounds.
struct Record {
    contestant: Contestant,
    rates: Vec<(usize, f64)>,
    ratios: Vec<f64>,
    sessions: Vec<Session>,
    refused: Option<String>,
}

/// Measures it.
pub fn measure(options: &Options, scene: &Scene) -> anyhow::Result<Host> {
    let load = Load { warm_up: options.warm_up(), measured: options.measured(), rate: None };
    let mut contestants = vec![Contestant::connledger()];
    if options.peers {
        contestants.extend(Contestant::peers());
    }
    let mut records: Vec<Record> = contestants.into_iter().map(Record::new).collect();
    let mut untraced = Vec::new();
    for round in 0..options.rounds {
        let mut before = watch::untraced(&load, scene)?.rate();
        untraced.push(before);
        for index in order(round, &records) {
            let record = &mut records[index];
            let session = match watch::watched(&record.contestant, &load, scene)? {
                Ok(session) => session,
                Err(reason) => {
                    progress(&format!("   {}: {reason}", record.contestant.name));
                    record.refused = Some(reason);
                    continue;
                }
            };
            let after = watch::untraced(&load, scene)?.rate();
            untraced.push(after);
            let ratio = session.made.rate() / f64::midpoint(before, after);
            progress(&format!(
                "   round {}/{}, {}: {:.0}/s, {ratio:.3} of untraced",
                round + 1,
                options.rounds,
                record.contestant.name,
                session.made.rate(),
            ));
            record.rates.push((round, session.made.rate()));
            record.ratios.push(ratio);
            record.sessions.push(session);
            before = after;
        }
    }
    conclude(&records, &untraced).context("no rounds")
}

/// Who has a turn in a round: those that can watch, each round beginning with another one.
fn order(round: usize, records: &[Record]) -> Vec<usize> {
    let able = |index: &usize| records[*index].refused.is_none();
    let mut order: Vec<usize> = (1..records.len()).filter(able).collect();
    // connledger at the begin, and in the middle.
    for turn in 0..OWN_TURNS {
        order.insert(turn * (order.len() + 1) / OWN_TURNS, 0);
    }
    let turns = order.len();
    order.rotate_left(round % turns);
    order
}

fn conclude(records: &[Record], untraced: &[f64]) -> Option<Host> {
    let over_tcplife: Vec<f64> = records
        .iter()
        .find(|record| record.contestant.command[0] == "tcplife")
        .map(|tcplife| over(&records[0], tcplife))
        .unwrap_or_default();
    Some(Host {
        untraced: summarize(untraced)?,
        tools: records.iter().filter_map(Record::row).collect(),
        refused: records
            .iter()
            .filter_map(|record| Some((record.contestant.name.to_owned(), record.refused.clone()?)))
            .collect(),
        over_tcplife: summarize(&over_tcplife),
    })
}

/// The rates of one tool over those of another, round by round.
fn over(one: &Record, other: &Record) -> Vec<f64> {
    let other_rate =
        |round| other.rates.iter().find(|(other, _)| *other == round).map(|(_, rate)| *rate);
    one.rates.iter().filter_map(|&(round, rate)| Some(rate / other_rate(round)?)).collect()
}

impl Record {
    fn new(contestant: Contestant) -> Self {
        Self {
            contestant,
            rates: Vec::new(),
            ratios: Vec::new(),
            sessions: Vec::new(),
            refused: None,
        }
    }

    fn row(&self) -> Option<Row> {
        let rates: Vec<f64> = self.rates.iter().map(|(_, rate)| *rate).collect();
        Some(Row {
            name: self.contestant.name.to_owned(),
            command: self.contestant.shown_command(),
            rate: summarize(&rates)?,
            ratio: summarize(&self.ratios)?,
            seen: self.seen(),
            user: self.user()?,
        })
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for session in &self.sessions {
            seen.connections += session.made.total;
            seen.expected += session.made.total * self.contestant.lines;
            seen.written += session.written.lines;
            seen.reported_lost += session.written.reported_lost;
            seen.others += session.written.all_lines - session.written.lines;
            seen.bytes += session.written.bytes;
        }
        seen
    }

    fn user(&self) -> Option<User> {
        let of_sessions = |figure: fn(&Session) -> f64| {
            summarize(&self.sessions.iter().map(figure).collect::<Vec<_>>())
        };
        Some(User {
            us_a_line: of_sessions(|session| {
                session.used.user_ns() / 1000.0 / session.written.all_lines as f64
            })?,
            system_us_a_line: of_sessions(|session| {
                let system_ns = session.used.cpu_ns as f64 - session.used.user_ns();
                system_ns / 1000.0 / session.written.all_lines as f64
            })?,
            us_a_connection: of_sessions(|session| {
                session.used.cpu_ns as f64 / 1000.0 / session.connections()
            })?,
            anonymous_kib: of_sessions(|session| session.anonymous_kib as f64)?,
            switches_a_second: of_sessions(|session| {
                (session.used.slept + session.used.preempted) as f64 / session.seconds
            })?,
        })
    }
}
