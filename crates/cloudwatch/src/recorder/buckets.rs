//! Histogram buckets whose width grows with the value, so that the error is relative. Pure arithmetic.

/// How far a histogram's value may be rounded, as a share of it.
pub const RELATIVE_ERROR: f64 = 0.01;

/// Each bucket is 2^(1/35) = 1.02 times the one before: values are rounded by 2^(1/70) - 1 = 0.995 % at most.
const PER_OCTAVE: i32 = 35;
/// The least value that is told from zero, as a power of two: with milliseconds, a nanosecond.
const MIN_EXPONENT: i32 = -20;
/// The largest value, as a power of two: 10^12.
const MAX_EXPONENT: i32 = 40;

/// How many buckets there are. The first is zero's.
pub(crate) const BUCKETS: usize = ((MAX_EXPONENT - MIN_EXPONENT) * PER_OCTAVE + 2) as usize;

/// The bucket of a value; `None` for what is too large, negative or no number.
pub(crate) fn index(value: f64) -> Option<usize> {
    if !(0.0..=2f64.powi(MAX_EXPONENT)).contains(&value) {
        return None;
    }
    if value < 2f64.powi(MIN_EXPONENT) {
        return Some(0);
    }
    let position = (value.log2() * f64::from(PER_OCTAVE)).round();
    // Whole numbers from 1 to BUCKETS - 1, as the checks above have made sure.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = (position - f64::from(MIN_EXPONENT * PER_OCTAVE)) as usize + 1;
    Some(index.min(BUCKETS - 1))
}

/// What the values of a bucket are rounded to.
pub(crate) fn value(index: usize) -> f64 {
    if index == 0 {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss)]
    let position = (index - 1) as f64 + f64::from(MIN_EXPONENT * PER_OCTAVE);
    (position / f64::from(PER_OCTAVE)).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_powers_of_two_and_zero_are_exact() {
        for exact in [0.0, 1.0, 2.0, 1_024.0, 0.5] {
            assert_eq!(index(exact).map(value), Some(exact));
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(index(2f64.powi(MIN_EXPONENT)), Some(1));
        assert_eq!(index(2f64.powi(MAX_EXPONENT)), Some(BUCKETS - 1));
        assert_eq!(index(f64::MIN_POSITIVE), Some(0));
        assert_eq!(index(-0.0), Some(0));
        for refused in [-1.0, 1e13, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(index(refused), None, "{refused}");
        }
    }

    proptest! {
        #[test]
        fn values_are_rounded_by_one_percent_at_most(exponent in -20.0..40.0) {
            let exact = f64::exp2(exponent);
            let rounded = index(exact).map(value).unwrap();
            prop_assert!((rounded - exact).abs() <= exact * RELATIVE_ERROR, "{exact} became {rounded}");
        }

        #[test]
        fn order_is_kept(a in 0.0..1e9, b in 0.0..1e9) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(index(low) <= index(high));
        }
    }
}
