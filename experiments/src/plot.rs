//! Line charts, as SVG. The text is left to whoever shows it, so that drawing needs no font.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// A chart of lines over one horizontal axis.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What runs to the right.
    pub x: String,
    /// What runs up.
    pub y: String,
    /// The lines, in the order of the legend.
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

/// Okabe and Ito's colours, which can be told apart by the colour-blind, and two more.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(120, 94, 240),
    RGBColor(150, 150, 150),
];

const WIDTH: u32 = 900;
const HEIGHT: u32 = 420;

/// Draws the charts one above the other, and answers the SVG's text.
///
/// # Errors
///
/// Where a chart has no point, and what the drawing library has to say.
pub fn svg(charts: &[Chart]) -> Result<String> {
    let mut text = String::new();
    {
        let height = HEIGHT * u32::try_from(charts.len().max(1))?;
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        for (chart, area) in charts
            .iter()
            .zip(root.split_evenly((charts.len().max(1), 1)))
        {
            draw(chart, &area)?;
        }
        root.present()?;
    }
    Ok(text)
}

fn draw(chart: &Chart, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<()> {
    let mut context = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            chart.span(|point| point.0)?,
            chart.span_from_zero(|point| point.1)?,
        )?;
    context
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .label_style(("sans-serif", 12))
        .draw()?;
    for (index, line) in chart.lines.iter().enumerate() {
        let style = COLOURS[index % COLOURS.len()].stroke_width(2);
        context
            .draw_series(LineSeries::new(line.points.iter().copied(), style))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    context
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 12))
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    Ok(())
}

impl Chart {
    fn span(&self, of: impl Fn(&(f64, f64)) -> f64) -> Result<Range<f64>> {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(&of);
        let least = values().reduce(f64::min);
        let most = values().reduce(f64::max);
        match (least, most) {
            (Some(least), Some(most)) if least.is_finite() && most.is_finite() => {
                Ok(least..if most > least { most } else { least + 1.0 })
            }
            _ => Err(anyhow!("chart {:?} has nothing to draw", self.title)),
        }
    }

    fn span_from_zero(&self, of: impl Fn(&(f64, f64)) -> f64) -> Result<Range<f64>> {
        let span = self.span(of)?;
        Ok(span.start.min(0.0)..span.end * 1.05)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "Title".into(),
            x: "x".into(),
            y: "y".into(),
            lines: vec![Line::new("line", points)],
        }
    }

    #[test]
    fn a_chart_names_its_lines() {
        let svg = svg(&[chart(vec![(0.0, 1.0), (1.0, 3.0)])]).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("Title") && svg.contains("line"));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(svg(&[chart(vec![])]).is_err());
        assert!(svg(&[chart(vec![(0.0, f64::NAN)])]).is_err());
    }
}
