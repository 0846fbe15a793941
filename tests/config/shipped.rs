//! The file that comes with connledger says what is so: each key is there, with its default.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use connledger::cli::Cli;
use connledger::config::Destination;
use connledger::config::FileOutput;
use connledger::config::Output;
use connledger::config::OutputSpec;

use super::config;
use super::config_of;
use super::keys;

const SHIPPED: &str = include_str!("../../packaging/connledger.toml");

/// The lines behind this mark, without it: `#` for defaults, `#:` for examples, none for what is in effect. Behind `# `
/// is prose.
fn behind(mark: &str) -> Vec<&'static str> {
    let is_toml = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '{');
    SHIPPED.lines().filter_map(|line| line.strip_prefix(mark)).filter(is_toml).collect()
}

/// The options behind this mark.
fn options(mark: &str) -> Vec<&'static str> {
    behind(mark).into_iter().filter(|line| !line.starts_with('{')).collect()
}

/// The outputs behind this mark.
fn outputs(mark: &str) -> Vec<&'static str> {
    behind(mark).into_iter().filter(|line| line.starts_with('{')).collect()
}

/// Each output by itself, as it is when its line is the only one.
fn alone(output: &str) -> Output {
    let config = config_of(&format!("output = [\n{output}\n]\n")).expect(output);
    let [output] = config.outputs.try_into().expect("one");
    output
}

fn key(line: &'static str) -> Option<&'static str> {
    line.split_once(" = ").map(|(key, _)| key)
}

#[test]
fn every_line_is_understood() {
    for line in SHIPPED.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        let toml = line.strip_prefix("#:").or_else(|| line.strip_prefix('#')).unwrap_or(line);
        let known = line.is_empty()
            || line == "#"
            || line == "]"
            || line.starts_with("# ")
            || key(toml).is_some();
        assert!(known, "{line}");
    }
}

/// The log is in /var/log, takes a bounded part of the disk, and says once a minute how it stands.
#[test]
fn as_it_comes_it_writes_a_rotated_file() {
    let output = "file:/var/log/connledger/events.ndjson,rotate=100MiB,keep=10";
    assert_eq!(config_of(SHIPPED), config(["--heartbeat", "60", "-o", output]));
}

#[test]
fn defaults_are_the_defaults() {
    let defaults = behind("#").join("\n");
    assert_eq!(config_of(&defaults), config([""; 0]), "{defaults}");
}

#[test]
fn every_key_is_there_once() {
    let command = Cli::command();
    let [defaults, examples, effective] =
        ["#", "#:", ""].map(|mark| options(mark).into_iter().filter_map(key).collect::<Vec<_>>());
    let mut named: Vec<&str> = [&defaults[..], &examples, &effective].concat();
    named.sort_unstable();
    let mut keys = keys();
    keys.sort();
    assert_eq!(named, keys);
    for arg in command.get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        if !arg.get_default_values().is_empty() {
            let shown = defaults.contains(&long) || effective.contains(&long);
            assert!(shown, "{long} is shown without its default");
        }
    }
}

#[test]
fn every_option_of_an_output_is_there() {
    let lines = [outputs(""), outputs("#:")].concat().join(" ");
    let words = lines.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let named: BTreeSet<&str> = words.collect();
    for place in ["stdout", "file:/x", "unix:/x", "unix-dgram:/x", "journald"] {
        assert!(named.contains(place.split(':').next().unwrap()), "{place}");
        // It names all that there are.
        let said = OutputSpec::new(place).unwrap().set("nonsense", "").unwrap_err();
        let (_, list) = said.split_once("; it has ").unwrap();
        let missing = list.split(", ").find(|option| !named.contains(option));
        assert_eq!(missing, None, "of {place}");
    }
}

#[test]
fn examples_can_be_used() {
    for line in options("#:") {
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
}

/// Each output's line stands for itself; and what it says of options that are defaults is so.
#[test]
fn outputs_can_be_used() {
    for line in outputs("#:") {
        let output = alone(line);
        assert_eq!(output.on_full, output.destination.default_on_full(), "{line}");
        assert_eq!(output.queue, output.on_full.default_queue(), "{line}");
        if let Destination::File(file) = &output.destination {
            let defaults = FileOutput::new(file.path.clone());
            assert_eq!((file.mode, file.keep), (defaults.mode, defaults.keep), "{line}");
        }
    }
}

/// One line is put in the place of another: the log goes somewhere else, and nowhere besides.
#[test]
fn another_output_takes_one_line() {
    let [written] = outputs("").try_into().unwrap();
    let others = outputs("#:");
    assert!(others.len() > 3);
    for line in others {
        let config = config_of(&SHIPPED.replace(written, line)).expect(line);
        assert_eq!(config.outputs, [alone(line)]);
    }
}
