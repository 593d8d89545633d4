//! The log of an instance: what its servers write to stderr (and HTTP servers to stdout), as the
//! engine keeps it.

use std::collections::VecDeque;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery, LogStream};
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::{DockerRuntime, engine, names};
use crate::runtime::RuntimeError;

/// The most lines of the past that are given.
const MOST_LINES: u32 = 10_000;
/// How often a follower looks whether a container that ended has been started again.
const LOOK: Duration = Duration::from_millis(500);
/// How often and at what distance last words are looked for; most tools that fail have some.
const LAST_WORDS_LOOKS: u32 = 3;
const LAST_WORDS_LOOK: Duration = Duration::from_millis(80);
/// Looks without a container and without a network after which the instance counts as removed.
const GONE_AFTER: u32 = 2;

impl DockerRuntime {
    pub(super) async fn open_logs(
        &self,
        id: InstanceId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, RuntimeError> {
        if self.container(id).await?.is_none() && !query.follow {
            return Ok(futures::stream::empty().boxed());
        }
        // Nothing of the past, but everything from this moment on, however late the reader comes.
        let from = (query.follow && query.tail == 0).then(|| self.context.ambient.now());
        Ok(follow(self.docker.clone(), id, query, from).boxed())
    }

    /// The last lines of stderr. The engine writes them down a moment after they were said: where
    /// there are none yet, looks again for a while.
    pub(super) async fn last_stderr_lines(&self, id: InstanceId, lines: usize) -> Vec<String> {
        for _ in 0..LAST_WORDS_LOOKS {
            let said = self.stderr_lines(id, lines).await;
            if !said.is_empty() {
                return said;
            }
            tokio::time::sleep(LAST_WORDS_LOOK).await;
        }
        self.stderr_lines(id, lines).await
    }

    async fn stderr_lines(&self, id: InstanceId, lines: usize) -> Vec<String> {
        let options = LogsOptions {
            stderr: true,
            stdout: false,
            timestamps: false,
            tail: lines.to_string(),
            ..LogsOptions::default()
        };
        let name = names::object(id);
        let mut output = std::pin::pin!(self.docker.logs(&name, Some(options)));
        let mut kept = VecDeque::new();
        while let Some(Ok(chunk)) = output.next().await {
            for line in text_lines(&chunk.into_bytes()) {
                if kept.len() == lines {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        }
        kept.into()
    }
}

/// Lines of the past, then, with `follow`, lines as they come: over restarts of the container,
/// until container and network are gone.
fn follow(
    docker: Docker,
    id: InstanceId,
    query: LogQuery,
    from: Option<DateTime<Utc>>,
) -> impl futures::Stream<Item = LogLine> {
    async_stream::stream! {
        let name = names::object(id);
        let mut tail = match from {
            Some(_) => "all".to_owned(),
            None => query.tail.min(MOST_LINES).to_string(),
        };
        let mut last = from;
        let mut missing = 0;
        loop {
            let options = LogsOptions {
                stderr: true,
                stdout: true,
                timestamps: true,
                follow: query.follow,
                // Whole seconds are what the engine takes; lines seen before are dropped below.
                since: last.and_then(|at| i32::try_from(at.timestamp()).ok()).unwrap_or(0),
                tail: tail.clone(),
                ..LogsOptions::default()
            };
            {
                let mut output = std::pin::pin!(docker.logs(&name, Some(options)));
                while let Some(Ok(chunk)) = output.next().await {
                    for line in log_lines(chunk) {
                        if line.at.is_some() && line.at <= last {
                            continue;
                        }
                        last = line.at.max(last);
                        yield line;
                    }
                }
            }
            if !query.follow {
                break;
            }
            "all".clone_into(&mut tail);
            // Until it runs again, or is removed for good.
            loop {
                tokio::time::sleep(LOOK).await;
                match is_there(&docker, &name).await {
                    There::Running => { missing = 0; break; }
                    There::Stopped => missing = 0,
                    There::Gone => missing += 1,
                }
                if missing >= GONE_AFTER {
                    return;
                }
            }
        }
    }
}

enum There {
    Running,
    Stopped,
    Gone,
}

async fn is_there(docker: &Docker, name: &str) -> There {
    let container = docker.inspect_container(name, None).await;
    match container {
        Ok(container) if container.state.as_ref().and_then(|state| state.running) == Some(true) => {
            There::Running
        }
        Ok(_) => There::Stopped,
        // The network stays from the first preparation to the removal.
        Err(error) if engine::status(&error) == Some(404) => {
            match docker.inspect_network(name, None).await {
                Err(error) if engine::status(&error) == Some(404) => There::Gone,
                _ => There::Stopped,
            }
        }
        Err(_) => There::Stopped,
    }
}

fn text_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .map(|line| line.trim_end_matches('\r').to_owned())
        .collect()
}

fn log_lines(chunk: LogOutput) -> Vec<LogLine> {
    let stream = match chunk {
        LogOutput::StdErr { .. } => LogStream::Stderr,
        _ => LogStream::Stdout,
    };
    text_lines(&chunk.into_bytes())
        .into_iter()
        .map(|line| log_line(stream, line))
        .collect()
}

/// The engine puts the time and a space before each line.
fn log_line(stream: LogStream, line: String) -> LogLine {
    let dated = line.split_once(' ').unwrap_or((&line, ""));
    match DateTime::parse_from_rfc3339(dated.0) {
        Ok(at) => LogLine {
            at: Some(at.to_utc()),
            stream,
            line: dated.1.to_owned(),
        },
        Err(_) => LogLine {
            at: None,
            stream,
            line,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_their_time_and_stream() {
        let message =
            b"2026-11-21T08:00:00.123456789Z listening on 1\n2026-11-21T08:00:01Z \n".to_vec();
        let lines = log_lines(LogOutput::StdErr {
            message: message.into(),
        });
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].line, "listening on 1");
        assert_eq!(lines[0].stream, LogStream::Stderr);
        assert!(lines[0].at.is_some() && lines[0].at < lines[1].at);
        assert_eq!(lines[1].line, "");
    }

    #[test]
    fn what_has_no_time_is_kept_whole() {
        let line = log_line(LogStream::Stdout, "no time here".into());
        assert_eq!((line.at, line.line.as_str()), (None, "no time here"));
    }
}
