//! Instances of tools, their logs, and calling them by hand.

use std::time::Duration;

use agentopia_api::instance::{
    CallRequest, CallResponse, DeployRequest, Instance, LogLine, ToolList, UpdateInstanceRequest,
};
use agentopia_domain::InstanceId;
use reqwest::{Method, Response};
use url::Url;

use super::{Client, ClientError, error, read};

/// The server ends a call by hand itself; this only keeps a dead connection from hanging for ever.
const CALL_TIMEOUT: Duration = Duration::from_secs(3600);
/// The longest line of a log that is taken.
const MAX_LINE: usize = 4 << 20;

impl Client {
    /// Deploys a tool.
    pub(crate) async fn deploy(&self, request: &DeployRequest) -> Result<Instance, ClientError> {
        self.change(Method::POST, &["instances"], request).await
    }

    /// The instances; removed ones only if asked for.
    pub(crate) async fn instances(&self, with_removed: bool) -> Result<Vec<Instance>, ClientError> {
        let query = [("include_removed", "true".to_owned())];
        let query = if with_removed { &query[..] } else { &[] };
        self.list(&["instances"], query, None).await
    }

    /// One instance.
    pub(crate) async fn instance(&self, id: InstanceId) -> Result<Instance, ClientError> {
        self.get(&["instances", &id.to_string()], &[]).await
    }

    /// `start`, `stop` or `restart`.
    pub(crate) async fn instance_action(
        &self,
        id: InstanceId,
        action: &'static str,
    ) -> Result<Instance, ClientError> {
        self.post(&["instances", &id.to_string(), action]).await
    }

    /// Changes name, configuration or secrets.
    pub(crate) async fn update_instance(
        &self,
        id: InstanceId,
        request: &UpdateInstanceRequest,
    ) -> Result<Instance, ClientError> {
        self.change(Method::PATCH, &["instances", &id.to_string()], request)
            .await
    }

    /// Takes it away.
    pub(crate) async fn remove_instance(
        &self,
        id: InstanceId,
        purge_data: bool,
    ) -> Result<Instance, ClientError> {
        let request = self
            .http
            .delete(self.url(&["instances", &id.to_string()]))
            .query(&[("purge_data", purge_data)])
            .timeout(super::ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    /// The tools that it offers.
    pub(crate) async fn instance_tools(&self, id: InstanceId) -> Result<ToolList, ClientError> {
        self.get(&["instances", &id.to_string(), "tools"], &[])
            .await
    }

    /// Calls one of them.
    pub(crate) async fn call(
        &self,
        id: InstanceId,
        request: &CallRequest,
    ) -> Result<CallResponse, ClientError> {
        let request = self
            .http
            .post(self.url(&["instances", &id.to_string(), "call"]))
            .json(request)
            .timeout(CALL_TIMEOUT);
        read(self.send(request).await?).await
    }

    /// Its log: the last `tail` lines, and what comes if it is followed.
    pub(crate) async fn logs(
        &self,
        id: InstanceId,
        tail: u32,
        follow: bool,
    ) -> Result<LogReader, ClientError> {
        let request = self
            .http
            .get(self.url(&["instances", &id.to_string(), "logs"]))
            .query(&[("tail", tail.to_string()), ("follow", follow.to_string())]);
        let response = self.send(request).await?;
        Ok(LogReader {
            base: self.base.clone(),
            lines: Lines::default(),
            response,
        })
    }
}

/// Reads a log line by line.
#[derive(Debug)]
pub(crate) struct LogReader {
    base: Url,
    lines: Lines,
    response: Response,
}

impl LogReader {
    /// The next line; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<LogLine>, ClientError> {
        loop {
            if let Some(line) = self.lines.next() {
                if line.is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line).map(Some).map_err(|source| {
                    ClientError::NotUnderstood {
                        url: self.base.origin().ascii_serialization(),
                        request_id: error::request_id(&self.response),
                        source,
                    }
                });
            }
            let chunk = self
                .response
                .chunk()
                .await
                .map_err(|error| ClientError::from_transport(&self.base, error))?;
            match chunk {
                Some(chunk) => self.lines.push(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Cuts bytes that come in pieces into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Up to here there is no line end.
    searched: usize,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // A line beyond all measure is cut rather than kept in memory.
        if self.buffer.len() + bytes.len() > MAX_LINE {
            self.buffer.clear();
            self.searched = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete line without its end.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let Some(offset) = self.buffer[self.searched..]
            .iter()
            .position(|b| *b == b'\n')
        else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + offset;
        let rest = self.buffer.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.buffer, rest);
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_come_in() {
        let text = b"one\r\ntwo\n\nthree";
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut got = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece);
                while let Some(line) = lines.next() {
                    got.push(String::from_utf8(line).unwrap());
                }
            }
            assert_eq!(got, ["one", "two", ""], "pieces of {size}");
        }
    }
}
