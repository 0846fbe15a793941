//! The books of whole logs: what verify says of logs in which something is missing, torn, doubled or wrong.

use serde_json::Value;
use serde_json::json;

use crate::command::Logs;
use crate::logs::Writer;
use crate::logs::lines;
use crate::logs::run;

const RUN: &str = "00000000000000a1";
const OTHER: &str = "00000000000000a2";

/// The line with a number.
fn at(lines: &[String], seq: u64) -> usize {
    let field = format!("\"seq\":{seq},");
    lines.iter().position(|line| line.contains(&field)).expect("it is there")
}

/// The problems of a kind: how many, and the first of them.
fn problem<'a>(report: &'a Value, kind: &str) -> (u64, Vec<&'a str>) {
    let problems = report["problems"].as_array().expect("problems");
    let Some(found) = problems.iter().find(|problems| problems["kind"] == kind) else {
        return (0, Vec::new());
    };
    let first = found["first"].as_array().expect("places");
    let what = first.iter().map(|problem| problem["what"].as_str().expect("a text"));
    (found["count"].as_u64().expect("a number"), what.collect())
}

#[test]
fn a_whole_run_is_sound() {
    let lines = run(RUN, 0, 1000);
    let report = Logs::of(&[&lines]).strictly().sound();
    let run = &report["runs"][0];
    assert_eq!(run["run"], RUN);
    assert_eq!(run["host"], "web-1");
    assert_eq!((&run["first_seq"], &run["last_seq"]), (&json!(1), &json!(1004)));
    assert_eq!((&run["records"], &run["events"]), (&json!(1004), &json!(1000)));
    assert_eq!(run["stopped"], "terminated");
    assert_eq!(run["outputs"], json!(["stdout"]));
    for absent in ["lost", "missing", "doubles", "follows"] {
        assert_eq!(run[absent], Value::Null, "{absent}");
    }
}

#[test]
fn what_is_missing_is_told_as_ranges() {
    let mut lines = run(RUN, 0, 100);
    // From behind, so that the places stay.
    for range in [80..81, 40..50, 10..12] {
        lines.drain(range);
    }
    let report = Logs::of(&[&lines]).faulty();
    assert_eq!(
        report["runs"][0]["missing"],
        json!({ "records": 13, "gaps": 3, "ranges": [[11, 12], [41, 50], [81, 81]] })
    );
}

