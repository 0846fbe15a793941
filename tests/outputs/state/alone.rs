//! Several at once: each with a state of its own, or one of them is refused.

use std::fs;

use serde_json::json;

use super::beside;
use super::remembered;
use super::run_once;
use super::runs;
use super::verify;
use super::wait_for_record;
use crate::file::Target;
use crate::scene::Scene;

#[test]
fn two_with_one_state_are_refused_with_who_has_it() {
    let Some(scene) = Scene::set() else { return };
    let (first, second) = (Target::new(&scene, "first"), Target::new(&scene, "second"));
    let state = scene.path("state").display().to_string();
    let running = scene.start(&["-o", &first.name, "--state", &state]);
    wait_for_record(&running, &scene.path("state"));
    let run = remembered(&scene.path("state"))["run"].as_str().unwrap().to_owned();
    let said = scene.start_in_vain(&["-o", &second.name, "--state", &state]);
    let who = format!("another connledger, run {run} (process {}), has it", running.pid());
    assert!(said.contains(&who), "{said}");
    assert!(said.contains("--state FILE"), "{said}");
    assert_eq!(fs::read(&second.path).unwrap(), b"", "it did not begin");
    // The first one does not mind, and the second one has a way.
    run_once(&scene, &["-o", &second.name, "--state", "none"]);
    running.stop();
    assert_eq!(verify(&[&first.path, &second.path]).0, Some(0));
}

#[test]
fn two_apart_are_told_apart() {
    let Some(scene) = Scene::set() else { return };
    let targets = ["first", "second"].map(|name| Target::new(&scene, name));
    for _ in 0..2 {
        let running = targets.each_ref().map(|target| scene.start(&["-o", &target.name]));
        scene.connect(20);
        for running in running {
            running.stop();
        }
    }
    let logs = targets.each_ref().map(runs);
    for (runs, previous) in &logs {
        assert_eq!(runs.len(), 2);
        assert_eq!(previous["run"], *runs[0].run());
        for run in runs {
            assert!(run.events().count() >= 80, "each has seen all of it");
        }
    }
    assert_ne!(remembered(&beside(&targets[0]))["run"], remembered(&beside(&targets[1]))["run"]);
    // Beside each other their logs are sound, too.
    let (code, report) = verify(&[&targets[0].path, &targets[1].path]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["runs"].as_array().unwrap().len(), 4);
    let named = |run: &&serde_json::Value| run["follows"]["named"] == json!(true);
    assert_eq!(report["runs"].as_array().unwrap().iter().filter(named).count(), 2);
}
