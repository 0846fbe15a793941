//! A progress bar on a terminal, for what takes a while.

use std::io;
use std::io::IsTerminal as _;
use std::io::Read;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use super::input::Source;

/// From so many bytes on there is a bar: less is read in a moment.
const WORTH_A_BAR: u64 = 64 << 20;

/// How far the reading is, compressed as it may be.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// For these sources; nothing if stderr is no terminal.
    #[must_use]
    pub fn new(sources: &[Source]) -> Self {
        let size: Option<u64> = sources.iter().map(Source::size).sum();
        if !io::stderr().is_terminal() || size.is_some_and(|size| size < WORTH_A_BAR) {
            return Self(ProgressBar::hidden());
        }
        let (bar, template) = match size {
            Some(size) => (
                ProgressBar::new(size),
                "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            ),
            None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
        };
        // If a template were wrong, the style would be the usual one.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Counts what is read.
    pub fn watch<R: Read>(&self, log: R) -> impl Read + use<R> {
        self.0.wrap_read(log)
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
