//! An answer on its way out.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::closing::Closing;
use super::line::{Line, LineLock, Patience};
use super::{Content, Error, date};
use crate::encode::Encoder;
use crate::framing;
use crate::head;

/// What was asked, as far as the answer depends on it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) is_1_0: bool,
    /// Whether the connection may be used again.
    pub(super) keeps_alive: bool,
}

/// Headers about this hop: what the application says of them does not count.
const OF_HOP: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH];

/// Writes an answer as its body comes. Whether the connection can be used again.
pub(super) async fn write<I, B>(
    line: &LineLock<I>,
    response: Response<B>,
    asked: &Asked,
    closing: &Closing,
    limit: Duration,
    patience: &mut Patience,
) -> Result<bool, Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
    B: Content,
{
    let (parts, mut body) = response.into_parts();
    let (mut encoder, length) = encoder(parts.status, &parts.headers, &body, asked);
    let keeps_alive = {
        let line = &mut *line.lock();
        // A body that nobody read to its end is in the way of the next request.
        let keeps_alive = asked.keeps_alive
            && !line.is_reading
            && encoder != Encoder::UntilClose
            && !closing.is_closing();
        write_head(
            line,
            parts.status,
            &parts.headers,
            length,
            encoder,
            asked,
            keeps_alive,
        );
        keeps_alive
    };
    let mut is_over = encoder == Encoder::Nothing || body.is_end_stream();
    if is_over {
        encoder.end(&mut line.lock().outbox)?;
    }
    // How much was left when writing had to wait.
    let mut left = None;
    poll_fn(|cx| {
        loop {
            // First what there is, then one write of it all.
            let mut is_asleep = false;
            while !is_over && !is_asleep && !line.lock().outbox.is_full() {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Pending => is_asleep = true,
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(piece) = frame.into_data() {
                            encoder.piece(piece, &mut line.lock().outbox)?;
                        }
                        is_over = body.is_end_stream();
                    }
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Err(Error::Body(error.into())));
                    }
                    Poll::Ready(None) => is_over = true,
                }
                if is_over {
                    encoder.end(&mut line.lock().outbox)?;
                }
            }
            let line = &mut *line.lock();
            match line.poll_flush(cx) {
                Poll::Ready(Ok(())) if is_over => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if !is_asleep => {}
                Poll::Ready(Ok(())) => {
                    left = None;
                    return line.poll_gone(cx).map(Err);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    let still = Some(line.outbox.len());
                    if left != still {
                        left = still;
                        patience.begin(limit);
                    }
                    if patience.poll_over(cx).is_ready() {
                        return Poll::Ready(Err(Error::TooSlow("reading an answer")));
                    }
                    return line.poll_gone(cx).map(Err);
                }
            }
        }
    })
    .await?;
    Ok(keeps_alive)
}

/// How the body goes out, and the length that is told.
fn encoder<B: http_body::Body>(
    status: StatusCode,
    headers: &HeaderMap,
    body: &B,
    asked: &Asked,
) -> (Encoder, Option<u64>) {
    let exact = body.size_hint().exact();
    if !framing::may_have_body(status) {
        return (Encoder::Nothing, None);
    }
    let told = headers.get(CONTENT_LENGTH);
    let told = told.and_then(|value| value.to_str().ok()?.parse().ok());
    if asked.method == Method::HEAD {
        // The length of what `GET` would bring, if the application knows it.
        return (
            Encoder::Nothing,
            told.or(exact.filter(|length| *length > 0)),
        );
    }
    match exact.or(told) {
        Some(length) => (Encoder::Length(length), Some(length)),
        None if asked.is_1_0 => (Encoder::UntilClose, None),
        None => (Encoder::Chunked, None),
    }
}

fn write_head<I>(
    line: &mut Line<I>,
    status: StatusCode,
    headers: &HeaderMap,
    length: Option<u64>,
    encoder: Encoder,
    asked: &Asked,
    keeps_alive: bool,
) {
    line.outbox.write(|to| {
        head::write_status_line(to, status);
        head::write_headers(to, headers, &OF_HOP);
        if let Some(length) = length {
            head::write_number(to, "content-length", length);
        }
        if encoder == Encoder::Chunked {
            head::write_header(to, "transfer-encoding", b"chunked");
        }
        match (keeps_alive, asked.is_1_0) {
            (false, _) => head::write_header(to, "connection", b"close"),
            (true, true) => head::write_header(to, "connection", b"keep-alive"),
            (true, false) => {}
        }
        if !headers.contains_key(DATE) {
            date::with(|date| head::write_header(to, "date", date));
        }
        to.extend_from_slice(b"\r\n");
    });
}

/// Says that a request can't be answered, and why, by a status alone.
pub(super) async fn refuse<I>(
    line: &LineLock<I>,
    status: StatusCode,
    limit: Duration,
    patience: &mut Patience,
) -> Result<(), Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let asked = Asked {
        method: Method::GET,
        is_1_0: false,
        keeps_alive: false,
    };
    write_head(
        &mut line.lock(),
        status,
        &HeaderMap::new(),
        Some(0),
        Encoder::Length(0),
        &asked,
        false,
    );
    patience.begin(limit);
    poll_fn(|cx| {
        let written = line.lock().poll_flush(cx).map_err(Error::from);
        if written.is_pending() && patience.poll_over(cx).is_ready() {
            return Poll::Ready(Err(Error::TooSlow("reading an answer")));
        }
        written
    })
    .await?;
    // Whatever else the client is sending: it gets to read this.
    line.lock().is_reading = true;
    super::line::linger(line).await
}
