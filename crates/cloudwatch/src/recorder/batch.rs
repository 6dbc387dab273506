use std::{sync::Arc, time::SystemTime};

use crate::{limits, names::Series};

/// Some data, as much as CloudWatch accepts in one request.
#[derive(Debug)]
pub struct Batch {
    namespace: Arc<str>,
    data: Vec<Datum>,
    bytes: usize,
}

/// What one series gathered in one period.
#[derive(Clone, Debug)]
pub struct Datum {
    series: Arc<Series>,
    unit: &'static str,
    timestamp: SystemTime,
    values: Vec<(f64, u64)>,
}

impl Datum {
    /// Splits values among as many data as they need.
    pub(crate) fn split(
        series: &Arc<Series>,
        unit: &'static str,
        timestamp: SystemTime,
        values: &[(f64, u64)],
    ) -> impl Iterator<Item = Self> {
        values.chunks(limits::VALUES).map(move |values| Self {
            series: Arc::clone(series),
            unit,
            timestamp,
            values: values.to_vec(),
        })
    }

    /// The metric's name: 1 to 255 printable ASCII characters.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.series.name
    }

    /// Names and values of its dimensions, at most 30, in the order of names, which are at most 255 long;
    /// values are 1 to 1,024 long. Both are printable ASCII.
    pub fn dimensions(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        let dimensions = self.series.dimensions.iter();
        dimensions.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The unit, as CloudWatch names it.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        self.unit
    }

    /// When it was gathered.
    #[must_use]
    pub const fn timestamp(&self) -> SystemTime {
        self.timestamp
    }

    /// Values, and how often there was each: 1 to 150, none of them twice.
    #[must_use]
    pub fn values(&self) -> &[(f64, u64)] {
        &self.values
    }

    /// At least what it takes in a request, in CBOR: what keys and lengths take is less than what is allowed for.
    fn bytes(&self) -> usize {
        const DATUM: usize = 160;
        const DIMENSION: usize = 24;
        const VALUE_AND_COUNT: usize = 9 + 9;
        let dimensions: usize = self
            .dimensions()
            .map(|(name, value)| DIMENSION + name.len() + value.len())
            .sum();
        DATUM + self.name().len() + dimensions + VALUE_AND_COUNT * self.values.len()
    }
}

impl Batch {
    pub(crate) fn new(namespace: Arc<str>) -> Self {
        const ENVELOPE: usize = 128;
        Self {
            bytes: ENVELOPE + namespace.len(),
            namespace,
            data: Vec::new(),
        }
    }

    /// Takes a datum in, or gives it back where it would be one too many.
    pub(crate) fn push(&mut self, datum: Datum) -> Result<(), Datum> {
        let bytes = self.bytes + datum.bytes();
        let fits = self.data.len() < limits::DATA && bytes <= limits::BYTES;
        // One datum alone always fits: thirty of the longest dimensions are far from the limit.
        if !fits && !self.data.is_empty() {
            return Err(datum);
        }
        self.bytes = bytes;
        self.data.push(datum);
        Ok(())
    }

    /// Two halves; `None` where there is one datum, or none.
    pub(crate) fn halves(mut self) -> Result<[Self; 2], Self> {
        if self.data.len() < 2 {
            return Err(self);
        }
        let second = self.data.split_off(self.data.len() / 2);
        let half = |data: Vec<Datum>| Self {
            namespace: Arc::clone(&self.namespace),
            bytes: data.iter().map(Datum::bytes).sum(),
            data,
        };
        Ok([half(std::mem::take(&mut self.data)), half(second)])
    }

    /// Forgets data that are too old, and answers how many.
    pub(crate) fn forget_before(&mut self, oldest: SystemTime) -> usize {
        let before = self.data.len();
        self.data.retain(|datum| datum.timestamp >= oldest);
        before - self.data.len()
    }

    /// The namespace: 1 to 255 characters, none of AWS's own.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What is to be sent: 1 to 1,000 data, less than 1 MB together.
    #[must_use]
    pub fn data(&self) -> &[Datum] {
        &self.data
    }
}
