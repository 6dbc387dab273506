//! What must hold, and how it is measured.

use std::fmt::Debug;

/// What was checked, printed as it goes.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    failed: u32,
}

impl Checks {
    pub(crate) fn is(&mut self, what: &str, so: bool) {
        if so {
            println!("ok      {what}");
        } else {
            self.failed += 1;
            println!("FAILED  {what}");
        }
    }

    pub(crate) fn that<T: PartialEq + Debug>(&mut self, what: &str, found: T, expected: T) {
        let so = found == expected;
        self.is(&format!("{what}: {found:?}, expected {expected:?}"), so);
    }

    pub(crate) fn at_most(&mut self, what: &str, found: usize, most: usize) {
        self.is(
            &format!("{what}: {found}, expected at most {most}"),
            found <= most,
        );
    }

    pub(crate) fn passed(&self) -> bool {
        println!("{} checks failed", self.failed);
        self.failed == 0
    }
}

/// The memory of this process over time, in bytes; nothing where the system does not tell.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    samples: Vec<u64>,
}

/// What allocators keep and give back as they please.
const SLACK: u64 = 8 * 1024 * 1024;

impl Memory {
    pub(crate) fn sample(&mut self) {
        self.samples.extend(resident());
    }

    /// Flat: the last quarter takes no more than the second, but for slack. In the first everything grows to its size.
    pub(crate) fn check(&self, checks: &mut Checks) {
        let quarter = self.samples.len() / 4;
        if quarter == 0 {
            println!("memory is not known here");
            return;
        }
        let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or_default();
        let second = most(&self.samples[quarter..2 * quarter]);
        let last = most(&self.samples[self.samples.len() - quarter..]);
        let what = format!(
            "memory: {:.1} MB in the last quarter, {:.1} MB in the second",
            last as f64 / 1e6,
            second as f64 / 1e6
        );
        checks.is(&what, last <= second + second / 20 + SLACK);
    }
}

/// Linux's `/proc`.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// How many files and sockets this process has open; none where the system does not tell.
pub(crate) fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
