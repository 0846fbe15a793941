//! Runs that name the one before them: what verify says of the end of a run that was killed, and of what was between.

use connledger::clock::WallTime;
use connledger::ledger::Previous;
use connledger::ledger::StopReason;
use serde_json::Value;
use serde_json::json;

use crate::command::Logs;
use crate::logs::run;
use crate::logs::run_after;

const FIRST: &str = "00000000000000c1";
const SECOND: &str = "00000000000000c2";

/// The first run, as the second one remembers it.
fn first(seq: u64, stopped: Option<StopReason>) -> Previous {
    Previous {
        run: FIRST.to_owned(),
        seq,
        until: WallTime(1_795_413_600_000_000_000),
        stopped,
        boot_id: None,
        gap_us: Some(793_665),
        unwritten: 0,
    }
}

fn second(previous: impl Into<Option<Previous>>) -> Vec<String> {
    run_after(previous.into(), SECOND, 90, 10)
}

#[test]
fn what_lay_between_two_whole_runs_is_told() {
    let lines = run(FIRST, 0, 100);
    let last = lines.len() as u64;
    let next = second(first(last, Some(StopReason::Terminated)));
    // In any order.
    for logs in [[&lines, &next], [&next, &lines]] {
        let logs = Logs::of(&[logs[0], logs[1]]).strictly();
        let report = logs.sound();
        let runs = &report["runs"];
        assert_eq!(runs[0]["followed_by"], json!({ "run": SECOND, "seq": last, "stopped": true }));
        let follows = &runs[1]["follows"];
        for (field, expected) in [
            ("run", json!(FIRST)),
            ("named", json!(true)),
            ("found", json!(true)),
            ("stopped", json!(true)),
            ("gap_us", json!(793_665)),
        ] {
            assert_eq!(follows[field], expected, "{field}");
        }
        let text = logs.text();
        let said = "nobody watched for 793.665 ms, since run 00000000000000c1 stopped\n";
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn the_end_that_a_killed_run_lacks_is_missing() {
    let lines = run(FIRST, 0, 100);
    let killed = &lines[..50];
    // By itself nothing is to be seen of it.
    Logs::of(&[killed]).sound();
    let next = second(first(60, None));
    let logs = Logs::of(&[killed, &next]);
    let report = logs.faulty();
    let run = &report["runs"][0];
    let missing = json!({ "records": 10, "gaps": 1, "at_end": 10, "ranges": [[51, 60]] });
    assert_eq!(run["missing"], missing);
    assert_eq!((&run["last_seq"], &run["stopped"]), (&json!(60), &Value::Null));
    let text = logs.text();
    for said in [
        "ended after 50, without a stop: killed; it had given 60, says run 00000000000000c2\n",
        "missing 10, undeclared: 51 to 60\n",
        "nobody watched for at most 793.665 ms, since run 00000000000000c1 was killed or crashed\n",
    ] {
        assert!(text.contains(said), "{said}{text}");
    }
    // Another output had more of it.
    let other: Vec<String> = lines[..60]
        .iter()
        .map(|line| line.replace("\"output\":\"stdout\"", "\"output\":\"file:/x\""))
        .collect();
    let report = Logs::of(&[killed, &other, &next]).sound();
    assert_eq!(report["runs"][0]["missing"], Value::Null);
    // One was written to the last number, and strictly it still has no stop.
    Logs::of(&[&lines[..60], &next]).sound();
    Logs::of(&[&lines[..60], &next]).strictly().faulty();
    // After a power cut more may be there than was remembered.
    Logs::of(&[&lines[..70], &next]).sound();
}

#[test]
fn a_torn_line_at_the_end_is_one_of_those_that_are_missing() {
    let lines = run(FIRST, 0, 100);
    let mut killed = lines[..50].to_vec();
    killed.push(format!("{}\n", &lines[50][..lines[50].len() / 2]));
    let report = Logs::of(&[&killed, &second(first(53, None))]).faulty();
    let missing =
        json!({ "records": 3, "gaps": 1, "at_end": 2, "ranges": [[51, 53]], "torn": [51] });
    assert_eq!(report["runs"][0]["missing"], missing);
}

#[test]
fn what_was_declared_lost_at_the_end_is_not_missing() {
    let mut lines = run(FIRST, 0, 100)[..50].to_vec();
    lines.push(format!(
        "{{\"schema\":\"connledger/1.0\",\"run\":\"{FIRST}\",\"seq\":51,\
         \"time\":\"2026-11-23T07:03:04.123456789Z\",\"host\":\"web-1\",\"event\":\"loss\",\
         \"first_seq\":51,\"last_seq\":60,\"count\":10,\"causes\":{{\"output_full\":10}}}}\n"
    ));
    let report = Logs::of(&[&lines, &second(first(60, None))]).sound();
    assert_eq!(report["runs"][0]["missing"], Value::Null);
    assert_eq!(report["runs"][0]["lost"]["records"], 10);
}

#[test]
fn a_run_before_that_is_not_there_is_told() {
    let next = second(first(60, Some(StopReason::Duration)));
    let logs = Logs::of(&[&next]).strictly();
    let report = logs.sound();
    let follows = &report["runs"][0]["follows"];
    assert_eq!((&follows["found"], &follows["after_us"]), (&json!(false), &Value::Null));
    let text = logs.text();
    let said = "since run 00000000000000c1 stopped; that one is not in these files\n";
    assert!(text.contains(said), "{text}");
    // It is not mixed up with another one that was before; but where that is, it ought to be.
    let earlier = run("00000000000000c0", 0, 10);
    let report = Logs::of(&[&earlier, &next]).sound();
    assert_eq!(report["runs"][1]["follows"]["run"], FIRST);
    assert_eq!(report["runs"][1]["follows"]["expected"], true);
    assert_eq!(report["runs"][0]["followed_by"], Value::Null);
    let logs = Logs::of(&[&earlier, &next]).strictly();
    logs.faulty();
    let text = logs.text();
    assert!(
        text.contains("that one is missing in these files, which have an earlier one"),
        "{text}"
    );
    assert!(text.contains("1 runs missing as a whole"), "{text}");
    // One of another output says nothing about it.
    let elsewhere: Vec<String> =
        earlier.iter().map(|line| line.replace("\"stdout\"", "\"file:/x\"")).collect();
    Logs::of(&[&elsewhere, &next]).strictly().sound();
}

#[test]
fn runs_without_a_line_are_told() {
    let lines = run(FIRST, 0, 10);
    let before = first(lines.len() as u64, Some(StopReason::Terminated));
    let logs = Logs::of(&[&lines, &second(Previous { unwritten: 2, ..before })]);
    let report = logs.sound();
    assert_eq!(report["runs"][1]["follows"]["unwritten"], 2);
    let text = logs.text();
    assert!(text.contains("c1 stopped; runs between that left no line: 2\n"), "{text}");
    let logs = logs.strictly();
    logs.faulty();
    assert!(logs.text().contains("2 runs missing as a whole"), "{}", logs.text());
}

/// A power cut has brought back what was remembered before the second one.
#[test]
fn two_that_name_the_same_one_are_told() {
    let lines = run(FIRST, 0, 10);
    let before = first(lines.len() as u64, Some(StopReason::Terminated));
    let third = "00000000000000c3";
    let rival = run_after(Some(before.clone()), third, 200, 10);
    let logs = Logs::of(&[&lines, &second(before), &rival]);
    let report = logs.sound();
    let runs = &report["runs"];
    assert_eq!(runs[1]["follows"]["also_before"], third);
    assert_eq!(runs[2]["follows"]["also_before"], SECOND);
    let text = logs.text();
    assert!(text.contains(&format!("run {third} names the same one: the state was set back")));
}

#[test]
fn one_that_stopped_and_lacks_that_was_not_killed() {
    let lines = run(FIRST, 0, 100);
    let last = lines.len() as u64;
    let next = second(first(last, Some(StopReason::Terminated)));
    let logs = Logs::of(&[&lines[..50], &next]);
    logs.faulty();
    let said =
        format!("ended after 50, its stop is missing; it had given {last}, says run {SECOND}\n");
    let text = logs.text();
    assert!(text.contains(&said) && !text.contains("killed"), "{text}");
}

#[test]
fn without_a_memory_it_is_the_one_before_in_time() {
    let report = Logs::of(&[&run(FIRST, 0, 10), &second(None)]).sound();
    let follows = &report["runs"][1]["follows"];
    assert_eq!((&follows["run"], &follows["named"]), (&json!(FIRST), &json!(false)));
    assert_eq!((&follows["gap_us"], &follows["stopped"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_start_that_was_meddled_with_does_no_harm() {
    let itself = Previous { run: SECOND.to_owned(), ..first(1 << 52, None) };
    let report = Logs::of(&[&second(itself)]).sound();
    assert_eq!(report["runs"][0]["missing"], Value::Null);
    // More than the stop has: that many are missing, and no more memory is taken for it.
    let lines = run(FIRST, 0, 10);
    let report = Logs::of(&[&lines, &second(first(1 << 52, None))]).faulty();
    let last = lines.len() as u64;
    assert_eq!(report["runs"][0]["missing"]["ranges"], json!([[last + 1, 1_u64 << 52]]));
    assert_eq!(report["problems"], json!([]));
}
