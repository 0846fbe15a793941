//! The books of a run, as `heartbeat` and `stop` tell them.

use serde::Deserialize;

use super::Fields;
use super::Verdict;
use super::causes::Causes;
use super::causes::Place;
use super::connection::words;
use super::header::Header;
use super::number::Count;
use super::number::MAX;
use super::number::Some0;
use super::number::Step;
use super::number::True;
use super::object::Object;
use super::text::OutputName;
use super::time::Time;

words! {
    Reason { Interrupted, Terminated, Duration, MaxEvents, OutputsClosed }
}

impl Reason {
    /// As it stands in a record.
    const fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
            Self::Duration => "duration",
            Self::MaxEvents => "max_events",
            Self::OutputsClosed => "outputs_closed",
            Self::Unknown => "unknown",
        }
    }
}

/// What is missing inside of events that were told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Incomplete {
    storage_failed: Option<Some0>,
    accept_queue_full: Option<Some0>,
    acceptors_full: Option<Some0>,
    process_ring_full: Option<Some0>,
    told_full: Option<Some0>,
    process_unknown: Option<Some0>,
}

impl Incomplete {
    fn is_empty(&self) -> bool {
        [
            &self.storage_failed,
            &self.accept_queue_full,
            &self.acceptors_full,
            &self.process_ring_full,
            &self.told_full,
            &self.process_unknown,
        ]
        .iter()
        .all(|count| count.is_none())
    }
}

/// The most outputs that a run has.
const MAX_OUTPUTS: usize = 8;

/// The books of one output, as they stand in a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "checked, and not needed further")]
struct Output {
    #[serde(rename = "output")]
    name: OutputName,
    written: Count,
    lost: Count,
    in_flight: Option<Some0>,
    resent: Option<Some0>,
    closed: Option<True>,
    causes: Option<Causes>,
}

/// Events as they are accounted for: written, lost, or on their way.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Handed to the outputs, or written by the one.
    pub written: u64,
    /// Lost.
    pub lost: u64,
    /// On their way.
    pub in_flight: u64,
    /// `lost` by cause.
    pub causes: Causes,
}

/// The books of a run at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Through which the line went that tells them.
    pub output: OutputName,
    /// Events that were asked for and happened.
    pub observed: u64,
    /// Events that a filter refused.
    pub filtered: u64,
    /// The ledger's account.
    pub ledger: Account,
    /// That of each output that is still written to.
    pub outputs: Vec<(OutputName, Account)>,
}

/// Records that carry figures: what each has besides.
macro_rules! with_figures {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* } in_flight: $in_flight:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "checked, and not needed further")]
        pub struct $name {
            $($field: $type,)*
            output: OutputName,
            observed: Count,
            written: Count,
            lost: Count,
            filtered: Count,
            causes: Option<Causes>,
            incomplete: Option<Object<Incomplete>>,
            recovered: Option<Some0>,
            clock_step_us: Option<Step>,
            outputs: Vec<Object<Output>>,
        }

        impl $name {
            /// The books.
            #[must_use]
            pub fn figures(self) -> Figures {
                let in_flight: fn(&Self) -> u64 = $in_flight;
                Figures {
                    observed: self.observed.0,
                    filtered: self.filtered.0,
                    ledger: Account {
                        written: self.written.0,
                        lost: self.lost.0,
                        in_flight: in_flight(&self),
                        causes: self.causes.unwrap_or_default(),
                    },
                    outputs: accounts(self.outputs),
                    output: self.output,
                }
            }

            fn check_figures(&self, strict: bool) -> Verdict {
                if let Some(causes) = &self.causes {
                    causes.check(Place::Ledger, strict)?;
                }
                check_outputs(&self.outputs, strict)?;
                match &self.incomplete {
                    // A newer minor may know of other things that are missing.
                    Some(Object(incomplete)) if strict && incomplete.is_empty() => Err("incomplete is empty"),
                    _ => Ok(()),
                }
            }
        }
    )*};
}

with_figures! {
    /// The figures so far.
    Heartbeat { in_flight: Count, } in_flight: |heartbeat| heartbeat.in_flight.0;
    /// The end of a run.
    StopFields { reason: Reason, until: Time, } in_flight: |_| 0;
}

impl Fields<'_> for Heartbeat {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.check_figures(strict)
    }
}

impl Fields<'_> for StopFields {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.reason.known(strict, "reason is none of those that there are")?;
        self.check_figures(strict)
    }
}

impl StopFields {
    /// What matters of it.
    pub(super) fn stop(self) -> Stop {
        Stop { reason: self.reason.name(), figures: self.figures() }
    }
}

/// The end of a run.
#[derive(Debug)]
pub struct Stop {
    /// Why it ended.
    pub reason: &'static str,
    /// The closed books.
    pub figures: Figures,
}

fn accounts(outputs: Vec<Object<Output>>) -> Vec<(OutputName, Account)> {
    let open = outputs.into_iter().filter(|Object(output)| output.closed.is_none());
    let account = |output: Output| {
        let account = Account {
            written: output.written.0,
            lost: output.lost.0,
            in_flight: output.in_flight.map_or(0, |count| count.0),
            causes: output.causes.unwrap_or_default(),
        };
        (output.name, account)
    };
    open.map(|Object(output)| account(output)).collect()
}

fn check_outputs(outputs: &[Object<Output>], strict: bool) -> Verdict {
    if outputs.len() > MAX_OUTPUTS {
        return Err("there are more than 8 outputs");
    }
    let mut causes = outputs.iter().filter_map(|Object(output)| output.causes.as_ref());
    causes.try_for_each(|causes| causes.check(Place::Output, strict))
}

impl Account {
    /// Whether the books balance. A number at the cap of what JSON has exactly says nothing.
    #[must_use]
    pub fn balances(&self, observed: u64, filtered: u64) -> bool {
        let told = [self.written, self.lost, filtered, self.in_flight];
        let capped = observed >= MAX || told.iter().any(|&count| count >= MAX);
        capped || observed == self.total(filtered)
    }

    /// Written, lost, on their way, and those that were filtered.
    #[must_use]
    pub fn total(&self, filtered: u64) -> u64 {
        let told = [self.written, self.lost, filtered, self.in_flight];
        told.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// Whether the causes add up to what was lost.
    #[must_use]
    pub fn causes_add_up(&self) -> bool {
        let total = self.causes.total();
        self.lost >= MAX || total >= MAX || total == self.lost
    }
}
