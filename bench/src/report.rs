//! What was measured, as a table for people and as JSON for programs.

use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// Which part of the benchmark it belongs to: `a` to `j`, or `bare` for the machine itself.
    pub part: &'static str,
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// The same figure as a ratio to one of the bare machine, from the same run.
    pub against: Option<Against>,
    /// What it should be.
    pub goal: Option<Goal>,
    /// Whether it is that.
    pub met: Option<bool>,
}

/// A ratio.
#[derive(Clone, Debug, Serialize)]
pub struct Against {
    /// Figure divided by baseline.
    pub ratio: f64,
    /// The baseline.
    pub baseline: String,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The value is at least this.
    AtLeast(f64),
    /// The value is below this.
    Below(f64),
    /// The ratio is at least this.
    RatioAtLeast(f64),
}

/// Everything that one run of the benchmark found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The machine and the programs: name and value.
    pub machine: Vec<(String, String)>,
    /// The figures.
    pub measures: Vec<Measure>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

impl Measure {
    /// A figure on its own.
    pub fn new(part: &'static str, name: impl Into<String>, value: f64, unit: &'static str) -> Measure {
        Measure { part, name: name.into(), value: round(value), unit, against: None, goal: None, met: None }
    }

    /// The same, compared with a figure of the bare machine.
    pub fn against(mut self, baseline: f64, name: &str) -> Measure {
        if baseline > 0.0 {
            self.against = Some(Against { ratio: round(self.value / baseline), baseline: name.to_owned() });
        }
        self
    }

    /// The same, with a goal.
    pub fn goal(mut self, goal: Goal) -> Measure {
        self.met = match goal {
            Goal::AtLeast(limit) => Some(self.value >= limit),
            Goal::Below(limit) => Some(self.value < limit),
            Goal::RatioAtLeast(limit) => self.against.as_ref().map(|against| against.ratio >= limit),
        };
        self.goal = Some(goal);
        self
    }
}

impl Report {
    /// The table. With `check` it says which goals were met.
    pub fn text(&self, check: bool) -> String {
        let machine =
            self.machine.iter().map(|(name, value)| [name.clone(), value.clone()]).collect::<Vec<_>>();
        let mut rows =
            vec![["", "measured", "value", "unit", "of the bare machine", "goal"].map(str::to_owned)];
        for measure in &self.measures {
            let against = measure.against.as_ref();
            rows.push([
                measure.part.to_owned(),
                measure.name.clone(),
                number(measure.value),
                measure.unit.to_owned(),
                against.map_or_else(String::new, |against| {
                    format!("{} x {}", number(against.ratio), against.baseline)
                }),
                goal(measure, check),
            ]);
        }
        let failures: String =
            self.failures.iter().map(|failure| format!("NOT MEASURED: {failure}\n")).collect();
        format!("{}\n{}{failures}", columns(&machine, &[]), columns(&rows, &[2]))
    }
}

fn goal(measure: &Measure, check: bool) -> String {
    let words = match measure.goal {
        None => return String::new(),
        Some(Goal::AtLeast(limit)) => format!("at least {}", number(limit)),
        Some(Goal::Below(limit)) => format!("below {}", number(limit)),
        Some(Goal::RatioAtLeast(limit)) => format!("at least {} x", number(limit)),
    };
    match measure.met {
        Some(true) if check => format!("{words}: met"),
        Some(false) if check => format!("{words}: MISSED"),
        Some(_) | None => words,
    }
}

/// Four digits are more than any of these measurements is good for.
fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

fn number(value: f64) -> String {
    if value >= 100.0 {
        return thousands(&format!("{value:.0}"));
    }
    if value >= 10.0 { format!("{value:.1}") } else { format!("{value:.2}") }
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Aligned columns; those in `right` to the right.
fn columns<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(12_345.678, "12,350")]
    #[test_case(1_234_567.0, "1,235,000")]
    #[test_case(999.0, "999")]
    #[test_case(99.94, "99.9")]
    #[test_case(0.754_999, "0.76")]
    #[test_case(0.0, "0.00")]
    fn numbers_are_short(value: f64, text: &str) {
        assert_eq!(number(round(value)), text);
    }

    #[test]
    fn goals_are_about_the_value_or_the_ratio() {
        let measure = || Measure::new("a", "rate", 80.0, "tasks/s").against(100.0, "xargs");
        assert_eq!(measure().goal(Goal::RatioAtLeast(0.75)).met, Some(true));
        assert_eq!(measure().goal(Goal::RatioAtLeast(0.85)).met, Some(false));
        assert_eq!(measure().goal(Goal::AtLeast(80.0)).met, Some(true));
        assert_eq!(measure().goal(Goal::Below(80.0)).met, Some(false));
        assert_eq!(Measure::new("a", "x", 1.0, "").goal(Goal::RatioAtLeast(1.0)).met, None);
    }

    #[test]
    fn the_verdict_is_shown_only_when_asked_for() {
        let measures = vec![Measure::new("b", "hop", 12.0, "ms").goal(Goal::Below(10.0))];
        let report = Report { measures, failures: vec!["c: no luck".to_owned()], ..Report::default() };
        assert!(report.text(true).contains("below 10.0: MISSED"));
        let plain = report.text(false);
        assert!(
            plain.contains("below 10.0")
                && !plain.contains("MISSED")
                && plain.contains("NOT MEASURED: c: no luck")
        );
    }
}
