//! The two tasks of a process: one writes what is for its standard input, one reads its standard
//! output, and what follows when it ends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentopia_mcp::stdio::Garbage;
use agentopia_mcp::{Envelope, Id, Limits, Line, LineReader, RpcError, ScanError, head};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::routes::{Delivery, Routed};
use super::{PROCESS_GONE, Process, ProcessConfig};
use crate::runtime::{ExitWatch, StdioSession};

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

/// Starts both tasks.
pub(super) fn start(
    process: &Arc<Process>,
    session: StdioSession,
    lines: mpsc::Receiver<Bytes>,
    config: ProcessConfig,
    ended: watch::Sender<Option<Arc<str>>>,
    stop: CancellationToken,
) {
    let writer = tokio::spawn(write(session.stdin, lines, stop.clone()));
    // Weak: a process that nobody holds any more is to be closed, not kept by its own reader.
    let reader = Reader {
        process: Arc::downgrade(process),
        exit: session.process.exit(),
        config,
        garbage: 0,
        stop: stop.clone(),
    };
    tokio::spawn(async move {
        let (mut config, process, mut exit, asked) = reader.run(session.stdout).await;
        stop.cancel();
        // When the writer is gone, the standard input is closed and no more requests get in: those
        // that did are answered now, before the process is formally gone, as clients wait.
        let _ = writer.await;
        let words = last_words(&config, asked, &mut exit).await;
        if let Some(process) = process.upgrade() {
            fail(process.routes.lock().drain(), &words);
        }
        session.process.close().await;
        tracing::debug!(instance = %config.instance, %words, "a tool's process ended");
        drop(config.permit.take());
        ended.send_replace(Some(words));
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
    process: Weak<Process>,
    exit: ExitWatch,
    config: ProcessConfig,
    garbage: u64,
    stop: CancellationToken,
}

impl Reader {
    /// Reads until the process ends or is to end. Whether it was asked to.
    async fn run(
        mut self,
        mut stdout: pipe::Receiver,
    ) -> (ProcessConfig, Weak<Process>, ExitWatch, bool) {
        let mut reader = LineReader::new(self.config.limits);
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
                return (self.config, self.process, self.exit, true);
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
            tracing::warn!(instance = %self.config.instance, lines = self.garbage, "a tool wrote lines to its standard output that are no MCP messages");
        }
        (self.config, self.process, self.exit, false)
    }

    async fn heard(&mut self, line: Line) {
        match line {
            Line::Message(message) => self.message(message).await,
            Line::Batch(messages) => {
                for message in messages {
                    self.message(message).await;
                }
            }
            Line::Garbage(garbage) => {
                if let Some(answer) = in_place_of(&garbage) {
                    return self.message(answer).await;
                }
                self.garbage += 1;
                if self.garbage <= GARBAGE_SHOWN {
                    // Nothing of the line itself: it may hold a secret, and this log is ours.
                    tracing::warn!(
                        instance = %self.config.instance, length = garbage.length, reason = %garbage.reason,
                        "dropped a line of a tool's standard output that is no MCP message"
                    );
                }
            }
        }
    }

    async fn message(&self, message: Envelope<Bytes>) {
        let Some(process) = self.process.upgrade() else {
            return;
        };
        let routed = process.routes.lock().route(message);
        let patience = self.config.client_patience;
        match routed {
            Routed::Deliver {
                to,
                request,
                delivery,
            } => {
                // A client that does not read holds its own process up, and for so long only.
                if timeout(patience, to.send(delivery)).await.is_err() {
                    tracing::warn!(instance = %self.config.instance, "gave up on a client that does not read its stream");
                    process.routes.lock().end(request);
                }
            }
            Routed::Publish(streams) => {
                for (client, stream, message) in streams {
                    if timeout(patience, stream.send(message)).await.is_err() {
                        process.routes.lock().drop_stream(client);
                    }
                }
            }
            Routed::Reply(line) => process.try_send(line),
            Routed::Kept => {}
            Routed::Dropped => {
                tracing::trace!(instance = %self.config.instance, "a message of a tool that nobody waits for was dropped");
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

/// Answers everything that is in flight.
fn fail(waiting: Vec<(Id, mpsc::Sender<Delivery>)>, words: &str) {
    for (id, to) in waiting {
        let message = RpcError::new(PROCESS_GONE, words).to_message(Some(&id));
        // A full queue means a client that does not read; its stream just ends.
        let _ = to.try_send(Delivery::Last(message.into()));
    }
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
            let log = config.runtime.last_stderr(config.instance, LAST_LINES);
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
