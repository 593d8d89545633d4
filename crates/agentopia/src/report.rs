//! Everything that a look at the installation or at one tool found, for people and for programs.

use agentopia_domain::verification::{Check, Outcome};
use serde::Serialize;

use crate::output::clean;

/// See the module's header.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Whether nothing failed.
    ok: bool,
    failed: usize,
    warnings: usize,
    checks: Vec<Check>,
}

impl Report {
    pub(crate) fn add(&mut self, check: Check) {
        match check.outcome {
            Outcome::Failed => self.failed += 1,
            Outcome::Warning => self.warnings += 1,
            Outcome::Ok | Outcome::Skipped => {}
        }
        self.checks.push(check);
        self.ok = self.failed == 0;
    }

    pub(crate) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        for check in checks {
            self.add(check);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// A line for each, then how many of which there are.
    pub(crate) fn text(&self) -> String {
        let mut lines: Vec<String> = self.checks.iter().map(line).collect();
        let count = |outcome| {
            let same = self.checks.iter().filter(|check| check.outcome == outcome);
            format!("{} {}", same.count(), word(outcome))
        };
        let counts = [
            Outcome::Ok,
            Outcome::Warning,
            Outcome::Failed,
            Outcome::Skipped,
        ]
        .map(count);
        lines.push(format!("\n{}", counts.join(", ")));
        lines.join("\n")
    }
}

fn line(check: &Check) -> String {
    let subject = check
        .subject
        .as_deref()
        .map(|subject| format!(" {subject}"));
    let text = format!(
        "{:<8} {}{}: {}",
        word(check.outcome),
        check.name,
        subject.unwrap_or_default(),
        check.detail
    );
    // A line is a line, whatever a provider or a machine said.
    clean(&text.replace('\n', " "))
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warning",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_one_failure_is_enough() {
        let mut report = Report::default();
        report.add(Check::ok("a.b", "fine"));
        report.add(Check::warning("c", "look\nat \u{1b}it"));
        assert!(!report.has_failed());
        report.add(Check::failed("machine", "away").of("env-1"));
        assert!(report.has_failed());
        assert_eq!(
            report.text(),
            "ok       a.b: fine\nwarning  c: look at \u{fffd}it\nfailed   machine env-1: away\n\n\
             1 ok, 1 warning, 1 failed, 0 skipped"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!((&json["failed"], &json["warnings"]), (&1.into(), &1.into()));
        assert_eq!(json["checks"][2]["subject"], "env-1");
    }
}
