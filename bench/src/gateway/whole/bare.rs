//! The bare pipe: the server's own program, spoken to on its standard streams by one thread that does nothing
//! else. Nothing that stands between a client and a stdio server can be faster.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use agentopia_test_support::binaries;
use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::load::{Run, micros};
use super::super::wire::{self, Era, Work};

/// The program, which speaks both stdio and HTTP.
pub(super) const SERVER: &str = "agentopia-echo";

/// A process of the server.
pub(super) struct Bare {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    line: Vec<u8>,
}

impl Bare {
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(binaries::static_build(SERVER)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let to = child.stdin.take().context("no stdin")?;
        let from = BufReader::with_capacity(64 << 10, child.stdout.take().context("no stdout")?);
        Ok(Self {
            child,
            to,
            from,
            line: Vec::new(),
        })
    }

    /// Opens the session that the process is.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        self.tell(&wire::initialize())?;
        self.hear()?;
        self.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
    }

    /// One call.
    pub(super) fn call(&mut self, payload: usize) -> anyhow::Result<()> {
        let work = Work {
            era: Era::Session,
            payload,
            concurrency: 1,
        };
        self.tell(&wire::call(work, wire::TOOL))?;
        self.hear()?;
        wire::check(&self.line, &wire::expected(payload))
    }

    /// As many calls at a time as `work` says, for so long.
    pub(super) fn run(&mut self, work: Work, span: Duration) -> anyhow::Result<Run> {
        let expected = wire::expected(work.payload);
        let mut call = wire::call(work, wire::TOOL);
        let mut lines = Vec::new();
        for id in 0..work.concurrency {
            call["id"] = json!(id);
            lines.push(format!("{call}\n").into_bytes());
        }
        let mut latencies = Vec::with_capacity(1 << 16);
        let began = Instant::now();
        let mut sent = Vec::new();
        for line in &lines {
            sent.push(Instant::now());
            self.to.write_all(line)?;
        }
        let mut open = lines.len();
        while open > 0 {
            self.hear()?;
            wire::check(&self.line, &expected)?;
            let id = id_of(&self.line).filter(|id| *id < lines.len());
            let id = id.with_context(|| format!("whose is {}", wire::shown(&self.line)))?;
            latencies.push(micros(sent[id].elapsed()));
            if began.elapsed() < span {
                sent[id] = Instant::now();
                self.to.write_all(&lines[id])?;
            } else {
                open -= 1;
            }
        }
        Ok(Run::new(began.elapsed(), latencies))
    }

    fn tell(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.to.write_all(format!("{message}\n").as_bytes())?)
    }

    fn hear(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        self.from.read_until(b'\n', &mut self.line)?;
        anyhow::ensure!(!self.line.is_empty(), "the server ended");
        Ok(())
    }

    /// Closes its input, upon which it ends.
    pub(super) fn end(self) -> anyhow::Result<()> {
        let Self {
            mut child,
            to,
            from,
            ..
        } = self;
        drop((to, from));
        child.wait()?;
        Ok(())
    }
}

/// The id of an answer: what follows the first `"id":`, as the server writes the text after it.
fn id_of(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = br#""id":"#;
    let at = memchr::memmem::find(line, NAME)? + NAME.len();
    let digits = line[at..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_id_is_found() {
        assert_eq!(id_of(br#"{"jsonrpc":"2.0","id":12,"result":{}}"#), Some(12));
        assert_eq!(id_of(br#"{"jsonrpc":"2.0"}"#), None);
    }
}
