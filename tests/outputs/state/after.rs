//! After a stop, a kill, a reboot, and a quiet time.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use serde_json::json;

use super::beside;
use super::micros;
use super::now;
use super::remembered;
use super::run_once;
use super::runs;
use super::verify;
use super::wait_for_record;
use crate::file::Target;
use crate::log::Log;
use crate::log::number;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;

/// The two clocks may drift apart a little between two runs.
const DRIFT_US: i64 = 20_000;

fn gap(previous: &Value) -> i64 {
    previous["gap_us"].as_i64().unwrap_or_else(|| panic!("no gap in {previous}"))
}

/// Changes what a state says, as if it had been left so.
fn change(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(old) && old.len() == new.len(), "{old} in {text}");
    fs::write(path, text.replacen(old, new, 1)).unwrap();
}

#[test]
fn a_stop_is_a_gap_of_known_length() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let said = run_once(&scene, &["-o", &target.name]);
    assert!(!said.contains("nobody watched"), "{said}");
    let stopped = remembered(&beside(&target));
    let said = run_once(&scene, &["-o", &target.name]);

    let (runs, previous) = runs(&target);
    assert_eq!(runs.len(), 2);
    assert!(runs[0].records[0].get("previous").is_none());
    let stop = runs[0].stop();
    assert_eq!(
        previous,
        json!({
            "run": stop["run"], "seq": stop["seq"], "until": stop["until"],
            "stopped": "interrupted", "gap_us": previous["gap_us"],
        })
    );
    let start = &runs[1].records[0];
    let between = micros(&start["since"]) - micros(&stop["until"]);
    assert!((gap(&previous) - between).abs() < DRIFT_US, "{previous} {between}");
    assert!(gap(&previous) > 0, "{previous}");
    assert!(micros(&start["since"]) <= micros(&start["time"]), "{start}");
    assert!(micros(&stop["until"]) <= micros(&stop["time"]), "{stop}");
    assert_eq!((&stopped["seq"], &stopped["stopped"]), (&stop["seq"], &json!("interrupted")));
    let run = stop["run"].as_str().unwrap();
    assert!(said.contains(&format!("s, since run {run} stopped")), "{said}");

    let (code, report) = verify(&[&target.path]);
    assert_eq!((code, &report["verdict"]), (Some(0), &json!("sound")), "{report:#}");
    assert_eq!(report["runs"][1]["follows"]["gap_us"], previous["gap_us"]);
    assert_eq!(report["runs"][0]["followed_by"]["seq"], stop["seq"]);
}

#[test]
fn a_kill_in_the_middle_of_traffic_shows_with_what_it_cost() {
    const KILLS: usize = 5;
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let state = beside(&target);
    let load = scene.load(Duration::ZERO);
    let mut killed_at = Vec::new();
    for _ in 0..KILLS {
        let before = fs::metadata(&target.path).map_or(0, |file| file.len());
        let running = scene.start(&["-o", &target.name]);
        wait_until("it grows", || fs::metadata(&target.path).unwrap().len() > before + 100_000);
        // What the thread that remembers did not come to yet is another test's: the next.
        wait_for_record(&running, &state);
        wait_until("no run before it is remembered", || remembered(&state)["before"].is_null());
        running.kill();
        killed_at.push(now());
    }
    load.end();
    scene.start(&["-o", &target.name]).stop();

    let all = fs::read_to_string(&target.path).unwrap();
    let whole: Vec<&str> =
        all.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).collect();
    let logs = Log::runs(format!("{}\n", whole.join("\n")).as_bytes());
    let (_, report) = verify(&[&target.path]);
    let reports = report["runs"].as_array().unwrap();
    assert_eq!(reports.len(), KILLS + 1, "{report:#}");
    for (at, pair) in reports.windows(2).enumerate() {
        let (run, next) = (&pair[0], &pair[1]);
        assert_eq!(run["followed_by"]["run"], next["run"], "{report:#}");
        let given = run["followed_by"]["seq"].as_u64().unwrap();
        // The log may be a moment ahead of what is remembered.
        assert!(number(run, "last_seq") >= given, "{run:#}");
        let at_end = run["missing"]["at_end"].as_u64().unwrap_or(0);
        let torn = run["missing"]["torn"].as_array().map_or(0, Vec::len) as u64;
        assert_eq!(run["missing"]["records"].as_u64().unwrap_or(0), at_end + torn, "{run:#}");
        let follows = &next["follows"];
        assert_eq!(follows["stopped"], false);
        assert_eq!(run["stopped"], Value::Null);
        // It saw what it wrote, and nothing after it was killed.
        let previous = &logs[at + 1].records[0]["previous"];
        let until = micros(&previous["until"]);
        assert!(until < killed_at[at] + DRIFT_US, "{previous}");
        let told = logs[at].events().filter(|event| number(event, "seq") <= given);
        let seen = told.map(|event| micros(&event["time"])).max();
        assert!(seen.is_none_or(|seen| until >= seen - DRIFT_US), "{previous}");
        let between = micros(&logs[at + 1].records[0]["since"]) - until;
        assert!((gap(previous) - between).abs() < DRIFT_US, "{previous} {between}");
        assert_eq!(follows["gap_us"], previous["gap_us"]);
    }
    let missing = reports.iter().any(|run| run.get("missing").is_some());
    let expected = if missing { "faulty" } else { "sound" };
    assert_eq!(report["verdict"], expected, "{report:#}");
}

