use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::SystemTime,
};

use super::{
    accumulated::Accumulated,
    batch::{Batch, Datum},
};
use crate::names::Series;

/// What is still to be sent, by period, oldest first. Pure: time is passed in.
///
/// Its size is bounded by periods times series, whatever is recorded and however long nothing can be sent.
#[derive(Debug)]
pub(crate) struct Pending {
    periods: VecDeque<Period>,
    max_periods: usize,
    /// The rest of a histogram whose beginning has been taken.
    rest: VecDeque<Datum>,
}

#[derive(Debug)]
struct Period {
    at: SystemTime,
    /// By the series' number.
    gathered: BTreeMap<usize, Gathered>,
}

/// What one series gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) series: Arc<Series>,
    pub(crate) unit: &'static str,
    /// What its values are multiplied with to be of that unit.
    pub(crate) scale: f64,
    pub(crate) accumulated: Accumulated,
}

impl Pending {
    pub(crate) fn new(max_periods: usize) -> Self {
        Self {
            periods: VecDeque::new(),
            max_periods,
            rest: VecDeque::new(),
        }
    }

    /// Adds what was gathered until `at`.
    pub(crate) fn add(
        &mut self,
        at: SystemTime,
        gathered: impl IntoIterator<Item = (usize, Gathered)>,
    ) {
        let mut period = Period {
            at,
            gathered: BTreeMap::new(),
        };
        for (number, gathered) in gathered {
            period.merge(number, gathered);
        }
        if period.gathered.is_empty() {
            return;
        }
        self.periods.push_back(period);
        if self.periods.len() > self.max_periods {
            self.merge_oldest();
        }
    }

    /// The two oldest periods become one, at the time of the later one: CloudWatch refuses what is too old.
    fn merge_oldest(&mut self) {
        let Some(oldest) = self.periods.pop_front() else {
            return;
        };
        if let Some(next) = self.periods.front_mut() {
            for (number, gathered) in oldest.gathered {
                next.merge(number, gathered);
            }
        }
    }

    /// Takes out as much as fits in a request; `None` where there is nothing left.
    pub(crate) fn take(&mut self, namespace: &Arc<str>) -> Option<Batch> {
        let mut batch = Batch::new(Arc::clone(namespace));
        while let Some(datum) = self.next() {
            if let Err(one_too_many) = batch.push(datum) {
                self.rest.push_front(one_too_many);
                break;
            }
        }
        (!batch.data().is_empty()).then_some(batch)
    }

    fn next(&mut self) -> Option<Datum> {
        loop {
            if let Some(datum) = self.rest.pop_front() {
                return Some(datum);
            }
            let period = self.periods.front_mut()?;
            match period.gathered.pop_first() {
                Some((_, gathered)) => self.rest.extend(gathered.into_data(period.at)),
                None => drop(self.periods.pop_front()),
            }
        }
    }

    /// Empties it, and answers how many data there were, at least.
    pub(crate) fn clear(&mut self) -> usize {
        let in_periods: usize = self
            .periods
            .iter()
            .map(|period| period.gathered.len())
            .sum();
        let data = in_periods + self.rest.len();
        self.periods.clear();
        self.rest.clear();
        data
    }
}

impl Period {
    fn merge(&mut self, number: usize, gathered: Gathered) {
        use std::collections::btree_map::Entry;

        match self.gathered.entry(number) {
            Entry::Vacant(entry) => {
                entry.insert(gathered);
            }
            Entry::Occupied(mut entry) => entry.get_mut().accumulated.merge(gathered.accumulated),
        }
    }
}

impl Gathered {
    fn into_data(self, at: SystemTime) -> Vec<Datum> {
        let mut values = self.accumulated.into_values();
        for (value, _) in &mut values {
            *value *= self.scale;
        }
        Datum::split(&self.series, self.unit, at, &values).collect()
    }
}
