//! Line charts, as SVG and as PNG.

mod draw;

use std::ops::Range;

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;

/// A chart of lines over one horizontal axis.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What runs to the right, with its unit.
    pub x: String,
    /// What runs up, with its unit.
    pub y: String,
    /// The top of the vertical axis, where one line would dwarf all others: lines end where they pass it.
    pub top: Option<f64>,
    /// The lines, in the order of the legend. Those whose names begin with [`OURS`] are drawn stronger.
    pub lines: Vec<Line>,
}

/// A line through points.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// How the names of this project's own clients begin.
pub const OURS: &str = "ours";

const WIDTH: u32 = 960;
const HEIGHT: u32 = 340;

/// Draws the charts one above the other, and answers the SVG's text.
///
/// # Errors
///
/// Where a chart has no point, and what the drawing library has to say.
pub fn svg(charts: &[Chart]) -> Result<String> {
    let mut text = String::new();
    let root = SVGBackend::with_string(&mut text, (WIDTH, height(charts)?)).into_drawing_area();
    draw::all(charts, &root, 1)?;
    drop(root);
    Ok(text)
}

/// Draws the same, twice as large, and answers the bytes of a PNG.
///
/// # Errors
///
/// Where a chart has no point, and what the drawing library has to say.
pub fn png(charts: &[Chart]) -> Result<Vec<u8>> {
    const SCALE: u32 = 2;
    let size = (SCALE * WIDTH, SCALE * height(charts)?);
    let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
    let root = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
    draw::all(charts, &root, SCALE)?;
    drop(root);

    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size.0, size.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}

fn height(charts: &[Chart]) -> Result<u32> {
    ensure!(!charts.is_empty(), "there is nothing to draw");
    Ok(HEIGHT * u32::try_from(charts.len())?)
}

impl Chart {
    fn across(&self) -> Result<Range<f64>> {
        let span = self.span(|point| point.0)?;
        Ok(if span.end > span.start {
            span
        } else {
            span.start..span.start + 1.0
        })
    }

    fn up(&self) -> Result<Range<f64>> {
        let span = self.span(|point| point.1)?;
        let end = self.top.unwrap_or(span.end * 1.05).min(span.end * 1.05);
        Ok(0.0..if end > 0.0 { end } else { 1.0 })
    }

    fn span(&self, of: impl Fn(&(f64, f64)) -> f64) -> Result<Range<f64>> {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(&of);
        let least = values().reduce(f64::min);
        let most = values().reduce(f64::max);
        match (least, most) {
            (Some(least), Some(most)) if least.is_finite() && most.is_finite() => Ok(least..most),
            _ => Err(anyhow!("chart {:?} has nothing to draw", self.title)),
        }
    }
}

impl Line {
    /// A named line.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points: points.into_iter().collect(),
        }
    }

    fn is_ours(&self) -> bool {
        self.name.starts_with(OURS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "Title".into(),
            x: "x".into(),
            y: "y".into(),
            top: None,
            lines: vec![Line::new("line", points)],
        }
    }

    #[test]
    fn a_chart_names_its_lines() {
        let charts = [chart(vec![(0.0, 1.0), (1.0, 3.0)])];
        let svg = svg(&charts).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("Title") && svg.contains("line"));
        assert!(png(&charts).unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(svg(&[]).is_err());
        assert!(svg(&[chart(vec![])]).is_err());
        assert!(svg(&[chart(vec![(0.0, f64::NAN)])]).is_err());
    }
}
