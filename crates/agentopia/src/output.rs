//! How results are written: tables and sentences for people, one JSON value for programs.
//!
//! Results go to standard output; notes and progress go to standard error, so that a pipe gets the
//! results alone.

mod table;
mod text;

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::Global;
use crate::failure::Failure;

pub(crate) use table::Table;
pub(crate) use text::{ago, bytes, clean, ending, fields, joined, optional, short};

/// For whom output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// Writes results and notes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    terminal: bool,
}

impl Output {
    /// As the command line says.
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            format: global.output,
            quiet: global.quiet,
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress and hints are wanted.
    pub(crate) fn is_chatty(self) -> bool {
        !self.quiet && !self.is_json()
    }

    /// The result: `value` as it is for programs, `text` for people.
    pub(crate) fn result<T: Serialize + ?Sized>(
        self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(value, true),
            Format::Text => self.line(&text()),
        }
    }

    /// One item of a stream: a JSON value a line for programs, a line for people.
    pub(crate) fn item<T: Serialize + ?Sized>(
        self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(value, false),
            Format::Text => self.line(&text()),
        }
    }

    fn json<T: Serialize + ?Sized>(self, value: &T, pretty: bool) -> Result<(), Failure> {
        // A pipe gets one line, which is what line-wise programs like.
        let text = if pretty && self.terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        let text = text.map_err(|error| Failure::other(error, "the result can't be written"))?;
        self.line(&text)
    }

    /// A line (or several) on standard output.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let mut text = text.to_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.raw(text.as_bytes())
    }

    /// Bytes on standard output.
    pub(crate) fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failure::ReaderGone,
                _ => Failure::other(error, "the result can't be written"),
            })
    }

    /// Text of a tool or a log: control characters could take over a terminal, and are left alone
    /// where a program or a file gets them.
    pub(crate) fn foreign(self, text: &str) -> String {
        if self.terminal {
            clean(text)
        } else {
            text.to_owned()
        }
    }

    /// A hint or remark for people, on standard error.
    pub(crate) fn note(self, text: &str) {
        if self.is_chatty() {
            self.warn(text);
        }
    }

    /// A remark that people have to see even if they want no chatter.
    pub(crate) fn warn(self, text: &str) {
        if !self.is_json() {
            // If standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}
