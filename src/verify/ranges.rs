//! Sets of numbers as ranges: as large as there are gaps, however many numbers there are. Numbers of records go up
//! to 2^53 - 1, so that one can be added to each.

/// A set of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Sorted, apart from each other; both ends belong to them.
    ranges: Vec<(u64, u64)>,
    /// The range that grew last: numbers mostly follow each other.
    last: usize,
}

impl Ranges {
    /// Adds the numbers from `first` to `last`; gives how many of them are new.
    pub fn insert(&mut self, first: u64, last: u64) -> u64 {
        let next = self.ranges.get(self.last + 1).map_or(u64::MAX, |range| range.0);
        if let Some(range) = self.ranges.get_mut(self.last)
            && range.1 + 1 == first
            && last + 1 < next
        {
            range.1 = last;
            return last - first + 1;
        }
        self.insert_anywhere(first, last)
    }

    fn insert_anywhere(&mut self, first: u64, last: u64) -> u64 {
        // All that overlap or touch become one.
        let start = self.ranges.partition_point(|range| range.1 + 1 < first);
        let end = self.ranges.partition_point(|range| range.0 <= last + 1);
        let merged = &self.ranges[start..end];
        let held: u64 = merged.iter().map(|&range| common((first, last), range)).sum();
        let whole = match (merged.first(), merged.last()) {
            (Some(low), Some(high)) => (low.0.min(first), high.1.max(last)),
            _ => (first, last),
        };
        self.ranges.splice(start..end, [whole]);
        self.last = start;
        last - first + 1 - held
    }

    /// The least number.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.ranges.first().map(|range| range.0)
    }

    /// The greatest number.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.ranges.last().map(|range| range.1)
    }

    /// Whether a number is among them.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < number);
        self.ranges.get(at).is_some_and(|range| range.0 <= number)
    }

    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| range.1 - range.0 + 1).sum()
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().copied()
    }

    /// The numbers of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        other.iter().for_each(|(first, last)| {
            union.insert(first, last);
        });
        union
    }

    /// How many numbers are in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> u64 {
        self.count() + other.count() - self.union(other).count()
    }

    /// The numbers from `first` to `last` that are not among them.
    #[must_use]
    pub fn gaps(&self, first: u64, last: u64) -> Self {
        let mut gaps = Vec::new();
        let mut next = first;
        for (low, high) in self.iter().filter(|range| range.1 >= first && range.0 <= last) {
            if low > next {
                gaps.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= last {
            gaps.push((next, last));
        }
        Self { ranges: gaps, last: 0 }
    }
}

/// How many numbers two ranges have in common.
fn common(a: (u64, u64), b: (u64, u64)) -> u64 {
    let (low, high) = (a.0.max(b.0), a.1.min(b.1));
    if low <= high { high - low + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::Strategy;
    use proptest::prop_assert_eq;
    use proptest::prop_oneof;

    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_one_range() {
        let mut ranges = Ranges::default();
        for number in 1..=1000 {
            assert_eq!(ranges.insert(number, number), 1);
        }
        assert_eq!(ranges.ranges, [(1, 1000)]);
        assert_eq!(ranges.insert(2000, 3000), 1001);
        assert_eq!(ranges.insert(1, 5000), 3000 - 1);
        assert_eq!(ranges.ranges, [(1, 5000)]);
        let max = (1 << 53) - 1;
        assert_eq!(ranges.insert(max, max), 1);
        assert_eq!(ranges.insert(max - 1, max), 1);
        assert_eq!(ranges.gaps(1, max).ranges, [(5001, max - 2)]);
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let step = prop_oneof![
            (1..60_u64).prop_map(|number| (number, number)),
            (1..60_u64, 0..8_u64).prop_map(|(first, more)| (first, first + more)),
        ];
        vec(step, 0..60)
    }

    fn both(steps: &[(u64, u64)]) -> (Ranges, BTreeSet<u64>) {
        let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
        for &(first, last) in steps {
            let before = set.len();
            set.extend(first..=last);
            assert_eq!(ranges.insert(first, last), (set.len() - before) as u64);
        }
        (ranges, set)
    }

    proptest::proptest! {
        #[test]
        fn they_are_what_a_set_would_be(a in steps(), b in steps()) {
            let ((ranges, set), (others, other_set)) = (both(&a), both(&b));
            prop_assert_eq!(ranges.count(), set.len() as u64);
            prop_assert_eq!(ranges.first(), set.first().copied());
            prop_assert_eq!(ranges.last(), set.last().copied());
            for (one, next) in ranges.iter().zip(ranges.iter().skip(1)) {
                prop_assert_eq!(one.1 + 1 < next.0, true, "{:?}", ranges);
            }
            for number in 0..70 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
                let missing = (5..=50).contains(&number) && !set.contains(&number);
                prop_assert_eq!(ranges.gaps(5, 50).contains(number), missing);
            }
            prop_assert_eq!(ranges.common(&others), set.intersection(&other_set).count() as u64);
        }
    }
}
