//! What is asked for, by environment variables: `make bench` has no arguments of its own.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::ensure;

use crate::sections::Section;

/// Rounds of a measurement, unless `ROUNDS` says otherwise.
const ROUNDS: usize = 7;

/// Fewer give no interval worth its name.
const FEWEST_ROUNDS: usize = 5;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// `ONLY=host,latency`: these sections; all of them otherwise.
    pub sections: Vec<Section>,
    /// `PEERS=no`: without the other tools.
    pub peers: bool,
    /// `ROUNDS=n`.
    pub rounds: usize,
    /// `QUICK=yes`: few rounds and small sizes, to see that everything works. Its numbers mean little.
    pub quick: bool,
    /// `LOCK=file`: measure only while holding this lock, on a machine that is shared.
    pub lock: Option<PathBuf>,
}

impl Options {
    /// What the environment asks for.
    pub fn from_environment() -> anyhow::Result<Self> {
        let quick = is_yes("QUICK", false)?;
        let rounds = match variable("ROUNDS") {
            Some(text) => text.parse().with_context(|| format!("ROUNDS={text}"))?,
            None if quick => 2,
            None => ROUNDS,
        };
        ensure!(
            quick || rounds >= FEWEST_ROUNDS,
            "ROUNDS={rounds}: at least {FEWEST_ROUNDS}, or QUICK=yes"
        );
        let sections = match variable("ONLY") {
            Some(names) => names.split(',').map(Section::named).collect::<anyhow::Result<_>>()?,
            None => Section::ALL.to_vec(),
        };
        Ok(Self {
            sections,
            peers: is_yes("PEERS", true)?,
            rounds,
            quick,
            lock: variable("LOCK").map(PathBuf::from),
        })
    }

    /// How long each load runs before it is measured.
    pub fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 200 } else { 300 })
    }

    /// How long each load is measured.
    pub fn measured(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 1500 })
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_yes(name: &str, unset: bool) -> anyhow::Result<bool> {
    match variable(name).as_deref() {
        None => Ok(unset),
        Some("yes") => Ok(true),
        Some("no") => Ok(false),
        Some(other) => anyhow::bail!("{name}={other}: yes or no"),
    }
}
