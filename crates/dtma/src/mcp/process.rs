//! One process of a stdio server behind a pipe of the bridge: one task writes what is for its standard
//! input, one reads its standard output and does what follows when it ends. Who gets which message is
//! `agentopia-bridge`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentopia_bridge::{Ends, Incoming, Pipe, PipeConfig};
use agentopia_domain::InstanceId;
use agentopia_mcp::stdio::Garbage;
use agentopia_mcp::{Envelope, Id, Limits, Line, LineReader, RpcError, ScanError, head};
use bytes::{Bytes, BytesMut};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::runtime::{ExitWatch, Runtime, RuntimeError, StdioSession, StdioSpawner};

/// Read at once.
const CHUNK: usize = 16 << 10;
/// Lines written at once.
const BATCH: usize = 16;
/// After a process ended, something it left behind may hold its output open: what comes within
/// this time still counts.
const LAST_OUTPUT: Duration = Duration::from_millis(250);
/// Lines of stderr in an error.
const LAST_LINES: usize = 10;
/// Garbage lines that are logged, one by one, before only their number is.
const GARBAGE_SHOWN: u64 = 5;

/// What a process is made with.
#[derive(Debug)]
pub(super) struct ProcessConfig {
    pub(super) pipe: PipeConfig,
    pub(super) limits: Limits,
    /// For the last words of a process that ended.
    pub(super) runtime: Arc<dyn Runtime>,
    /// Whether processes with somebody's own secrets write to the same log: what they wrote is then told
    /// to nobody who may be another.
    pub(super) mixed: Arc<AtomicBool>,
    /// Given back when the process is gone.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// Starts a process, with these values in place of the instance's own.
pub(super) async fn open(
    spawner: &Arc<dyn StdioSpawner>,
    own: &BTreeMap<String, SecretString>,
    config: ProcessConfig,
) -> Result<Arc<Pipe>, RuntimeError> {
    let session = spawner.open_with(own).await?;
    let (pipe, ends) = Pipe::new(config.pipe);
    start(session, ends, config);
    Ok(pipe)
}

/// Starts both tasks.
fn start(session: StdioSession, ends: Ends, config: ProcessConfig) {
    let Ends {
        outgoing,
        incoming,
        ending,
        stop,
    } = ends;
    let writer = tokio::spawn(write(session.stdin, outgoing, stop.clone()));
    let reader = Reader {
        incoming,
        exit: session.process.exit(),
        instance: config.pipe.instance,
        limits: config.limits,
        garbage: 0,
        stop: stop.clone(),
    };
    tokio::spawn(async move {
        let (mut exit, asked) = reader.run(session.stdout).await;
        stop.cancel();
        // When the writer is gone, the standard input is closed and no more requests get in: those
        // that did are answered now, before the process is formally gone, as clients wait.
        let _ = writer.await;
        let words = last_words(&config, asked, &mut exit).await;
        ending.fail(&words);
        session.process.close().await;
        tracing::debug!(instance = %config.pipe.instance, %words, "a tool's process ended");
        drop(config.permit);
        ending.gone(words);
    });
}

async fn write(mut stdin: pipe::Sender, mut lines: mpsc::Receiver<Bytes>, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    let work = async {
        while lines.recv_many(&mut batch, BATCH).await > 0 {
            let written = match &batch[..] {
                [line] => stdin.write_all(line).await,
                lines => stdin.write_all(&lines.concat()).await,
            };
            batch.clear();
            if written.is_err() {
                // It closed its input; that it ends is for the reader to see.
                break;
            }
        }
    };
    tokio::select! {
        () = work => (),
        () = stop.cancelled() => (),
    }
}

struct Reader {
    incoming: Incoming,
    exit: ExitWatch,
    instance: InstanceId,
    limits: Limits,
    garbage: u64,
    stop: CancellationToken,
}

impl Reader {
    /// Reads until the process ends or is to end. Whether it was asked to.
    async fn run(mut self, mut stdout: pipe::Receiver) -> (ExitWatch, bool) {
        let mut reader = LineReader::new(self.limits);
        let mut chunk = BytesMut::new();
        let mut until = None;
        let stop = self.stop.clone();
        loop {
            chunk.reserve(CHUNK);
            let read = tokio::select! {
                read = stdout.read_buf(&mut chunk) => Some(read),
                () = stop.cancelled() => None,
                _ = ended(&mut self.exit), if until.is_none() => {
                    until = Some(Instant::now() + LAST_OUTPUT);
                    continue;
                }
                () = sleep_until(until) => break,
            };
            let Some(read) = read else {
                return (self.exit, true);
            };
            if !matches!(read, Ok(1..)) {
                break;
            }
            reader.push(chunk.split().freeze());
            while let Some(line) = reader.next_line() {
                self.heard(line).await;
            }
        }
        if let Some(line) = reader.finish() {
            self.heard(line).await;
        }
        if self.garbage > GARBAGE_SHOWN {
            tracing::warn!(instance = %self.instance, lines = self.garbage, "a tool wrote lines to its standard output that are no MCP messages");
        }
        (self.exit, false)
    }

    async fn heard(&mut self, line: Line) {
        match line {
            Line::Message(message) => self.incoming.message(message).await,
            Line::Batch(messages) => {
                for message in messages {
                    self.incoming.message(message).await;
                }
            }
            Line::Garbage(garbage) => {
                if let Some(answer) = in_place_of(&garbage) {
                    return self.incoming.message(answer).await;
                }
                self.garbage += 1;
                if self.garbage <= GARBAGE_SHOWN {
                    // Nothing of the line itself: it may hold a secret, and this log is ours.
                    tracing::warn!(
                        instance = %self.instance, length = garbage.length, reason = %garbage.reason,
                        "dropped a line of a tool's standard output that is no MCP message"
                    );
                }
            }
        }
    }
}

/// What a request is told whose answer is longer than we take; `None` if the line is something else.
fn in_place_of(garbage: &Garbage) -> Option<Envelope<Bytes>> {
    let ScanError::TooLarge { limit } = garbage.reason else {
        return None;
    };
    let number = garbage.start.get(head::id_span(&garbage.start)?)?;
    let number: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    let words = format!("the tool's answer is larger than {limit} bytes: ask it for less");
    let message = RpcError::internal(words).to_message(Some(&Id::from(number)));
    Envelope::scan(message.into(), &Limits::default()).ok()
}

/// Resolves when the process has ended.
async fn ended(exit: &mut ExitWatch) {
    // A watch that nobody feeds any more says the same.
    let _ = exit.wait_for(Option::is_some).await;
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// How a process ended, with the last lines of its stderr.
async fn last_words(config: &ProcessConfig, asked: bool, exit: &mut ExitWatch) -> Arc<str> {
    if asked {
        return "the session was closed".into();
    }
    // One that closed its output and lives on is ended after this.
    let info = match timeout(LAST_OUTPUT, exit.wait_for(Option::is_some)).await {
        Ok(Ok(info)) => info.clone(),
        _ => None,
    };
    let how = info.map_or_else(
        || "it closed its standard output".to_owned(),
        |info| info.to_string(),
    );
    // All processes of an instance write to one log.
    let lines = match config.mixed.load(Ordering::Relaxed) {
        true => Vec::new(),
        false => {
            let log = config.runtime.last_stderr(config.pipe.instance, LAST_LINES);
            log.await
        }
    };
    if lines.is_empty() {
        return format!("the tool's process is gone: {how}").into();
    }
    format!(
        "the tool's process is gone: {how}; the last lines it wrote to stderr: {}",
        lines.join("\n")
    )
    .into()
}
