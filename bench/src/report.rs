//! What a bench found: records, written as a table or as one JSON object a line.

use std::borrow::Cow;
use std::io::Write as _;

use serde::Serialize;

/// One measured value. Its fields are those that `script/bench --json` promises.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Record {
    /// The bench, as it is called on the command line.
    pub(crate) bench: &'static str,
    /// What was measured.
    pub(crate) metric: Cow<'static, str>,
    /// How much.
    pub(crate) value: f64,
    /// Of what: `ms`, `x` (a ratio), `/s`, `MiB`, `KiB`.
    pub(crate) unit: &'static str,
    /// The most that it should be, or the least, where there is a target.
    pub(crate) target: Option<f64>,
    /// Whether it is; absent without a target.
    pub(crate) met: Option<bool>,
    /// How it was measured, and how it varied.
    pub(crate) detail: String,
    /// More is better.
    #[serde(skip)]
    pub(crate) is_least: bool,
}

impl Record {
    /// A value that should be at most `target`.
    pub(crate) fn at_most(self, target: f64) -> Self {
        Self {
            target: Some(target),
            met: Some(self.value <= target),
            ..self
        }
    }

    /// A value that should be at least `target`.
    pub(crate) fn at_least(self, target: f64) -> Self {
        Self {
            target: Some(target),
            met: Some(self.value >= target),
            is_least: true,
            ..self
        }
    }

    /// A value without a target.
    pub(crate) fn new(
        bench: &'static str,
        metric: impl Into<Cow<'static, str>>,
        value: f64,
        unit: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            bench,
            metric: metric.into(),
            value,
            unit,
            target: None,
            met: None,
            detail: detail.into(),
            is_least: false,
        }
    }
}

/// Writes records to standard output.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    /// Rows of the table, which is written at the end because its columns are as wide as needed.
    rows: Vec<[String; 6]>,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self {
            json,
            rows: Vec::new(),
        }
    }

    /// Takes what one bench found; as JSON it is written at once.
    pub(crate) fn add(&mut self, records: Vec<Record>) -> anyhow::Result<()> {
        for record in records {
            if self.json {
                let line = serde_json::to_string(&record)?;
                writeln!(std::io::stdout(), "{line}")?;
            } else {
                self.rows.push(row(&record));
            }
        }
        Ok(())
    }

    /// Writes the table.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        if !self.json {
            std::io::stdout().write_all(table(&self.rows).as_bytes())?;
        }
        Ok(())
    }
}

fn row(record: &Record) -> [String; 6] {
    [
        record.bench.to_owned(),
        record.metric.to_string(),
        format!("{:.2} {}", record.value, record.unit),
        match record.target {
            None => "-".to_owned(),
            Some(target) if record.is_least => format!(">= {target}"),
            Some(target) => format!("<= {target}"),
        },
        match record.met {
            None => "-",
            Some(true) => "met",
            Some(false) => "UNMET",
        }
        .to_owned(),
        record.detail.clone(),
    ]
}

fn table(rows: &[[String; 6]]) -> String {
    let head = ["bench", "metric", "value", "target", "met", "detail"].map(str::to_owned);
    let lines: Vec<&[String; 6]> = std::iter::once(&head).chain(rows).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].len())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: f64) -> Record {
        Record::new("deploy", "ratio", value, "x", "9 repeats")
    }

    #[test]
    fn a_target_is_met_up_to_its_very_value() {
        assert_eq!(record(1.3).at_most(1.3).met, Some(true));
        assert_eq!(record(1.31).at_most(1.3).met, Some(false));
        assert_eq!(record(0.9).at_least(0.9).met, Some(true));
        assert_eq!(record(0.89).at_least(0.9).met, Some(false));
        assert_eq!(record(9.0).met, None);
    }

    #[test]
    fn a_line_of_json_has_the_promised_fields_in_order() {
        let line = serde_json::to_string(&record(1.5).at_most(1.3)).unwrap();
        assert_eq!(
            line,
            r#"{"bench":"deploy","metric":"ratio","value":1.5,"unit":"x","target":1.3,"met":false,"detail":"9 repeats"}"#
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let text = table(&[row(&record(1.5).at_most(1.3)), row(&record(10.0))]);
        assert_eq!(
            text,
            "bench   metric  value    target  met    detail\n\
             deploy  ratio   1.50 x   <= 1.3  UNMET  9 repeats\n\
             deploy  ratio   10.00 x  -       -      9 repeats\n"
        );
    }
}
