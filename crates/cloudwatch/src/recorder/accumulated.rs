use std::cmp::Ordering;

use super::buckets;
use crate::limits;

/// What one series gathered in one period. Two of them merge into one of bounded size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Accumulated {
    /// A counter's growth.
    Sum(f64),
    /// A histogram: buckets and how many samples are in each, in the order of buckets.
    Samples(Vec<(u16, u64)>),
    /// A gauge: what it stood at and how often, in no order.
    Values(Vec<(f64, u64)>),
}

impl Accumulated {
    /// Takes another period's into this one.
    pub(crate) fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Sum(sum), Self::Sum(other)) => *sum += other,
            (Self::Samples(samples), Self::Samples(other)) => merge_samples(samples, other),
            (Self::Values(values), Self::Values(other)) => merge_values(values, other),
            // A series has one kind for as long as it lives.
            (_, _) => debug_assert!(false, "series of two kinds"),
        }
    }

    /// What CloudWatch is told: values, and how often there was each.
    pub(crate) fn into_values(self) -> Vec<(f64, u64)> {
        match self {
            Self::Sum(sum) => vec![(sum, 1)],
            Self::Values(values) => values,
            Self::Samples(samples) => samples
                .into_iter()
                .map(|(index, count)| (buckets::value(index.into()), count))
                .collect(),
        }
    }
}

fn merge_samples(samples: &mut Vec<(u16, u64)>, other: Vec<(u16, u64)>) {
    samples.extend(other);
    samples.sort_unstable_by_key(|(index, _)| *index);
    samples.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(later.1);
        }
        same
    });
}

/// A gauge that keeps moving would have ever more values: the two that are closest become one.
fn merge_values(values: &mut Vec<(f64, u64)>, other: Vec<(f64, u64)>) {
    values.extend(other);
    values.sort_unstable_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
    values.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(later.1);
        }
        same
    });
    while values.len() > limits::VALUES {
        let gap = |at: &usize| values[at + 1].0 - values[*at].0;
        let closest = (0..values.len() - 1).min_by(|a, b| gap(a).total_cmp(&gap(b)));
        let Some(at) = closest else { return };
        let (value, count) = values.remove(at + 1);
        let kept = &mut values[at];
        #[allow(clippy::cast_precision_loss)]
        let share = count as f64 / (count.saturating_add(kept.1)) as f64;
        kept.0 += (value - kept.0) * share;
        kept.1 = kept.1.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_bucket_add_up() {
        let mut first = Accumulated::Samples(vec![(1, 1), (5, 2)]);
        first.merge(Accumulated::Samples(vec![(0, 4), (5, 3), (9, 1)]));
        let merged = vec![(0, 4), (1, 1), (5, 5), (9, 1)];
        assert_eq!(first, Accumulated::Samples(merged));
    }

    #[test]
    fn a_gauge_keeps_mean_and_count_however_long_it_is_kept() {
        let mut gauge = Accumulated::Values(vec![(0.0, 1)]);
        for value in 1..1_000 {
            gauge.merge(Accumulated::Values(vec![(f64::from(value), 1)]));
        }
        let values = gauge.into_values();
        assert!(values.len() <= limits::VALUES);
        assert_eq!(values.iter().map(|(_, count)| count).sum::<u64>(), 1_000);
        let sum: f64 = values.iter().map(|(value, n)| value * *n as f64).sum();
        assert!((sum - 499_500.0).abs() < 1.0, "{sum}");
    }
}
