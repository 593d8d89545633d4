//! Shows what goes on while a command waits: a spinner with the steps behind it on a terminal,
//! plain lines elsewhere, nothing for programs or where quiet was asked for.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::output::{Output, clean};

/// What goes on.
#[derive(Debug)]
pub(crate) struct Progress {
    display: Display,
    began: Instant,
    step: Option<(String, Instant)>,
}

#[derive(Debug)]
enum Display {
    Spinner(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Shows nothing yet.
    pub(crate) fn new(out: Output) -> Self {
        let display = if !out.is_chatty() {
            Display::Nothing
        } else if io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
                bar.set_style(style.tick_chars("|/-\\ "));
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            Display::Spinner(bar)
        } else {
            Display::Lines
        };
        Self {
            display,
            began: Instant::now(),
            step: None,
        }
    }

    /// A step began, which ends the one before; the same step again is nothing new.
    pub(crate) fn step(&mut self, step: &str) {
        if matches!(self.display, Display::Nothing)
            || self.step.as_ref().is_some_and(|(now, _)| now == step)
        {
            return;
        }
        self.finish_step();
        match &self.display {
            Display::Spinner(bar) => bar.set_message(clean(step)),
            Display::Lines => {
                let gone = self.began.elapsed().as_secs_f64();
                // If standard error is closed there is nobody to tell.
                let _ = writeln!(io::stderr(), "  {gone:>6.1}s  {}", clean(step));
            }
            Display::Nothing => {}
        }
        self.step = Some((step.to_owned(), Instant::now()));
    }

    /// On a terminal a step is written down when it ends; elsewhere it was when it began.
    fn finish_step(&mut self) {
        if let (Some((step, since)), Display::Spinner(bar)) = (self.step.take(), &self.display) {
            let took = since.elapsed().as_secs_f64();
            bar.println(format!("  {}  {took:.1}s", clean(&step)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish_step();
        if let Display::Spinner(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}
