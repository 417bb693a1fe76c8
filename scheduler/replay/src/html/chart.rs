//! Line charts as inline SVG, computed in integers.

use super::markup::escape;

/// The picture, in its own units: ten make a pixel of a picture that is 720 wide.
const WIDTH: u64 = 7200;
const HEIGHT: u64 = 3200;
const LEFT: u64 = 560;
const RIGHT: u64 = 7100;
const TOP: u64 = 120;
const BOTTOM: u64 = 2720;

/// Lines between whole numbers of ticks.
const TICKS_WANTED: u64 = 7;

/// One line: points in hundredths of a percent, both ways.
#[derive(Debug)]
pub(super) struct Line {
    /// What it is, for whoever points at it.
    pub(super) label: String,
    /// CSS classes: colour and dash.
    pub(super) class: String,
    /// Points, left to right.
    pub(super) points: Vec<(u64, u64)>,
}

/// A chart of percents over percents.
#[derive(Debug)]
pub(super) struct Chart {
    /// For those who cannot see it.
    pub(super) title: String,
    /// From and to, in whole percents.
    pub(super) x: (u64, u64),
    /// From and to, in whole percents.
    pub(super) y: (u64, u64),
    /// Under the x axis.
    pub(super) x_label: &'static str,
    /// The lines.
    pub(super) lines: Vec<Line>,
}

impl Chart {
    pub(super) fn svg(&self) -> String {
        let lines = self.lines.iter().map(|line| self.line(line));
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" \
             data-x=\"{x0} {x1} {LEFT} {RIGHT}\" data-y=\"{y0} {y1} {BOTTOM} {TOP}\">\
             {grid}{lines}<text class=\"name\" x=\"{middle}\" y=\"3140\">{label}</text></svg>\n",
            title = escape(&self.title),
            x0 = self.x.0,
            x1 = self.x.1,
            y0 = self.y.0,
            y1 = self.y.1,
            grid = self.grid(),
            lines = lines.collect::<String>(),
            middle = LEFT.midpoint(RIGHT),
            label = self.x_label,
        )
    }

    fn line(&self, line: &Line) -> String {
        let inside = |(x, y): &&(u64, u64)| within(self.x, *x) && within(self.y, *y);
        let points = line.points.iter().filter(inside);
        let points: Vec<String> = points
            .map(|(x, y)| format!("{},{}", self.place_x(*x), self.place_y(*y)))
            .collect();
        format!(
            "<polyline class=\"line {}\" points=\"{}\"><title>{}</title></polyline>",
            line.class,
            points.join(" "),
            escape(&line.label)
        )
    }

    fn grid(&self) -> String {
        let columns = ticks(self.x).map(|tick| {
            let x = self.place_x(tick * 100);
            format!(
                "<path class=\"grid\" d=\"M{x} {TOP}V{BOTTOM}\"/><text x=\"{x}\" y=\"2890\">{tick} %</text>"
            )
        });
        let rows = ticks(self.y).map(|tick| {
            let y = self.place_y(tick * 100);
            format!(
                "<path class=\"grid\" d=\"M{LEFT} {y}H{RIGHT}\"/>\
                 <text class=\"left\" x=\"500\" y=\"{}\">{tick} %</text>",
                y + 40
            )
        });
        columns.chain(rows).collect()
    }

    fn place_x(&self, hundredths: u64) -> u64 {
        LEFT + part(self.x, hundredths, RIGHT - LEFT)
    }

    fn place_y(&self, hundredths: u64) -> u64 {
        BOTTOM - part(self.y, hundredths, BOTTOM - TOP)
    }
}

fn within(range: (u64, u64), hundredths: u64) -> bool {
    (range.0 * 100..=range.1 * 100).contains(&hundredths)
}

fn part(range: (u64, u64), hundredths: u64, length: u64) -> u64 {
    (hundredths - range.0 * 100) * length / ((range.1 - range.0) * 100)
}

/// Round numbers in a range, few enough to be read.
fn ticks((from, to): (u64, u64)) -> impl Iterator<Item = u64> {
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500];
    let few = |step: &&u64| (to - from) / **step <= TICKS_WANTED;
    let step = steps.iter().find(few).copied().unwrap_or(1000);
    (from.div_ceil(step)..=to / step).map(move |tick| tick * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_where_the_axes_end_and_what_is_outside_is_not_drawn() {
        let chart = Chart {
            title: "a <b>".to_owned(),
            x: (80, 130),
            y: (90, 100),
            x_label: "arrived",
            lines: vec![Line {
                label: "p".to_owned(),
                class: "c0".to_owned(),
                points: vec![
                    (7999, 9500),
                    (8000, 9000),
                    (10_500, 9500),
                    (13_000, 10_000),
                    (9000, 8999),
                ],
            }],
        };
        let svg = chart.svg();
        assert!(
            svg.contains("points=\"560,2720 3830,1420 7100,120\""),
            "{svg}"
        );
        assert!(svg.contains("a &lt;b&gt;"));
    }

    #[test]
    fn ticks_are_round_and_few() {
        let of = |range| ticks(range).collect::<Vec<u64>>();
        assert_eq!(of((80, 130)), [80, 90, 100, 110, 120, 130]);
        assert_eq!(of((0, 100)), [0, 20, 40, 60, 80, 100]);
        assert_eq!(of((93, 100)), [93, 94, 95, 96, 97, 98, 99, 100]);
    }
}
