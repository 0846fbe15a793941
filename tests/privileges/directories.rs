//! A directory that cannot be written to without capabilities is said at start, with what to do about it.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::scene::Running;
use crate::scene::Scene;
use crate::who::Who;
use crate::who::own;

/// A directory of somebody's.
fn directory(scene: &Scene, owner: u32, mode: u32) -> PathBuf {
    let directory = scene.path("theirs");
    fs::create_dir(&directory).unwrap();
    own(&directory, owner);
    fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
    directory
}

/// What it says at once, and ends.
fn refused(mut running: Running) -> String {
    let status = running.wait();
    assert_eq!(status.code(), Some(1), "{}", running.said());
    running.said()
}

/// Does as it was told, somewhere.
fn obey(scene: &Scene, said: &str) -> PathBuf {
    let (_, command) = said.trim_end().rsplit_once("as made by: ").expect("what to do");
    let own = scene.path("own");
    let command = command.replace("DIRECTORY", own.to_str().expect("a path of ours"));
    let status = Command::new("sh").args(["-ec", &command]).status().expect("sh");
    assert!(status.success(), "{command}");
    own.join("log")
}

fn refused_until_obeyed(who: Who, owner: u32, mode: u32) {
    let Some(scene) = Scene::set() else { return };
    let directory = directory(&scene, owner, mode);
    let log = directory.join("log");
    let output = format!("file:{},rotate=1MiB", log.display());
    let said = refused(Running::spawn(&mut who.command(&scene, &["-o", &output])));
    assert!(said.contains(&format!("cannot open the output file:{}", log.display())), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    assert!(said.contains(&format!("cannot write to {}", directory.display())), "{said}");
    assert!(!log.exists(), "nothing is left behind");
    let log = obey(&scene, &said);
    let output = format!("file:{},rotate=1MiB", log.display());
    let said = who.start(&scene, &["-o", &output]).stop();
    assert!(!said.contains("warning"), "{said}");
    assert!(log.exists());
}

#[test]
fn root_that_is_to_rotate_where_only_its_capabilities_let_it() {
    refused_until_obeyed(Who::Root, Who::USER, 0o750);
}

#[test]
fn root_that_has_closed_its_own_directory() {
    refused_until_obeyed(Who::Root, 0, 0o555);
}

#[test]
fn a_user_in_roots_directory() {
    refused_until_obeyed(Who::User, 0, 0o755);
}

/// It may never be renamed, so this is no error.
#[test]
fn root_that_is_not_to_rotate_is_warned() {
    let Some(scene) = Scene::set() else { return };
    let log = directory(&scene, Who::USER, 0o750).join("log");
    let said = Who::Root.start(&scene, &["-o", &format!("file:{}", log.display())]).stop();
    assert!(
        said.contains("warning: once renamed or removed, the file cannot be made again"),
        "{said}"
    );
    let log = obey(&scene, said.lines().find(|line| line.contains("warning")).unwrap());
    let said = Who::Root.start(&scene, &["-o", &format!("file:{}", log.display())]).stop();
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn a_state_that_is_somebody_elses_is_said_to_be_his() {
    let Some(scene) = Scene::set() else { return };
    let state = directory(&scene, Who::USER, 0o755).join("state");
    fs::write(&state, "").unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o600)).unwrap();
    let arguments = ["--state", state.to_str().unwrap()];
    let said = refused(Running::spawn(&mut Who::User.command(&scene, &arguments)));
    assert!(said.contains("Permission denied"), "{said}");
    assert!(said.contains("it belongs to user 0, with the mode 0600"), "{said}");
    let (_, command) = said.trim_end().rsplit_once("let it: ").expect("what to do");
    let status = Command::new("sh").args(["-ec", command]).status().expect("sh");
    assert!(status.success(), "{command}");
    let said = Who::User.start(&scene, &arguments).stop();
    assert!(!said.contains("warning"), "{said}");
}
