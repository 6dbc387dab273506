//! What an experiment hands back: a page with its tables, and its plot.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{Table, plot};

/// The outcome of an experiment.
#[derive(Clone, Debug)]
pub struct Report {
    /// The experiment's name, which its files bear.
    pub name: &'static str,
    /// The page's title.
    pub title: &'static str,
    /// What is asked, and how it is set up.
    pub setup: String,
    /// Tables, each under a line that says what it is.
    pub tables: Vec<(String, Table)>,
    /// What is to be seen, where a baseline wins included.
    pub findings: String,
    /// What is drawn.
    pub charts: Vec<plot::Chart>,
    /// The seed that gives the same figures again.
    pub seed: u64,
}

/// Whether a goal is met, in a word.
pub(crate) const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

impl Report {
    /// The page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { name, title, .. } = self;
        let mut page = format!("# {title}\n\n{}\n", self.setup.trim());
        for (caption, table) in &self.tables {
            let _ = write!(page, "\n**{caption}**\n\n{table}");
        }
        if !self.charts.is_empty() {
            let _ = write!(page, "\n![{title}]({name}.svg)\n");
        }
        let _ = write!(
            page,
            "\n## What it shows\n\n{}\n\n## Run it\n\n```console\n$ cargo xtask experiment {name} --seed {}\n```\n\n\
             In simulated time: the same seed gives the same figures, to the last digit.\n",
            self.findings.trim(),
            self.seed,
        );
        page
    }

    /// Writes `NAME.md`, `NAME.svg` and `NAME.png`.
    ///
    /// # Errors
    ///
    /// Where a file cannot be written or a chart cannot be drawn.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let write = |extension: &str, content: &[u8]| {
            let path = folder.join(self.name).with_extension(extension);
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
        };
        write("md", self.markdown().as_bytes())?;
        if !self.charts.is_empty() {
            write("svg", plot::svg(&self.charts)?.as_bytes())?;
            write("png", &plot::png(&self.charts)?)?;
        }
        Ok(())
    }
}
