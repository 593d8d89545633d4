//! Answers that are read line by line as they come in: logs and live streams.

use reqwest::Response;
use serde::de::DeserializeOwned;
use url::Url;

use super::{ClientError, error};

/// The longest line that is taken, in bytes.
const MAX_LINE: usize = 4 << 20;

/// The lines of an answer.
#[derive(Debug)]
pub(super) struct ResponseLines {
    base: Url,
    response: Response,
    lines: Lines,
}

impl ResponseLines {
    /// Of an answer of the server at `base`.
    pub(super) fn new(base: &Url, response: Response) -> Self {
        Self {
            base: base.clone(),
            response,
            lines: Lines::default(),
        }
    }

    /// The next line without its end; `None` when the server ended the answer.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(line));
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

    /// What a line says.
    pub(super) fn read<T: DeserializeOwned>(&self, line: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(line).map_err(|source| ClientError::NotUnderstood {
            url: self.base.origin().ascii_serialization(),
            request_id: error::request_id(&self.response),
            source,
        })
    }
}

/// Cuts bytes that come in pieces into lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Up to here there is no line end.
    searched: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        // A line beyond all measure is cut rather than kept in memory.
        if self.buffer.len() + bytes.len() > MAX_LINE {
            self.buffer.clear();
            self.searched = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete line without its end.
    fn next(&mut self) -> Option<Vec<u8>> {
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
