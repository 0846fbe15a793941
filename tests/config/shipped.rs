//! The file that comes with connledger says what is so: each key is there, with its default.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use connledger::cli::Cli;
use connledger::config::Destination;
use connledger::config::FileOutput;
use connledger::config::OutputSpec;

use super::config;
use super::config_of;
use super::keys;

const SHIPPED: &str = include_str!("../../packaging/connledger.toml");

/// The lines behind this mark, without it: `#` for defaults, `#:` for examples. Behind `# ` is prose.
fn behind(mark: &str) -> Vec<&'static str> {
    let is_toml = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    SHIPPED.lines().filter_map(|line| line.strip_prefix(mark)).filter(is_toml).collect()
}

fn key(line: &'static str) -> Option<&'static str> {
    line.split_once(" = ").map(|(key, _)| key)
}

#[test]
fn every_line_is_understood() {
    for line in SHIPPED.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        let toml = line.strip_prefix("#:").or_else(|| line.strip_prefix('#'));
        let known = line.is_empty()
            || line == "#"
            || line.starts_with("# ")
            || toml.is_some_and(|toml| toml == "[[output]]" || key(toml).is_some());
        assert!(known, "{line}");
    }
}

#[test]
fn as_it_comes_it_says_nothing() {
    assert_eq!(config_of(SHIPPED), config([""; 0]));
}

#[test]
fn defaults_are_the_defaults() {
    let defaults = behind("#").join("\n");
    assert_eq!(config_of(&defaults), config([""; 0]), "{defaults}");
}

#[test]
fn every_key_is_there_once() {
    let command = Cli::command();
    let tables = |lines: Vec<&'static str>| {
        let mut parts = lines.split(|line| *line == "[[output]]");
        let top = parts.next().unwrap().iter().filter_map(|line| key(line)).collect::<Vec<_>>();
        let outputs = parts.flatten().filter_map(|line| key(line)).collect::<Vec<_>>();
        (top, outputs)
    };
    let (defaults, default_output) = tables(behind("#"));
    let (examples, example_outputs) = tables(behind("#:"));

    let mut named: Vec<&str> = [defaults.clone(), examples.clone()].concat();
    named.push("output");
    named.sort_unstable();
    let mut keys = keys();
    keys.sort();
    assert_eq!(named, keys);
    for arg in command.get_arguments().filter(|arg| arg.get_id() != "output") {
        let Some(long) = arg.get_long() else { continue };
        if !arg.get_default_values().is_empty() {
            assert!(defaults.contains(&long), "{long} is shown without its default");
        }
    }

    let named: BTreeSet<&str> =
        default_output.into_iter().chain(example_outputs).filter(|key| *key != "to").collect();
    let mut options = BTreeSet::new();
    for place in ["stdout", "file:/x", "unix:/x", "unix-dgram:/x", "journald"] {
        // It names all that there are.
        let said = OutputSpec::new(place).unwrap().set("nonsense", "").unwrap_err();
        let (_, list) = said.split_once("; it has ").unwrap();
        options.extend(list.split(", ").map(str::to_owned));
    }
    assert_eq!(named, options.iter().map(String::as_str).collect());
}

#[test]
fn examples_can_be_used() {
    let examples = behind("#:");
    let outputs = examples.iter().position(|line| *line == "[[output]]").unwrap();
    for line in &examples[..outputs] {
        match config_of(line) {
            Ok(with) => assert_ne!(Ok(with), config([""; 0]), "{line}"),
            // What is looked up is not here, or not for everybody.
            Err(said) => assert!(
                line.starts_with("cgroup =") && said.contains("no cgroup")
                    || line.starts_with("netns =") && said.contains("cannot be looked up"),
                "{line}: {said}"
            ),
        }
    }
    let with = config_of(&examples[outputs..].join("\n")).unwrap();
    let Destination::File(file) = &with.outputs[0].destination else { panic!("{with:?}") };
    // The other two are asked for.
    let defaults = FileOutput::new(file.path.clone());
    assert_eq!((file.mode, file.keep), (defaults.mode, defaults.keep));
    let socket = &with.outputs[1];
    assert_eq!(socket.on_full, socket.destination.default_on_full());
    assert_eq!(socket.queue, socket.on_full.default_queue());
}
