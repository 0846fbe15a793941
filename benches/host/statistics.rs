//! What is made of numbers that scatter: medians, and intervals by the bootstrap.
//!
//! Nothing is assumed of how they scatter. The interval is that of the median: so many times as many values
//! as there are drawn from them, with replacement, and the middle 95 % of the medians of these.

use serde::Serialize;

/// Samples drawn for an interval.
const RESAMPLES: usize = 10_000;

/// Where the drawing begins: the same values always have the same interval.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is said of values that scatter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// The one in the middle.
    pub median: f64,
    /// Where the 95 % confidence interval of the median begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// The same in another unit.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            count: self.count,
            median: self.median * factor,
            low: self.low * factor,
            high: self.high * factor,
            min: self.min * factor,
            max: self.max * factor,
        }
    }
}

/// What is to be said of `values`. `None` if there are none.
pub fn summarize(values: &[f64]) -> Option<Summary> {
    let sorted = sorted(values);
    let (&min, &max) = (sorted.first()?, sorted.last()?);
    let mut random = Random(SEED);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut drawn: Vec<f64> =
                (0..sorted.len()).map(|_| sorted[random.below(sorted.len())]).collect();
            drawn.sort_by(f64::total_cmp);
            middle(&drawn)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Some(Summary {
        count: sorted.len(),
        median: middle(&sorted),
        low: percentile(&medians, 0.025)?,
        high: percentile(&medians, 0.975)?,
        min,
        max,
    })
}

/// The value below which a `share` of the sorted values lies (nearest rank). `None` if there are none.
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The values in their order.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The median of sorted values, of which there is at least one.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // Its bias is some 2^-60 for as few values as there are here.
        (z % limit as u64) as usize
    }
}
