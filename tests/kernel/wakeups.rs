//! Events that fall onto the moment in which the collector falls asleep: none is slept over. Every wait here is for one
//! line, and nothing else happens meanwhile that could wake it: it comes at once, or, if its wake-up went astray, when
//! the collector looks by itself after a minute.
//!
//! tests/wakeups.rs walks through every order of the steps, which no test of the real thing can.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::tracer::Tracer;

/// How long each test tries.
const TRYING: Duration = Duration::from_secs(8);

/// A line comes within this, or its event was slept over: a busy machine takes milliseconds, the collector a minute.
const BOUND: Duration = Duration::from_secs(5);

/// Only the events of this process, and a doze so short that it is the falling asleep that is met.
fn tracer() -> Tracer {
    let me = std::process::id().to_string();
    Tracer::start(&["-e", "connect", "-p", &me, "--flush-interval", "1ms", "--ring-size", "4KiB"])
}

/// A single event: an attempt at a port where nobody listens.
fn event() {
    let nobody = SocketAddr::new(v4().ip(), 1);
    TcpStream::connect(nobody).expect_err("refused");
}

/// Finds out when the collector falls asleep, and aims at that: it dozes for a while after each event, here for a
/// millisecond and what the machine adds, and then takes about a microsecond to fall asleep.
struct Aim {
    random: u64,
    /// How long after the last line the next one comes, if its event falls into the doze: when that ends.
    dozes: VecDeque<Duration>,
}

impl Aim {
    const TRIALS: usize = 15;
    /// Lies within any doze.
    const WITHIN_US: u64 = 400;
    /// A line takes a while from the collector to here: it falls asleep before the doze seems to be over.
    const BEFORE_US: u64 = 200;
    const AROUND_US: u64 = 230;

    fn new() -> Self {
        Self { random: 0x2545_f491_4f6c_dd1d, dozes: VecDeque::new() }
    }

    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    /// Whether to find out rather than to hit.
    fn is_trial(&self, round: usize) -> bool {
        self.dozes.len() < Self::TRIALS || round.is_multiple_of(8)
    }

    /// The distance of the next event from the last line.
    fn distance(&mut self, round: usize) -> Duration {
        if self.is_trial(round) {
            return Duration::from_micros(self.below(Self::WITHIN_US));
        }
        let mut sorted: Vec<Duration> = self.dozes.iter().copied().collect();
        sorted.sort_unstable();
        let early = sorted[Self::TRIALS / 2].saturating_sub(Duration::from_micros(Self::BEFORE_US));
        early + Duration::from_micros(self.below(Self::AROUND_US))
    }

    /// The event at that distance took so long to be told.
    fn learn(&mut self, round: usize, distance: Duration, took: Duration) {
        if self.is_trial(round) {
            self.dozes.push_back(distance + took);
            if self.dozes.len() > Self::TRIALS {
                self.dozes.pop_front();
            }
        }
    }
}

fn spin(until: Instant) {
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// How often the collector has waited for something.
fn waits(tracer: &Tracer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", tracer.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Has `produce` make so many events, again and again, each time a moment after they have been written.
fn assert_none_is_slept_over(events: usize, produce: impl Fn(Instant)) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    let tracer = tracer();
    let before = waits(&tracer);
    let mut aim = Aim::new();
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < TRYING {
        let distance = aim.distance(rounds);
        let at = Instant::now() + distance;
        produce(at);
        rounds += 1;
        tracer.wait_for_events(namespace.netns, "connect", rounds * events);
        let took = at.elapsed();
        assert!(took < BOUND, "round {rounds}: slept over for {took:?}");
        aim.learn(rounds - 1, distance, took);
    }
    let waits = waits(&tracer) - before;
    println!("{rounds} rounds, the collector waited {waits} times");
    // Even a machine that is busy with something else comes so far.
    assert!(waits > 200, "it waited {waits} times only");
    let log = tracer.stop();
    assert_eq!(log.stop()["lost"], 0);
}

#[test]
fn single_events_while_it_falls_asleep() {
    assert_none_is_slept_over(1, |at| {
        spin(at);
        event();
    });
}

#[test]
fn events_on_several_cpus_while_it_falls_asleep() {
    const THREADS: usize = 3;
    assert_none_is_slept_over(THREADS, |at| {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    spin(at);
                    event();
                });
            }
        });
    });
}
