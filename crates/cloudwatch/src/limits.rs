//! CloudWatch's limits, as of November 2026: the API reference of `PutMetricData`, `MetricDatum` and `Dimension`.

#[cfg(feature = "recorder")]
pub(crate) use self::of_requests::*;

/// Dimensions of a series.
pub(crate) const DIMENSIONS: usize = 30;
/// Characters of a metric's name, and of a namespace.
pub(crate) const NAME: usize = 255;
/// Characters of a dimension's name: EMF takes fewer than `PutMetricData`, which takes 255.
pub(crate) const DIMENSION_NAME: usize = 250;
/// Characters of a dimension's value.
pub(crate) const DIMENSION_VALUE: usize = 1_024;

#[cfg(feature = "recorder")]
mod of_requests {
    use std::time::Duration;

    /// Data (`MetricDatum`) in a request.
    pub(crate) const DATA: usize = 1_000;
    /// Bytes of a request. AWS says 1 MB and not whether before compression: this holds before.
    pub(crate) const BYTES: usize = 1_000_000;
    /// Values, each with its count, in a datum.
    pub(crate) const VALUES: usize = 150;
    /// 2^360: values must lie within it on either side of zero.
    pub(crate) const MAX_VALUE: f64 = f64::from_bits((1_023 + 360) << 52);
    /// The oldest timestamp accepted, less an hour for clocks that differ.
    pub(crate) const AGE: Duration = Duration::from_secs((14 * 24 - 1) * 60 * 60);
}