#[test]
fn the_order_does_not_matter_and_files_may_come_as_they_like() {
    let lines = run(RUN, 0, 3000);
    let mut backwards = lines.clone();
    backwards.reverse();
    Logs::of(&[&backwards]).strictly().sound();
    let (a, b, c) = (&lines[..700], &lines[700..2000], &lines[2000..]);
    let report = Logs::of(&[c, a, b]).strictly().sound();
    assert_eq!(report["files"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(1));
    // One of them is not there.
    let report = Logs::of(&[c, a]).faulty();
    assert_eq!(report["runs"][0]["missing"]["ranges"], json!([[701, 2000]]));
}

#[test]
fn the_oldest_generations_may_be_gone() {
    let lines = run(RUN, 0, 100);
    let logs = Logs::of(&[&lines[30..]]);
    let report = logs.sound();
    assert_eq!(report["runs"][0]["first_seq"], 31);
    assert_eq!(report["runs"][0]["started"], false);
    assert!(logs.text().contains("begins at 31: what was before is not in these files"));
    Logs::of(&[&lines[30..]]).strictly().faulty();
}

#[test]
fn a_run_without_a_stop_ended_after_its_last_record() {
    let lines = run(RUN, 0, 100);
    let logs = Logs::of(&[&lines[..50]]);
    let report = logs.sound();
    assert_eq!(report["runs"][0]["stopped"], Value::Null);
    assert!(logs.text().contains("ended after 50, without a stop: killed, or still running"));
    Logs::of(&[&lines[..50]]).strictly().faulty();
}

#[test]
fn declared_losses_are_summed_by_cause() {
    let mut log = Vec::new();
    let mut writer = Writer::new(RUN, 0);
    writer.begin(&mut log);
    for lost in [5, 7] {
        writer.events(10, &mut log);
        writer.lose(lost, &mut log);
    }
    writer.end(&mut log);
    let lines = lines(&log);
    let report = Logs::of(&[&lines]).sound();
    assert_eq!(report["runs"][0]["lost"], json!({ "records": 12, "causes": { "ring_full": 12 } }));
    assert_eq!(report["runs"][0]["last_seq"], 2 + 20 + 12 + 1);
    Logs::of(&[&lines]).strictly().faulty();
    // Without the loss it is a gap.
    let without: Vec<String> =
        lines.iter().filter(|line| !line.contains("\"loss\"")).cloned().collect();
    let report = Logs::of(&[&without]).faulty();
    assert_eq!(report["runs"][0]["missing"]["ranges"], json!([[13, 17], [28, 34]]));
}

#[test]
fn what_was_sent_again_is_no_fault_unless_it_says_something_else() {
    let lines = run(RUN, 0, 1000);
    // A reader that went away, and came back.
    let resent = [&lines[..500], &lines[450..]].concat();
    let report = Logs::of(&[&resent]).strictly().sound();
    assert_eq!(report["runs"][0]["doubles"], 50);
    assert_eq!(report["runs"][0]["uncompared"], Value::Null);
    assert_eq!(report["runs"][0]["events"], 1000);
    // The books are those of the log with each record once.
    let mut altered = resent;
    altered[520] = altered[520].replace("\"web-1\"", "\"web-2\"");
    let report = Logs::of(&[&altered]).faulty();
    let (count, what) = problem(&report, "altered");
    assert_eq!(
        (count, what),
        (1, vec!["run 00000000000000a1: 471 came before, and said something else"])
    );
}

#[test]
fn a_loss_that_came_twice_counts_once() {
    let mut log = Vec::new();
    let mut writer = Writer::new(RUN, 0);
    writer.begin(&mut log);
    writer.lose(9, &mut log);
    writer.events(10, &mut log);
    writer.end(&mut log);
    let mut lines = lines(&log);
    lines.insert(5, lines[2].clone());
    let report = Logs::of(&[&lines]).sound();
    assert_eq!(report["runs"][0]["lost"]["records"], 9);
    assert_eq!(report["runs"][0]["lost"]["causes"]["ring_full"], 9);
    assert_eq!(report["runs"][0]["doubles"], 1);
}

#[test]
fn a_torn_line_explains_a_gap() {
    let lines = run(RUN, 0, 100);
    let half = |line: &str| line[..line.len() / 2].to_owned();
    // At the end of the file: killed in the middle of a write.
    let mut killed = lines[..50].to_vec();
    killed.push(half(&lines[50]));
    let logs = Logs::of(&[&killed]);
    let report = logs.faulty();
    assert_eq!(problem(&report, "torn"), (1, vec!["run 00000000000000a1: 51 ends in the middle"]));
    assert_eq!(
        report["runs"][0]["missing"],
        json!({ "records": 1, "gaps": 1, "ranges": [[51, 51]], "torn": [51] })
    );
    assert!(logs.text().contains("missing 1, undeclared: 51; 51 is torn"), "{}", logs.text());
    // And the next run begins on a fresh line.
    killed.last_mut().expect("a line").push('\n');
    killed.extend(run(OTHER, 60, 10));
    let report = Logs::of(&[&killed]).faulty();
    assert_eq!(problem(&report, "torn").0, 1);
    assert_eq!(problem(&report, "malformed").0, 0);
    assert_eq!(report["runs"][1]["missing"], Value::Null);
    // The place is told.
    let torn = &report["problems"][0]["first"][0];
    assert_eq!(torn["line"], 51);
    assert!(torn["file"].as_str().expect("a name").ends_with("0.ndjson"));
}

#[test]
fn a_last_line_that_lacks_but_its_newline_is_whole() {
    let mut lines = run(RUN, 0, 10);
    let last = lines.last_mut().expect("a line");
    assert_eq!(last.pop(), Some('\n'));
    Logs::of(&[&lines]).strictly().sound();
}

#[test]
fn runs_follow_each_other_and_what_was_between_is_told() {
    let (first, second, third) =
        (run(RUN, 0, 100), run(OTHER, 90, 100), run("00000000000000a3", 90, 50));
    let both = [&second[..], &first].concat();
    let logs = Logs::of(&[&both]).strictly();
    let report = logs.sound();
    assert_eq!(report["runs"][0]["run"], RUN);
    assert_eq!(report["runs"][1]["follows"]["run"], RUN);
    let after = report["runs"][1]["follows"]["after_us"].as_i64().expect("a number");
    assert!((89_000_000..90_000_000).contains(&after), "{after}");
    assert!(logs.text().contains("begins 1 min 29 s after run 00000000000000a1 ended"));
    let logs = Logs::of(&[&both, &third]);
    let report = logs.sound();
    assert!(report["runs"][2]["follows"]["after_us"].as_i64().expect("a number") < 0);
    assert!(logs.text().contains("overlaps with run"), "{}", logs.text());
}

#[test]
fn books_that_do_not_balance() {
    let lines = run(RUN, 0, 100);
    let stop = lines.len() - 1;
    for (line, old, new, said) in [
        (stop, "\"observed\":100", "\"observed\":101", "the ledger: observed is not the sum"),
        (stop, "\"lost\":0", "\"lost\":1", "the ledger: lost is not the sum of causes"),
        (
            at(&lines, 53),
            "\"observed\":50",
            "\"observed\":51",
            "the ledger: observed is not the sum",
        ),
        (
            stop,
            "\"output\":\"stdout\",\"written\":100",
            "\"output\":\"stdout\",\"written\":99",
            "stdout: observed",
        ),
    ] {
        let mut changed = lines.clone();
        assert!(changed[line].contains(old), "{}", changed[line]);
        changed[line] = changed[line].replacen(old, new, 1);
        let report = Logs::of(&[&changed]).faulty();
        let (_, what) = problem(&report, "books");
        assert!(what.iter().any(|what| what.contains(said)), "{new}: {what:?}");
    }
    // The books balance, but fewer events are there: the numbers of the others were given anew.
    let mut changed = lines.clone();
    changed[stop] = changed[stop]
        .replace("\"observed\":100,\"written\":100", "\"observed\":102,\"written\":102");
    changed[stop] = changed[stop]
        .replace("\"output\":\"stdout\",\"written\":100", "\"output\":\"stdout\",\"written\":102");
    let report = Logs::of(&[&changed]).faulty();
    let expected = "run 00000000000000a1: 100 events are there, but stdout counts 102";
    assert_eq!(problem(&report, "books"), (1, vec![expected]));
    // Of a log that is not whole that cannot be said.
    let (count, _) = problem(&Logs::of(&[&changed[20..]]).sound(), "books");
    assert_eq!(count, 0);
}

/// A slow reader takes the last events after the books were made.
#[test]
fn what_was_on_its_way_at_the_end_counts() {
    let lines = run(RUN, 0, 100);
    let stop = lines.len() - 1;
    let with = |written: &str, of_the_output: &str| {
        let mut changed = lines.clone();
        changed[stop] = changed[stop]
            .replace("\"observed\":100,\"written\":100", written)
            .replace("\"output\":\"stdout\",\"written\":100,\"lost\":0", of_the_output);
        assert!(changed[stop].contains("in_flight"), "{}", changed[stop]);
        changed
    };
    let late = "\"output\":\"stdout\",\"written\":60,\"lost\":0,\"in_flight\":40";
    let whole = with("\"observed\":100,\"written\":100", late);
    Logs::of(&[&whole]).strictly().sound();
    let late = late.replace("40", "42");
    let fewer = with("\"observed\":102,\"written\":102", &late);
    let report = Logs::of(&[&fewer]).faulty();
    let expected =
        "run 00000000000000a1: 100 events are there or declared lost, but stdout counts 102";
    assert_eq!(problem(&report, "books"), (1, vec![expected]));
}

#[test]
fn the_logs_of_two_outputs_of_one_run_are_one() {
    let lines = run(RUN, 0, 100);
    let other: Vec<String> = lines
        .iter()
        .map(|line| line.replace("\"output\":\"stdout\"", "\"output\":\"file:/x\""))
        .collect();
    let report = Logs::of(&[&lines, &other]).strictly().sound();
    assert_eq!(report["runs"][0]["outputs"], json!(["stdout", "file:/x"]));
    assert_eq!(report["runs"][0]["doubles"], lines.len());
    assert_eq!(report["runs"][0]["uncompared"], Value::Null);
    assert_eq!(report["runs"][0]["events"], 100);
    // What one of them lacks, declared or not, the other has.
    let mut lossy = lines.clone();
    let loss = format!(
        "{{\"schema\":\"connledger/1.0\",\"run\":\"{RUN}\",\"seq\":11,\
         \"time\":\"2026-11-23T07:03:04.123456789Z\",\"host\":\"web-1\",\"event\":\"loss\",\
         \"first_seq\":11,\"last_seq\":20,\"count\":10,\"causes\":{{\"output_full\":10}}}}\n"
    );
    lossy.splice(10..20, [loss]);
    lossy.remove(50);
    let report = Logs::of(&[&lossy, &other]).sound();
    assert_eq!(
        report["runs"][0]["lost"],
        json!({ "records": 10, "causes": { "output_full": 10 }, "but_there": 10 })
    );
    assert_eq!(report["runs"][0]["missing"], Value::Null);
}

#[test]
fn records_out_of_place() {
    let mut lines = run(RUN, 0, 10);
    let stop = lines.len() - 1;
    lines[stop] = lines[stop].replace("\"seq\":14", "\"seq\":13");
    lines[12] = lines[12].replace("\"seq\":13", "\"seq\":14");
    let report = Logs::of(&[&lines]).faulty();
    let expected = "run 00000000000000a1: its stop is 13, but there is a 14";
    assert_eq!(problem(&report, "misplaced"), (1, vec![expected]));
}

#[test]
fn malformed_lines_are_named_and_bounded() {
    let mut lines = run(RUN, 0, 100);
    for line in &mut lines[10..60] {
        *line = line.replace("\"pid\":", "\"pid\":\"\\u001b[31m\",\"was\":");
    }
    lines[61] = "\n".to_owned();
    lines[62] = "\0\0\0\0\n".to_owned();
    let logs = Logs::of(&[&lines]);
    let report = logs.faulty();
    let (count, what) = problem(&report, "malformed");
    assert_eq!((count, what.len()), (51, 20));
    assert!(what[0].starts_with("process.pid: invalid type: string"), "{}", what[0]);
    let text = logs.text();
    assert!(text.contains("  and 31 more\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "it drives no terminal");
    assert!(text.lines().count() < 40, "{text}");
}

#[test]
fn another_major_is_refused_and_a_newer_minor_is_counted() {
    let lines = run(RUN, 0, 100);
    let versions = |version: &str| -> Vec<String> {
        lines.iter().map(|line| line.replace("connledger/1.0", version)).collect()
    };
    let report = Logs::of(&[&versions("connledger/2.0")]).faulty();
    assert_eq!(problem(&report, "other_major").0, lines.len() as u64);
    let mut newer = versions("connledger/1.3");
    newer[20] = newer[20].replace("\"netns\":", "\"moon\":\"full\",\"netns\":");
    let report = Logs::of(&[&newer]).sound();
    assert_eq!(report["newer_records"], lines.len());
}
