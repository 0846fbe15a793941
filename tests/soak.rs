//! The soak's checks can fail: logs that were tampered with, and memory that grows. The soak itself is `make soak`.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]
#![allow(dead_code, reason = "it uses a part of the soak")]

#[path = "../benches/soak/checker.rs"]
mod checker;
#[path = "../benches/soak/follow.rs"]
mod follow;
#[path = "../benches/soak/memory.rs"]
mod memory;
#[path = "support/schema.rs"]
mod schema;

use std::fs::File;
use std::io::BufWriter;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use self::checker::Checker;
use self::checker::Ending;
use self::checker::Finding;
use self::follow::Fault;
use self::follow::Follower;
use self::memory::GROWTH_KIB;
use self::memory::PEAK_KIB;
use self::memory::Verdict;

const RUN: &str = "3dce93eb59824a5e";

fn record(seq: u64, event: &str, rest: &str) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    format!(
        r#"{{"schema":"connledger/1.0","run":"{RUN}","seq":{seq},"event":"{event}"{comma}{rest}}}"#
    )
}

/// A log in which nothing is wrong: eight events of nineteen that happened, nine are lost, two were filtered.
fn sound() -> Vec<String> {
    let event = |seq: u64, event: &str, conn: u64| {
        record(seq, event, &format!(r#""conn":"d4ff911f-{conn:x}""#))
    };
    let losses = r#""causes":{"nested":2,"ring_full":7}"#;
    vec![
        record(1, "start", ""),
        event(2, "open", 1),
        record(3, "ready", ""),
        event(4, "connect", 2),
        event(5, "accept", 3),
        record(6, "loss", r#""first_seq":6,"last_seq":10,"count":5,"causes":{"ring_full":5}"#),
        event(11, "close", 2),
        record(
            12,
            "heartbeat",
            r#""observed":12,"written":4,"lost":5,"filtered":2,"in_flight":1,"causes":{"ring_full":5}"#,
        ),
        event(13, "close", 3),
        record(
            14,
            "loss",
            r#""first_seq":14,"last_seq":17,"count":4,"causes":{"nested":2,"ring_full":2}"#,
        ),
        // Connects that failed before they were connections.
        record(18, "connect", ""),
        record(19, "connect", ""),
        event(20, "close", 1),
        record(21, "stop", &format!(r#""observed":19,"written":8,"lost":9,"filtered":2,{losses}"#)),
    ]
}

fn check(log: &[String], ending: Ending) -> Result<(), Finding> {
    let mut checker = Checker::default();
    for line in log {
        checker.take(line.as_bytes())?;
    }
    checker.end(ending, 0)
}

/// What is found in the sound log with one line changed.
fn tampered(from: &str, to: &str) -> Finding {
    let log = sound();
    let changed: Vec<String> = log.iter().map(|line| line.replace(from, to)).collect();
    assert_ne!(log, changed, "{from} does not stand there");
    check(&changed, Ending::Stopped).expect_err(from)
}

#[track_caller]
fn assert_found(finding: &Finding, seq: u64, what: &str) {
    assert_eq!(finding.run, RUN, "{finding}");
    assert_eq!(finding.seq, seq, "{finding}");
    assert!(finding.what.contains(what), "{finding}");
}

#[test]
fn a_sound_log_passes() {
    check(&sound(), Ending::Stopped).expect("sound");
}

#[test]
fn a_killed_run_may_end_anywhere() {
    let log = sound();
    for length in 0..=log.len() {
        check(&log[..length], Ending::Killed).expect("sound so far");
        check(&log[..length], Ending::KilledUntorn).expect("sound so far");
    }
}

#[test]
fn no_line_can_be_missing() {
    for missing in 0..sound().len() {
        let mut log = sound();
        let line = log.remove(missing);
        check(&log, Ending::Stopped).expect_err(&line);
    }
    let mut log = sound();
    log.remove(4);
    assert_found(
        &check(&log, Ending::Killed).expect_err("a gap"),
        5,
        "1 records are missing: 6 follows",
    );
}

#[test]
fn no_line_can_be_doubled() {
    for doubled in 0..sound().len() {
        let mut log = sound();
        log.insert(doubled, log[doubled].clone());
        let finding = check(&log, Ending::Stopped).expect_err(&log[doubled]);
        assert_eq!(finding.run, RUN);
    }
    let mut log = sound();
    log.insert(5, log[4].clone());
    assert_found(&check(&log, Ending::Stopped).expect_err("doubled"), 6, "5 stands there again");
}

#[test]
fn no_lines_can_change_places() {
    for first in 0..sound().len() - 1 {
        let mut log = sound();
        log.swap(first, first + 1);
        check(&log, Ending::Stopped).expect_err(&log[first]);
    }
}

#[test]
fn no_line_can_be_torn() {
    for torn in 0..sound().len() {
        for length in 0..sound()[torn].len() {
            let mut log = sound();
            log[torn].truncate(length);
            check(&log, Ending::Killed).expect_err("torn");
            // A tear that swallowed the newline, too.
            if torn + 1 < log.len() {
                let rest = log.remove(torn + 1);
                log[torn].push_str(&rest);
                check(&log, Ending::Killed).expect_err("torn");
            }
        }
    }
}

#[test]
fn only_a_kill_tears_the_last_line() {
    let mut checker = Checker::default();
    for line in sound() {
        checker.take(line.as_bytes()).expect("sound");
    }
    checker.end(Ending::Killed, 17).expect("killed");
    for ending in [Ending::Stopped, Ending::KilledUntorn] {
        let finding = checker.end(ending, 17).expect_err("torn");
        assert_found(&finding, 22, "the last line is torn after 17 bytes");
    }
}

#[test]
fn a_run_that_was_stopped_has_a_stop() {
    let log = sound();
    let finding = check(&log[..log.len() - 1], Ending::Stopped).expect_err("no stop");
    assert_found(&finding, 21, "without a stop");
}

#[test]
fn losses_cover_their_range() {
    assert_found(&tampered(r#""first_seq":14"#, r#""first_seq":15"#), 14, "a loss of 15 to 17");
    assert_found(&tampered(r#""last_seq":17"#, r#""last_seq":16"#), 14, "counts 4");
    assert_found(&tampered(r#""last_seq":17"#, r#""last_seq":13"#), 14, "a loss of 14 to 13");
    assert_found(&tampered(r#""count":4"#, r#""count":5"#), 14, "counts 5");
    assert_found(&tampered(r#","causes":{"ring_full":5}}"#, "}"), 6, "without its range");
    // The range and the count agree, but the next line leaves a gap.
    let shrunk = r#""last_seq":16,"count":3,"causes":{"nested":1,"ring_full":2}"#;
    let from = r#""last_seq":17,"count":4,"causes":{"nested":2,"ring_full":2}"#;
    assert_found(&tampered(from, shrunk), 17, "1 records are missing: 18 follows");
}

#[test]
fn the_causes_of_a_loss_sum_up() {
    let finding = tampered(r#""nested":2,"ring_full":2"#, r#""nested":2,"ring_full":3"#);
    assert_found(&finding, 14, "another sum");
}

#[test]
fn no_load_makes_a_fault() {
    let finding = tampered(r#""nested":2,"ring_full":2"#, r#""ring_full":2,"unaccounted":2"#);
    assert_found(&finding, 14, "2 records are unaccounted");
}

#[test]
fn the_books_balance() {
    for (from, to, what) in [
        (r#""observed":19"#, r#""observed":20"#, "do not balance"),
        (r#""written":8"#, r#""written":7"#, "7 written, 8 stand there"),
        (r#""lost":9"#, r#""lost":10"#, "10 lost, 9 were declared"),
        (r#""nested":2,"ring_full":7"#, r#""nested":3,"ring_full":6"#, "not those declared"),
        (r#""filtered":2,"causes":{"nested"#, r#""filtered":1,"causes":{"nested"#, "shrink"),
        (r#""lost":9,"#, "", "a stop without figures"),
    ] {
        assert_found(&tampered(from, to), 21, what);
    }
}

#[test]
fn heartbeats_keep_step() {
    for (from, to, what) in [
        (r#""in_flight":1"#, r#""in_flight":0"#, "out of balance"),
        (r#""written":4"#, r#""written":5"#, "5 written, 4 stand there"),
        (r#""lost":5"#, r#""lost":4"#, "4 lost, 5 were declared"),
    ] {
        assert_found(&tampered(from, to), 12, what);
    }
}

#[test]
fn a_connection_ends_once() {
    let from = r#""event":"close","conn":"d4ff911f-3""#;
    let to = r#""event":"close","conn":"d4ff911f-2""#;
    assert_found(&tampered(from, to), 13, "the close of d4ff911f-2 is told twice");
}

#[test]
fn a_log_is_of_one_run_and_one_schema() {
    let other = sound()[8].replace(RUN, "0000000000000000");
    assert_found(&tampered(&sound()[8], &other), 13, "a record of run 0000000000000000");
    let other = sound()[8].replace("connledger/1.0", "connledger/2.0");
    assert_found(&tampered(&sound()[8], &other), 13, "the schema is connledger/2.0");
    let long = sound()[8].replace('}', &format!(",\"more\":\"{}\"}}", "x".repeat(8192)));
    assert_found(&tampered(&sound()[8], &long), 13, "a line of");
}

/// A line as connledger writes it, with another number; connections have their own.
fn real(golden: &str, seq: u64) -> String {
    let line = golden.lines().next().expect("a line");
    let mut record: Value = serde_json::from_str(line).expect("JSON");
    record["seq"] = seq.into();
    record["run"] = RUN.into();
    if record.get("conn").is_some() {
        record["conn"] = format!("d4ff911f-{seq:x}").into();
    }
    record.to_string()
}

const START: &str = include_str!("golden/ledger.ndjson");
const CONNECT: &str = include_str!("golden/connect.ndjson");

#[test]
fn a_log_is_followed_while_it_grows() {
    let mut log = tempfile::tempfile().expect("a file");
    let mut follower = Follower::new(log.try_clone().expect("a descriptor"));
    let text = format!("{}\n{}\n", real(START, 1), real(CONNECT, 2));
    // It is written in pieces that end anywhere.
    for piece in text.as_bytes().chunks(7) {
        log.write_all(piece).expect("written");
        assert!(follower.catch_up().is_ok_and(|all| all));
    }
    assert_eq!(follower.checker().lines(), 2);
    log.write_all(b"{\"schema\"").expect("written");
    assert!(follower.end(Ending::Killed).is_ok());
    assert!(matches!(follower.end(Ending::KilledUntorn), Err(Fault::Found(_))));
}

#[test]
fn a_log_is_held_against_the_schema() {
    let mut log = tempfile::tempfile().expect("a file");
    let mut follower = Follower::new(log.try_clone().expect("a descriptor"));
    // The first line always is.
    let start = real(START, 1).replace("\"kernel\"", "\"colonel\"");
    writeln!(log, "{start}").expect("written");
    let Err(Fault::Found(finding)) = follower.catch_up() else { panic!("not found") };
    assert_found(&finding, 2, "not as the schema says");
}

#[test]
fn what_was_checked_takes_no_room_on_disk() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("log");
    let log = File::options().create_new(true).read(true).append(true).open(&path);
    let log = log.expect("a file");
    let mut writer = BufWriter::new(log.try_clone().expect("a descriptor"));
    writeln!(writer, "{}", real(START, 1)).expect("written");
    for seq in 2..100_000 {
        writeln!(writer, "{}", real(CONNECT, seq)).expect("written");
    }
    writer.flush().expect("written");
    let mut follower = Follower::new(log.try_clone().expect("a descriptor"));
    assert!(follower.end(Ending::Killed).is_ok());
    let about = log.metadata().expect("metadata");
    let on_disk = about.blocks() * 512;
    assert!(about.len() > 48 << 20, "{}", about.len());
    assert!(on_disk < 40 << 20, "{on_disk} of {} bytes", about.len());
}

#[test]
fn memory_that_grows_is_found() {
    let flat: Vec<u64> = (0..100).map(|i| 8000 + i % 7 * 100).collect();
    let verdict = Verdict::of(&flat).expect("enough");
    assert_eq!(verdict.complaint(), None, "{verdict:?}");

    let warming: Vec<u64> = (0..100).map(|i| (8000 + i * 500).min(20_000)).collect();
    assert_eq!(
        Verdict::of(&warming).expect("enough").complaint(),
        None,
        "it grows while it warms up"
    );

    // Over the nine sixteenths of the time between the medians.
    let each = GROWTH_KIB * 16 / 9 / 100 + 5;
    let leaking: Vec<u64> = (0..100).map(|i| 8000 + i * each).collect();
    let complaint = Verdict::of(&leaking).expect("enough").complaint().expect("it leaks");
    assert!(complaint.contains("grows"), "{complaint}");

    let mut peak = flat;
    peak[50] = PEAK_KIB + 1;
    let complaint = Verdict::of(&peak).expect("enough").complaint().expect("too much");
    assert!(complaint.contains(&PEAK_KIB.to_string()), "{complaint}");

    assert_eq!(Verdict::of(&[8000; 15]), None, "too few");
}
