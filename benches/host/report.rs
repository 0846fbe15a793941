//! The report: everything that was measured, as JSON and as Markdown.

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use crate::options::Options;
use crate::scene::Scene;
use crate::sections::growth::Point;
use crate::sections::host::Host;
use crate::sections::idle::Idle;
use crate::sections::kernel::Kernel;
use crate::sections::latency::Latency;
use crate::sections::memory::Memory;

/// Everything that was measured in one run. What was not is absent.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Rounds of each measurement.
    pub rounds: usize,
    /// The host's loss.
    pub host: Option<Host>,
    /// Kernel cost.
    pub kernel: Option<Kernel>,
    /// What is done when nothing happens.
    pub idle: Option<Idle>,
    /// From the event to the line.
    pub latency: Option<Latency>,
    /// What it allocates in the long run.
    pub memory: Option<Memory>,
    /// What it costs as there is more of everything.
    pub growth: Vec<Point>,
}

impl Report {
    /// An empty report.
    pub fn new(options: &Options) -> Self {
        Self { rounds: options.rounds, host: None, kernel: None, idle: None, latency: None, memory: None, growth: Vec::new() }
    }

    /// Writes what there is so far.
    pub fn write(&self, scene: &Scene) -> anyhow::Result<()> {
        let path = scene.report_path("report.json");
        let json = serde_json::to_vec_pretty(self)?;
        fs::write(&path, json).with_context(|| path.display().to_string())
    }
}
