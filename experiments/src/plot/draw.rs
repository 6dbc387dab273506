use std::error::Error;

use anyhow::{Result, anyhow};
use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::{
    coord::Shift,
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::Pos,
        text_anchor::{HPos, VPos},
    },
};

use super::{Chart, Line};
use crate::table::thousands;

/// Okabe and Ito's colours, which the colour-blind can tell apart: the cold ones are ours.
const OURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(120, 94, 240),
    RGBColor(0, 0, 0),
];
const THEIRS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(150, 150, 150),
    RGBColor(160, 120, 60),
    RGBColor(240, 210, 40),
];
const TEXT: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(110, 110, 110);
const GRID: RGBColor = RGBColor(228, 228, 228);

/// The width of the legend, to the right of the plot.
const LEGEND: i32 = 250;
/// The height of title and vertical axis' name, above the plot.
const HEAD: i32 = 56;

/// Draws all charts, every measure times `scale`.
pub(super) fn all<B>(charts: &[Chart], root: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
where
    B: DrawingBackend<ErrorType: Error + Send + Sync + 'static>,
{
    // An SVG names its fonts only; but where a text goes depends on how wide it is.
    register_font("sans-serif", FontStyle::Normal, UBUNTU_LIGHT)
        .map_err(|_| anyhow!("the font cannot be read"))?;
    root.fill(&WHITE)?;
    for (chart, area) in charts.iter().zip(root.split_evenly((charts.len(), 1))) {
        Pen { area, scale }.chart(chart)?;
    }
    root.present()?;
    Ok(())
}

struct Pen<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: u32,
}

impl<B> Pen<B>
where
    B: DrawingBackend<ErrorType: Error + Send + Sync + 'static>,
{
    fn chart(&self, chart: &Chart) -> Result<()> {
        let (width, _) = self.area.dim_in_pixel();
        let (head, rest) = self.area.split_vertically(self.px(HEAD));
        let (plot, legend) = rest.split_horizontally(width as i32 - self.px(LEGEND));
        self.text(&head, &chart.title, (16, 14), 19, TEXT)?;
        self.text(&head, &chart.y, (16, 38), 13, FAINT)?;
        self.plot(chart, &plot)?;
        self.legend(chart, &legend)
    }

    fn plot(&self, chart: &Chart, area: &DrawingArea<B, Shift>) -> Result<()> {
        let up = chart.up()?;
        let top = up.end;
        let label =
            |size, colour: &RGBColor| ("sans-serif", self.px(size)).into_font().color(colour);
        let mut context = ChartBuilder::on(area)
            .margin_left(self.px(6))
            .margin_right(self.px(14))
            .margin_bottom(self.px(6))
            .margin_top(self.px(6))
            .x_label_area_size(self.px(44))
            .y_label_area_size(self.px(58))
            .build_cartesian_2d(chart.across()?, up)?;
        context
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID.stroke_width(self.scale))
            .axis_style(FAINT.stroke_width(self.scale))
            .set_all_tick_mark_size(self.px(4))
            .x_desc(&chart.x)
            .x_labels(12)
            .y_labels(7)
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| number(*value))
            .label_style(label(12, &TEXT))
            .axis_desc_style(label(13, &FAINT))
            .draw()?;
        // The thinner ones over the stronger, or they would not be seen where both are the same.
        let (ours, theirs): (Vec<_>, Vec<_>) =
            self.styles(chart).partition(|(line, _)| line.is_ours());
        for (line, style) in ours.into_iter().chain(theirs) {
            for points in below(top, &line.points) {
                context.draw_series(LineSeries::new(points, style))?;
            }
        }
        Ok(())
    }

    fn legend(&self, chart: &Chart, area: &DrawingArea<B, Shift>) -> Result<()> {
        for (row, (line, style)) in self.styles(chart).enumerate() {
            let y = 14 + 21 * row as i32;
            let ends = [(2, y), (26, y)].map(|(x, y)| (self.px(x), self.px(y)));
            area.draw(&PathElement::new(ends, style))?;
            self.text(area, &line.name, (34, y - 5), 13, TEXT)?;
        }
        Ok(())
    }

    fn styles<'a>(&self, chart: &'a Chart) -> impl Iterator<Item = (&'a Line, ShapeStyle)> {
        let (mut ours, mut theirs) = (OURS.iter().cycle(), THEIRS.iter().cycle());
        let scale = self.scale;
        chart.lines.iter().filter_map(move |line| {
            let (colour, width) = match line.is_ours() {
                true => (ours.next()?, 3),
                false => (theirs.next()?, 2),
            };
            Some((line, colour.stroke_width(width * scale)))
        })
    }

    fn text(
        &self,
        area: &DrawingArea<B, Shift>,
        text: &str,
        (x, y): (i32, i32),
        size: i32,
        colour: RGBColor,
    ) -> Result<()> {
        let font = ("sans-serif", self.px(size)).into_font().color(&colour);
        let style = font.pos(Pos::new(HPos::Left, VPos::Top));
        area.draw(&Text::new(text.to_owned(), (self.px(x), self.px(y)), style))?;
        Ok(())
    }

    const fn px(&self, measure: i32) -> i32 {
        measure * self.scale as i32
    }
}

/// The parts of a line that are not above `top`.
fn below(top: f64, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut parts = vec![Vec::new()];
    let mut last: Option<(f64, f64)> = None;
    for point in points {
        let crossing = last
            .filter(|last| (last.1 > top) != (point.1 > top))
            .map(|last| {
                let share = (top - last.1) / (point.1 - last.1);
                (last.0 + share * (point.0 - last.0), top)
            });
        let leaves = point.1 > top;
        if let Some(part) = parts.last_mut() {
            part.extend(crossing);
            part.extend((!leaves).then_some(*point));
        }
        if leaves && crossing.is_some() {
            parts.push(Vec::new());
        }
        last = Some(*point);
    }
    parts
}

/// A number at an axis, with no more digits than it needs.
fn number(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        return thousands(value);
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_it_passes_the_top() {
        let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 3.0), (3.0, 1.0)];
        let parts = below(2.0, &points);
        assert_eq!(
            parts,
            [vec![(0.0, 1.0), (0.5, 2.0)], vec![(2.5, 2.0), (3.0, 1.0)]]
        );
        assert_eq!(below(3.0, &points), [points.to_vec()]);
        assert_eq!(below(0.5, &points), [Vec::new()]);
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.1, 0.25, 10.0, 999.5, 20_000.0].map(number);
        assert_eq!(numbers, ["0", "0.1", "0.25", "10", "999.5", "20,000"]);
    }
}
