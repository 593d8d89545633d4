//! The server against clients on loopback that are written byte by byte.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentopia_http1::server::{self, Body, Connections, Error, Settings};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const SETTINGS: Settings = Settings {
    head: Duration::from_secs(60),
    write: Duration::from_secs(40),
};

type Asked = Request<Body<DuplexStream>>;
type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A client's end of a connection, and what came of the server's.
struct Rig {
    client: DuplexStream,
    server: JoinHandle<Result<(), Error>>,
}

fn rig<S, F>(answer: S) -> Rig
where
    S: Fn(Asked) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let (client, io) = tokio::io::duplex(16 << 10);
    let closing = Connections::default().open();
    let server = tokio::spawn(server::serve(io, SETTINGS, closing, answer));
    Rig { client, server }
}

impl Rig {
    async fn says(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until what came ends with `end`.
    async fn hears(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let got = self.client.read_buf(&mut read).await.unwrap();
            assert_ne!(got, 0, "closed after {}", read.escape_ascii());
        }
        String::from_utf8(read).unwrap()
    }

    async fn hears_all(&mut self) -> String {
        let mut read = String::new();
        self.client.read_to_string(&mut read).await.unwrap();
        read
    }

    /// How the server's side ended.
    async fn ended(self) -> Result<(), Error> {
        self.server.await.unwrap()
    }
}

fn whole(text: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(text.into()).boxed_unsync())
}

/// A body that comes in pieces.
fn pieces(pieces: mpsc::UnboundedReceiver<Bytes>) -> Answer {
    let stream = futures::stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((Ok(http_body::Frame::data(piece)), pieces))
    });
    Response::new(StreamBody::new(stream).boxed_unsync())
}

/// Says what it was asked.
async fn echo(asked: Asked) -> Answer {
    let head = format!("{} {} ", asked.method(), asked.uri());
    match asked.into_body().collect().await {
        Ok(body) => whole([head.as_bytes(), &body.to_bytes()].concat()),
        Err(error) => whole(format!("broken: {error}")),
    }
}

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let mut rig = rig(echo);
    for n in 0..3 {
        rig.says(&format!(
            "POST /{n} HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi"
        ))
        .await;
        let said = rig.hears("hi").await;
        assert!(
            said.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 10\r\ndate: "),
            "{said}"
        );
        assert!(
            said.ends_with(&format!(" GMT\r\n\r\nPOST /{n} hi")),
            "{said}"
        );
    }
    drop(rig.client);
    assert!(rig.server.await.unwrap().is_ok());
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let mut rig = rig(echo);
    rig.says("POST /a HTTP/1.1\r\ncontent-length: 1\r\n\r\n1GET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await;
    let said = rig.hears_all().await;
    let at = |what: &str| said.find(what).unwrap();
    assert!(
        at("POST /a 1") < at("GET /b ") && at("GET /b ") < at("GET /c "),
        "{said}"
    );
    assert!(rig.ended().await.is_ok());
}

