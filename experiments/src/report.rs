//! What an experiment hands back: a page with its tables, and its plot.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{Table, plot};

/// The longest line of a page's text.
const WIDTH: usize = 118;

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

/// Paragraphs and list items in lines of equal length, whatever figures were put into them.
fn reflow(text: &str) -> String {
    let mut blocks: Vec<String> = Vec::new();
    for line in text.trim().lines() {
        match blocks.last_mut() {
            Some(block) if !(block.is_empty() || line.is_empty() || line.starts_with("- ")) => {
                block.push(' ');
                block.push_str(line.trim());
            }
            _ => blocks.push(line.to_owned()),
        }
    }
    let fill = |block: &String| {
        let indent = if block.starts_with("- ") { "  " } else { "" };
        textwrap::fill(
            block,
            textwrap::Options::new(WIDTH).subsequent_indent(indent),
        )
    };
    blocks.iter().map(fill).collect::<Vec<_>>().join("\n")
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
        let mut page = format!("# {title}\n\n{}\n", reflow(&self.setup));
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
            reflow(&self.findings),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_reflowed() {
        let text = "One\nparagraph.\n\n- An\n  item.\n- Another.\n";
        assert_eq!(reflow(text), "One paragraph.\n\n- An item.\n- Another.");
        let long = format!("- {}", "word ".repeat(40));
        let lines: Vec<String> = reflow(&long).lines().map(str::to_owned).collect();
        assert!(lines.len() == 2 && lines[0].len() <= WIDTH && lines[1].starts_with("  word"));
    }
}
