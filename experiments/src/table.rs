//! Tables, in Markdown.

use std::fmt;

/// A table under construction: columns first, then rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows yet.
    pub fn new<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. What it is short of stays empty.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

/// In Markdown, its columns aligned so that the source can be read too.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                std::iter::once(&self.columns)
                    .chain(&self.rows)
                    .map(|row| cell(row, column).chars().count())
                    .max()
                    .unwrap_or_default()
                    .max(3)
            })
            .collect();
        let mut line = |row: &[String]| {
            for (column, &width) in widths.iter().enumerate() {
                let cell = cell(row, column);
                if column == 0 {
                    write!(f, "| {cell:<width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")
        };
        line(&self.columns)?;
        let rule: Vec<String> = (widths.iter().enumerate())
            .map(|(column, &width)| match column {
                0 => "-".repeat(width),
                _ => format!("{}:", "-".repeat(width - 1)),
            })
            .collect();
        line(&rule)?;
        self.rows.iter().try_for_each(|row| line(row))
    }
}

/// A whole number with thousands set apart.
#[must_use]
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number <= -0.5 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_short_rows_are_filled() {
        let mut table = Table::new(["who", "calls"]);
        table.row(["one"]);
        table.row(["another", "1,000"]);
        assert_eq!(
            table.to_string(),
            "| who     | calls |\n\
             | ------- | ----: |\n\
             | one     |       |\n\
             | another | 1,000 |\n"
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        let numbers = [0.0, 999.6, -1_234.0, 1_234_567.0].map(thousands);
        assert_eq!(numbers, ["0", "1,000", "-1,234", "1,234,567"]);
    }
}
