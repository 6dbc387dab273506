//! How many tests passed and failed, read from what the test runners print.

use std::{fmt, ops::AddAssign};

/// Tests, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// From libtest's `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
    pub(crate) fn from_libtest(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        Self::from_counts(counts.split("; "))
    }

    /// From pytest's `=== 3 failed, 12 passed, 1 skipped in 4.20s ===`.
    pub(crate) fn from_pytest(line: &str) -> Option<Self> {
        let (counts, time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
        time.starts_with(|c: char| c.is_ascii_digit())
            .then(|| Self::from_counts(counts.split(", ")))?
    }

    fn from_counts<'a>(counts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut tally = Self::default();
        for count in counts {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            // libtest ends with the time it took.
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" | "xfailed" => tally.passed += number,
                "failed" | "error" | "errors" | "xpassed" => tally.failed += number,
                "skipped" | "ignored" => tally.skipped += number,
                _ => {}
            }
        }
        (tally != Self::default()).then_some(tally)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Option<Tally> {
        Some(Tally {
            passed,
            failed,
            skipped,
        })
    }

    #[test]
    fn reads_libtest() {
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(Tally::from_libtest(line), tally(12, 0, 1));
        let line = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.00s";
        assert_eq!(Tally::from_libtest(line), tally(1, 2, 0));
        assert_eq!(Tally::from_libtest("test a::b ... ok"), None);
        assert_eq!(Tally::from_libtest("running 12 tests"), None);
    }

    #[test]
    fn reads_pytest() {
        let line = "======== 3 failed, 12 passed, 1 skipped, 2 warnings in 4.20s ========";
        assert_eq!(Tally::from_pytest(line), tally(12, 3, 1));
        let line = "====== 1 passed, 2 errors in 65.01s (0:01:05) ======";
        assert_eq!(Tally::from_pytest(line), tally(1, 2, 0));
        assert_eq!(Tally::from_pytest("12 passed in 0.31s"), tally(12, 0, 0));
        assert_eq!(Tally::from_pytest("==== no tests ran in 0.01s ===="), None);
        assert_eq!(Tally::from_pytest("2 things happened in there"), None);
    }

    #[test]
    fn prints_what_was_counted() {
        let mut sum = Tally::default();
        sum += tally(12, 0, 0).unwrap();
        assert_eq!(sum.to_string(), "12 passed, 0 failed");
        sum += tally(1, 1, 2).unwrap();
        assert_eq!(sum.to_string(), "13 passed, 1 failed, 2 skipped");
    }
}
