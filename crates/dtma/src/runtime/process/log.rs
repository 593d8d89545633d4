//! What a tool writes to stderr (and an HTTP server to stdout): bounded in memory and on disk, for
//! tail and follow. A tool that floods it only pushes its own older lines out.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery, LogStream};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;

use crate::runtime::RuntimeError;

/// Longer lines are cut, so that one line can't fill the memory.
const LONGEST_LINE: usize = 8 << 10;
/// One of two files; the older one is dropped when the newer one has grown so far.
const FILE_BYTES: u64 = 4 << 20;
/// Lines of stderr kept for error messages.
const KEPT: usize = 64;
/// Lines that a slow follower may be behind before it loses some.
const FOLLOW_BACKLOG: usize = 256;
/// How long the end of what a process wrote is waited for after the process has ended.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// The most lines of a tail.
const MOST_LINES: usize = 10_000;

/// The log of one instance.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    ambient: Ambient,
    /// How many streams are being read.
    open: watch::Sender<usize>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    written: u64,
    stderr: VecDeque<String>,
    /// Dropped when the instance is removed, which ends the followers.
    followers: Option<broadcast::Sender<LogLine>>,
}

impl Log {
    /// Opens the log in `directory`, going on where an earlier one ended.
    pub(super) fn open(directory: &Path, ambient: Ambient) -> io::Result<Self> {
        let path = directory.join("log");
        let file = append(&path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path,
            ambient,
            open: watch::Sender::new(0),
            inner: Mutex::new(Inner {
                file,
                written,
                stderr: VecDeque::new(),
                followers: Some(broadcast::channel(FOLLOW_BACKLOG).0),
            }),
        })
    }

    /// Takes every line of `source` until it ends.
    pub(super) fn follow(
        self: &Arc<Self>,
        stream: LogStream,
        source: impl AsyncRead + Send + Unpin + 'static,
    ) {
        let log = Arc::clone(self);
        self.open.send_modify(|open| *open += 1);
        tokio::spawn(async move {
            let mut source = source;
            let mut lines = Lines::default();
            let mut chunk = vec![0; 4096];
            while let Ok(read @ 1..) = source.read(&mut chunk).await {
                lines.push(&chunk[..read], |line| log.take(stream, line));
            }
            lines.finish(|line| log.take(stream, line));
            log.open.send_modify(|open| *open -= 1);
        });
    }

    fn take(&self, stream: LogStream, line: &[u8]) {
        let line = LogLine {
            at: Some(self.ambient.now()),
            stream,
            line: String::from_utf8_lossy(line).into_owned(),
        };
        let mut inner = self.inner.lock();
        if stream == LogStream::Stderr {
            if inner.stderr.len() == KEPT {
                inner.stderr.pop_front();
            }
            inner.stderr.push_back(line.line.clone());
        }
        if let Err(error) = self.write(&mut inner, &line) {
            tracing::debug!(path = %self.path.display(), %error, "a log line was lost");
        }
        if let Some(followers) = &inner.followers {
            // Nobody follows: fine.
            let _ = followers.send(line);
        }
    }

    fn write(&self, inner: &mut Inner, line: &LogLine) -> io::Result<()> {
        let mut content = serde_json::to_vec(line)?;
        content.push(b'\n');
        if inner.written >= FILE_BYTES {
            std::fs::rename(&self.path, self.older())?;
            inner.file = append(&self.path)?;
            inner.written = 0;
        }
        inner.file.write_all(&content)?;
        inner.written += content.len() as u64;
        Ok(())
    }

    /// The last lines of stderr. What ended a moment ago may not have been read to its end: waits
    /// for that, though not for processes that go on.
    pub(super) async fn last_stderr(&self, lines: usize) -> Vec<String> {
        let mut open = self.open.subscribe();
        let all_read = open.wait_for(|open| *open == 0);
        // Too late is fine: then another process of the tool still runs.
        let _ = tokio::time::timeout(LAST_WORDS, all_read).await;
        let inner = self.inner.lock();
        let skip = inner.stderr.len().saturating_sub(lines);
        inner.stderr.iter().skip(skip).cloned().collect()
    }

    /// The last lines, and then, if asked, all that come.
    pub(super) fn read(
        &self,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, RuntimeError> {
        let wanted = (query.tail as usize).min(MOST_LINES);
        // Under the lock, so that no line is lost or doubled between tail and follow.
        let inner = self.inner.lock();
        let tail = self
            .tail(wanted)
            .map_err(|error| RuntimeError::io("reading the tool's log", &error))?;
        let followers = inner.followers.as_ref().filter(|_| query.follow);
        let coming = followers.map(|followers| {
            // A follower that is too slow misses lines; it can ask for a tail.
            BroadcastStream::new(followers.subscribe()).filter_map(|line| async { line.ok() })
        });
        let tail = stream::iter(tail);
        Ok(match coming {
            Some(coming) => tail.chain(coming).boxed(),
            None => tail.boxed(),
        })
    }

    fn tail(&self, wanted: usize) -> io::Result<VecDeque<LogLine>> {
        let mut lines = VecDeque::with_capacity(wanted.min(1024));
        if wanted == 0 {
            return Ok(lines);
        }
        for path in [self.older(), self.path.clone()] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for line in BufReader::new(file).lines() {
                // A line that a crash cut off is left out.
                let Ok(line) = serde_json::from_str(&line?) else {
                    continue;
                };
                if lines.len() == wanted {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        }
        Ok(lines)
    }

    /// The instance is gone: followers end.
    pub(super) fn end(&self) {
        self.inner.lock().followers = None;
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("1")
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ends) = match part.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (part, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line
                .extend_from_slice(&content[..content.len().min(room)]);
            if ends {
                each(self.line.strip_suffix(b"\r").unwrap_or(&self.line));
                self.line.clear();
            }
        }
    }

    fn finish(self, mut each: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            each(&self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn tail(log: &Log, tail: u32) -> Vec<String> {
        let lines = log
            .read(LogQuery {
                tail,
                follow: false,
            })
            .unwrap();
        lines.map(|line| line.line).collect().await
    }

    #[test]
    fn lines_are_cut_out_of_any_chunks_and_never_too_long() {
        let text = [
            b"one\r\n\ntwo".as_slice(),
            &[b'x'; 3 * LONGEST_LINE],
            b"\nlast",
        ]
        .concat();
        for size in [1, 2, 7, 4096] {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in text.chunks(size) {
                lines.push(chunk, |line| found.push(line.to_vec()));
            }
            lines.finish(|line| found.push(line.to_vec()));
            assert_eq!(found.len(), 4);
            assert_eq!(
                (&*found[0], &*found[1], &*found[3]),
                (&b"one"[..], &b""[..], &b"last"[..])
            );
            assert_eq!(found[2].len(), LONGEST_LINE);
        }
    }

    #[tokio::test]
    async fn a_flood_stays_bounded_and_the_tail_is_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::open(directory.path(), Ambient::system()).unwrap();
        let long = "x".repeat(LONGEST_LINE - 10);
        for number in 0..1500 {
            log.take(LogStream::Stderr, format!("{number} {long}").as_bytes());
        }
        let size: u64 = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(size <= 2 * FILE_BYTES + 2 * LONGEST_LINE as u64, "{size}");
        let lines = tail(&log, 3).await;
        assert_eq!(lines.len(), 3);
        assert!(lines[2].starts_with("1499 ") && lines[0].starts_with("1497 "));
        assert_eq!(log.last_stderr(2).await.len(), 2);
    }

    #[tokio::test]
    async fn last_words_that_are_still_on_their_way_are_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::open(directory.path(), Ambient::system()).unwrap());
        let (reader, mut writer) = tokio::io::duplex(64);
        log.follow(LogStream::Stderr, reader);
        let speaking = async move { writer.write_all(b"no database\n").await.unwrap() };
        let (words, ()) = tokio::join!(log.last_stderr(1), speaking);
        assert_eq!(words, ["no database"]);
    }

    #[tokio::test]
    async fn the_log_goes_on_after_a_restart_also_behind_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::open(directory.path(), Ambient::system()).unwrap();
        log.take(LogStream::Stderr, b"before");
        drop(log);
        let mut file = append(&directory.path().join("log")).unwrap();
        file.write_all(b"{\"at\":null,\"stre\n").unwrap();
        let log = Log::open(directory.path(), Ambient::system()).unwrap();
        log.take(LogStream::Stderr, b"after");
        assert_eq!(tail(&log, 10).await, ["before", "after"]);
        assert!(tail(&log, 0).await.is_empty());
    }

    #[tokio::test]
    async fn followers_get_each_line_once_and_end_with_the_instance() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::open(directory.path(), Ambient::system()).unwrap();
        log.take(LogStream::Stderr, b"one");
        let lines = log
            .read(LogQuery {
                tail: 10,
                follow: true,
            })
            .unwrap();
        log.take(LogStream::Stdout, b"two");
        log.end();
        let lines: Vec<_> = lines.map(|line| line.line).collect().await;
        assert_eq!(lines, ["one", "two"]);
    }
}