/// Whether an output has a line of it is remembered as well.
#[test]
fn a_kill_at_the_very_beginning_hides_no_run_before_it() {
    const KILLS: u64 = 8;
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let state = beside(&target);
    run_once(&scene, &["-o", &target.name]);
    for _ in 0..KILLS {
        let mut command = scene.command(&["-o", &target.name]);
        let running = Running::spawn(command.stdout(Stdio::null()));
        wait_for_record(&running, &state);
        running.kill();
    }
    scene.start(&["-o", &target.name]).stop();

    let (_, report) = verify(&[&target.path]);
    let runs = report["runs"].as_array().unwrap();
    for run in &runs[1..] {
        let follows = &run["follows"];
        assert_eq!(
            (&follows["named"], &follows["found"]),
            (&json!(true), &json!(true)),
            "{report:#}"
        );
    }
    let unwritten = |run: &Value| run["follows"]["unwritten"].as_u64().unwrap_or(0);
    let told: u64 = runs.iter().map(unwritten).sum();
    assert!(told + runs.len() as u64 >= 2 + KILLS, "{report:#}");
}

#[test]
fn after_a_reboot_it_is_the_wall_clock_that_counts() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    run_once(&scene, &["-o", &target.name]);
    let state = beside(&target);
    let boot = remembered(&state)["boot_id"].as_str().unwrap().to_owned();
    let other = "0123456789abcdef0123456789abcdef";
    change(&state, &boot, other);
    // The clock that begins with each boot is behind what it was.
    let until = remembered(&state)["until_boot_ns"].to_string();
    change(&state, &until, &"9".repeat(until.len()));
    run_once(&scene, &["-o", &target.name]);
    let (logs, previous) = runs(&target);
    assert_eq!(previous["boot_id"], other);
    assert_eq!(logs[1].records[0]["boot_id"], boot);
    let between = micros(&logs[1].records[0]["since"]) - micros(&logs[0].stop()["until"]);
    assert!((gap(&previous) - between).abs() < DRIFT_US, "{previous} {between}");

    // And if it was set back, the gap is not known.
    change(&state, &boot, other);
    change(&state, "\"until\":\"20", "\"until\":\"21");
    let said = run_once(&scene, &["-o", &target.name]);
    let (_, previous) = runs(&target);
    assert!(previous.get("gap_us").is_none(), "{previous}");
    assert!(said.contains("for how long nobody watched is not known"), "{said}");
    assert_eq!(verify(&[&target.path]).0, Some(0));
}

/// It need not have seen something to have watched.
#[test]
fn a_quiet_time_is_no_gap() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let running = scene.start(&["-o", &target.name]);
    let state = beside(&target);
    wait_until("it is remembered as ready", || {
        fs::read_to_string(&state).is_ok_and(|line| line.contains("\"seq\":2"))
    });
    let ready = remembered(&state);
    // Any reason to wake up will do; without one it looks once a minute.
    wait_until("what was quiet is remembered", || {
        running.signal(Signal::SIGHUP);
        std::thread::sleep(Duration::from_millis(100));
        micros(&remembered(&state)["until"]) > micros(&ready["until"]) + 1_000_000
    });
    assert_eq!(remembered(&state)["seq"], ready["seq"], "there was no record");
    let seen = remembered(&state)["until"].clone();
    running.kill();
    scene.start(&["-o", &target.name]).stop();
    let (_, previous) = runs(&target);
    assert!(micros(&previous["until"]) >= micros(&seen), "{previous}");
    assert_eq!(number(&previous, "seq"), 2);
}
