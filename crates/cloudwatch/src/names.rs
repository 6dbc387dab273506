//! Names and labels as CloudWatch accepts them: printable ASCII, of bounded length, never empty.

use std::collections::BTreeMap;

use metrics::Key;

use crate::limits;

/// What CloudWatch tells series apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) dimensions: Vec<(String, String)>,
}

impl Series {
    /// The series of a key. Labels go before dimensions that all series have, of the same name, and after them
    /// where there are more than CloudWatch takes.
    pub(crate) fn new(key: &Key, common: &[(String, String)]) -> Self {
        let labels = key
            .labels()
            .map(|label| (dimension_name(label.key()), dimension_value(label.value())));
        let mut dimensions: BTreeMap<_, _> = common.iter().cloned().collect();
        for (name, value) in labels {
            if dimensions.len() < limits::DIMENSIONS || dimensions.contains_key(&name) {
                dimensions.insert(name, value);
            }
        }
        Self {
            name: metric_name(key.name()),
            dimensions: dimensions.into_iter().collect(),
        }
    }

    /// The same without some of its dimensions; `None` where it has none of them.
    #[cfg(feature = "recorder")]
    pub(crate) fn without(&self, names: &[String]) -> Option<Self> {
        let mut rolled_up = self.clone();
        rolled_up
            .dimensions
            .retain(|(name, _)| !names.contains(name));
        (rolled_up.dimensions.len() < self.dimensions.len()).then_some(rolled_up)
    }
}

pub(crate) fn dimension_name(name: &str) -> String {
    let name = printable(name, limits::DIMENSION_NAME);
    // CloudWatch keeps names that begin with a colon for itself.
    match name.strip_prefix(':') {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

pub(crate) fn dimension_value(value: &str) -> String {
    printable(value, limits::DIMENSION_VALUE)
}

fn metric_name(name: &str) -> String {
    printable(name, limits::NAME)
}

/// At most `max` printable ASCII characters, at least one of them no space.
fn printable(text: &str, max: usize) -> String {
    let replace = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let mut printable: String = text.chars().map(replace).collect();
    if printable.trim().is_empty() {
        return "-".to_owned();
    }
    if printable.len() > max {
        // Long ids often differ at their ends: the hash keeps them apart.
        let hash = format!("~{:016x}", fnv1a(text));
        printable.truncate(max - hash.len());
        printable.push_str(&hash);
    }
    printable
}

/// The same in every process and every version, unlike the standard library's. Not a secret: FNV-1a, 64 bits.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use metrics::Label;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_values_that_differ_at_their_ends_stay_apart() {
        let long = |end: &str| dimension_value(&format!("{}{end}", "x".repeat(2_047)));
        assert_eq!(long("a").len(), limits::DIMENSION_VALUE);
        assert_ne!(long("a"), long("b"));
    }

    #[test]
    fn labels_go_before_dimensions_of_all_and_no_more_than_thirty_are_kept() {
        let labels: Vec<_> = (0..40)
            .map(|n| Label::new(format!("l{n}"), "v"))
            .chain([Label::new("Service", "mine")])
            .collect();
        let common = [("Service".to_owned(), "all".to_owned())];
        let series = Series::new(&Key::from_parts("m", labels), &common);
        assert_eq!(series.dimensions.len(), limits::DIMENSIONS);
        assert!(
            series
                .dimensions
                .contains(&("Service".to_owned(), "mine".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn whatever_it_is_called_cloudwatch_accepts_it(text in ".{0,40}", repeat in 0usize..60) {
            let text = text.repeat(repeat);
            let name = dimension_name(&text);
            let value = dimension_value(&text);
            for (text, max) in [(&name, limits::DIMENSION_NAME), (&value, limits::DIMENSION_VALUE)] {
                prop_assert!((1..=max).contains(&text.len()));
                prop_assert!(text.chars().all(|c| c.is_ascii_graphic() || c == ' '));
                prop_assert!(!text.trim().is_empty());
            }
            prop_assert!(!name.starts_with(':'));
        }
    }
}