#[tokio::test]
async fn a_body_comes_however_it_is_cut() {
    let chunked =
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let plain = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nabcde";
    let mut rig = rig(echo);
    for text in [chunked, plain, chunked] {
        for byte in text.bytes() {
            rig.client.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        rig.hears("POST / abcde").await;
    }
}

#[tokio::test]
async fn who_expects_a_word_before_the_body_gets_it() {
    let mut rig = rig(echo);
    rig.says("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(rig.hears("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    rig.says("hi").await;
    rig.hears("POST / hi").await;
    // Nothing is wanted of a body that nobody reads.
    let mut rig = self::rig(|_| async { whole("no") });
    rig.says("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    let said = rig.hears_all().await;
    assert!(
        said.starts_with("HTTP/1.1 200 OK") && said.contains("connection: close"),
        "{said}"
    );
}

#[tokio::test]
async fn what_two_could_read_in_two_ways_is_refused_and_ends_the_connection() {
    for (head, status) in [
        ("content-length: 3\r\ntransfer-encoding: chunked", "400"),
        ("content-length: 3\r\ncontent-length: 4", "400"),
        ("content-length: +3", "400"),
        ("transfer-encoding: gzip, chunked", "400"),
        ("transfer-encoding : chunked", "400"),
        ("x: a\r\n b", "400"),
        ("x: \0", "400"),
    ] {
        let mut rig = rig(echo);
        rig.says(&format!(
            "POST /a HTTP/1.1\r\n{head}\r\n\r\nabcGET /smuggled HTTP/1.1\r\n\r\n"
        ))
        .await;
        let said = rig.hears_all().await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head:?}: {said}"
        );
        assert!(!said.contains("smuggled"), "{head:?}: {said}");
        drop(rig.client);
        assert!(
            matches!(rig.server.await.unwrap(), Err(Error::Request(_))),
            "{head:?}"
        );
    }
    let mut rig = rig(echo);
    rig.says(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101)))
        .await;
    assert!(rig.hears_all().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_chunk_that_is_none_is_an_error_of_its_body() {
    let mut rig = rig(echo);
    rig.says("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n")
        .await;
    let said = rig.hears("no number").await;
    assert!(
        said.contains("broken: ") && said.contains("connection: close"),
        "{said}"
    );
}

/// Counts how many of it were dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_takes_the_making_of_its_answer_with_it() {
    let dropped = Arc::<AtomicUsize>::default();
    let counted = dropped.clone();
    let mut rig = rig(move |_| {
        let guard = Dropped(counted.clone());
        async move {
            let _guard = guard;
            pending().await
        }
    });
    // With the beginning of another request behind it.
    rig.says("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nhiGET /next")
        .await;
    tokio::task::yield_now().await;
    drop(rig.client);
    assert!(matches!(rig.server.await.unwrap(), Err(Error::Gone)));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_a_stream() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = std::sync::Mutex::new(Some(receiver));
    let mut rig = rig(move |_| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        async { pieces(receiver) }
    });
    rig.says("GET / HTTP/1.1\r\n\r\n").await;
    sender.send("one".into()).unwrap();
    let said = rig.hears("3\r\none\r\n").await;
    assert!(said.contains("transfer-encoding: chunked"), "{said}");
    drop(rig.client);
    assert!(matches!(rig.server.await.unwrap(), Err(Error::Gone)));
    assert!(sender.is_closed());
}

#[tokio::test]
async fn pieces_go_out_as_they_come() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = std::sync::Mutex::new(Some(receiver));
    let mut rig = rig(move |_| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        async { pieces(receiver) }
    });
    rig.says("GET / HTTP/1.1\r\n\r\n").await;
    for piece in ["a", "bc", ""] {
        sender.send(Bytes::from(piece)).unwrap();
        if !piece.is_empty() {
            rig.hears(&format!("{:x}\r\n{piece}\r\n", piece.len()))
                .await;
        }
    }
    // A long one goes out as it is, and a slow reader gets all of it.
    let long = "x".repeat(300 << 10);
    sender.send(long.clone().into()).unwrap();
    drop(sender);
    let said = rig.hears("0\r\n\r\n").await;
    assert_eq!(said, format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()));
}

#[tokio::test]
async fn old_clients_and_heads_alone() {
    let mut rig = rig(echo);
    rig.says("HEAD /a HTTP/1.1\r\n\r\n").await;
    let said = rig.hears("\r\n\r\n").await;
    assert!(said.contains("content-length: 8"), "{said}");
    rig.says("GET /b HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        .await;
    let said = rig.hears("GET /b ").await;
    assert!(said.contains("connection: keep-alive"), "{said}");
    rig.says("GET /c HTTP/1.0\r\n\r\n").await;
    let said = rig.hears_all().await;
    assert!(
        said.contains("connection: close") && said.ends_with("GET /c "),
        "{said}"
    );
    // Chunks are newer than 1.0: the end of the connection is the end of the body.
    let mut rig = self::rig(|_| async {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send("piece".into()).unwrap();
        pieces(receiver)
    });
    rig.says("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        .await;
    let said = rig.hears_all().await;
    assert!(
        said.ends_with("\r\n\r\npiece") && !said.contains("chunked"),
        "{said}"
    );
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_length() {
    let mut rig = rig(|_| async {
        let mut answer = whole("");
        *answer.status_mut() = http::StatusCode::NO_CONTENT;
        answer
    });
    rig.says("DELETE / HTTP/1.1\r\n\r\n").await;
    let said = rig.hears("\r\n\r\n").await;
    assert!(
        said.starts_with("HTTP/1.1 204 No Content\r\ndate: "),
        "{said}"
    );
}

#[tokio::test]
async fn an_answer_to_what_was_not_read_arrives_all_the_same() {
    let mut rig = rig(|_| async { whole("too much") });
    let body = "x".repeat(1 << 20);
    rig.says("POST / HTTP/1.1\r\ncontent-length: 1048576\r\n\r\n")
        .await;
    let (mut read, mut write) = tokio::io::split(rig.client);
    let sending = async {
        // All that it sends is read over: a connection that broke here would take the answer with it.
        write.write_all(body.as_bytes()).await.unwrap();
        drop(write);
    };
    let mut said = String::new();
    let (read, ()) = tokio::join!(read.read_to_string(&mut said), sending);
    read.unwrap();
    assert!(
        said.contains("connection: close") && said.ends_with("too much"),
        "{said}"
    );
}

/// Under virtual time, which goes on when nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn whoever_dawdles_is_let_go() {
    let begun = Instant::now();
    let mut silent = rig(echo);
    assert_eq!(silent.hears_all().await, "");
    assert!(silent.ended().await.is_ok());
    assert_eq!(begun.elapsed().as_secs(), 60);

    let mut slow = rig(echo);
    slow.says("GET / HTTP/1.1\r\nx: ").await;
    assert!(slow.hears_all().await.starts_with("HTTP/1.1 408 "));
    assert!(matches!(slow.ended().await, Err(Error::TooSlow(_))));

    // After a request the time begins anew.
    let mut idle = rig(echo);
    tokio::time::sleep(Duration::from_secs(50)).await;
    idle.says("GET / HTTP/1.1\r\n\r\n").await;
    idle.hears("GET / ").await;
    let begun = Instant::now();
    assert_eq!(idle.hears_all().await, "");
    assert_eq!(begun.elapsed().as_secs(), 60);

    let begun = Instant::now();
    let mut deaf = rig(|_| async { whole("x".repeat(1 << 20)) });
    deaf.says("GET / HTTP/1.1\r\n\r\n").await;
    // It reads a little in between.
    tokio::time::sleep(Duration::from_secs(30)).await;
    deaf.client.read_exact(&mut [0; 4096]).await.unwrap();
    assert!(matches!(deaf.server.await.unwrap(), Err(Error::TooSlow(_))));
    assert_eq!(begun.elapsed().as_secs(), 70);
}

#[tokio::test]
async fn at_the_end_those_that_wait_close_and_the_others_answer_first() {
    let connections = Connections::default();
    let (allow, allowed) = tokio::sync::watch::channel(false);
    let serve = |io| {
        let allowed = allowed.clone();
        let answer = move |_| {
            let mut allowed = allowed.clone();
            async move {
                allowed.wait_for(|it| *it).await.unwrap();
                whole("done")
            }
        };
        tokio::spawn(server::serve(io, SETTINGS, connections.open(), answer))
    };
    let ((mut idle, io), (mut busy, other)) = (tokio::io::duplex(4096), tokio::io::duplex(4096));
    let (first, second) = (serve(io), serve(other));
    busy.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    tokio::task::yield_now().await;
    let closing = tokio::spawn({
        let connections = connections.clone();
        async move { connections.close().await }
    });
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "closed");
    first.await.unwrap().unwrap();
    assert!(!closing.is_finished());
    allow.send(true).unwrap();
    let mut said = String::new();
    busy.read_to_string(&mut said).await.unwrap();
    assert!(
        said.ends_with("done") && said.contains("connection: close"),
        "{said}"
    );
    second.await.unwrap().unwrap();
    closing.await.unwrap();
    assert!(connections.open().is_closing());
}

#[tokio::test]
async fn a_body_of_another_length_than_was_said_breaks_the_connection() {
    let mut rig = rig(|_| async {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send("longer than that".into()).unwrap();
        let mut answer = pieces(receiver);
        let length = http::HeaderValue::from_static("3");
        answer.headers_mut().insert("content-length", length);
        answer
    });
    rig.says("GET / HTTP/1.1\r\n\r\n").await;
    assert!(!rig.hears_all().await.contains("longer"));
    assert!(matches!(rig.server.await.unwrap(), Err(Error::Body(_))));
}
