//! The client against servers on loopback that are written byte by byte.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use agentopia_http1::{Client, Error, Settings, Tcp};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const SETTINGS: Settings = Settings {
    idle: Duration::from_secs(60),
    most_idle: 8,
};
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn client(settings: Settings) -> Client<Tcp> {
    let limit = Duration::from_secs(5);
    Client::new(Tcp { limit }, settings)
}

fn request() -> Request<Full<Bytes>> {
    let request = Request::post("/mcp").header("host", "server");
    request.body(Full::from("question")).unwrap()
}

/// Reads one request to its end.
async fn take(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"question") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "a request");
    }
}

async fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn one_connection_carries_request_after_request() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            take(&mut stream).await;
            stream.write_all(OK).await.unwrap();
        }
        listener
    });
    let client = client(SETTINGS);
    for _ in 0..3 {
        let answer = client.send(&address, request()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "ok");
    }
    server.await.unwrap();
}

#[tokio::test]
async fn requests_at_once_have_connections_of_their_own() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut one, _) = listener.accept().await.unwrap();
        let (mut two, _) = listener.accept().await.unwrap();
        for stream in [&mut one, &mut two] {
            take(stream).await;
            stream.write_all(OK).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let client = client(SETTINGS);
    let (one, two) = tokio::join!(
        client.send(&address, request()),
        client.send(&address, request())
    );
    for answer in [one, two] {
        let body = answer.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "ok");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_used_again() {
    let (listener, address) = listener().await;
    let (closed, was_closed) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        drop(stream);
        closed.send(()).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        std::future::pending::<()>().await;
    });
    let client = client(SETTINGS);
    let answer = client.send(&address, request()).await.unwrap();
    answer.into_body().collect().await.unwrap();
    was_closed.await.unwrap();
    let answer = client.send(&address, request()).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_may_have_been_read() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        take(&mut stream).await;
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        take(&mut stream).await;
        let begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf";
        stream.write_all(begun).await.unwrap();
    });
    let client = client(SETTINGS);
    let broken = client.send(&address, request()).await.unwrap_err();
    assert!(matches!(broken, Error::Broken(_)), "{broken}");
    let answer = client.send(&address, request()).await.unwrap();
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "half");
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn nobody_listens() {
    let (listener, address) = listener().await;
    drop(listener);
    let refused = client(SETTINGS).send(&address, request()).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Connect(_)), "{refused}");
}

#[tokio::test]
async fn whoever_no_longer_wants_an_answer_closes_its_connection() {
    let (listener, address) = listener().await;
    let client = client(SETTINGS);
    // While its head is waited for, and while its body is.
    for head in [b"".as_slice(), b"HTTP/1.1 200 OK\r\n\r\nbegun".as_slice()] {
        let sending = client.send(&address, request());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            take(&mut stream).await;
            stream.write_all(head).await.unwrap();
            stream
        };
        let mut stream = if head.is_empty() {
            tokio::select! { biased; stream = serving => stream, _ = sending => panic!("an answer") }
        } else {
            let (stream, answer) = tokio::join!(serving, sending);
            drop(answer.unwrap());
            stream
        };
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "closed");
    }
}

#[tokio::test]
async fn bodies_of_any_length_pass_both_ways() {
    const LENGTH: usize = 3 << 20;
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let mut got = stream.read(&mut head).await.unwrap();
        let end = head
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        got -= end;
        let mut buffer = vec![0; 64 << 10];
        while got < LENGTH {
            got += stream.read(&mut buffer).await.unwrap();
        }
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        for _ in 0..LENGTH / (64 << 10) {
            stream.write_all(b"10000\r\n").await.unwrap();
            stream.write_all(&buffer).await.unwrap();
            stream.write_all(b"\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    });
    let client = client(SETTINGS);
    let large = request().map(|_| Full::from(vec![b'x'; LENGTH]));
    let answer = client.send(&address, large).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), LENGTH);
    // On the same connection.
    let answer = client.send(&address, request()).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn idle_connections_are_closed_after_a_while() {
    let (listener, address) = listener().await;
    let idle = Duration::from_millis(50);
    let client = client(Settings { idle, ..SETTINGS });
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        stream
    };
    let (mut stream, answer) = tokio::join!(serving, client.send(&address, request()));
    answer.unwrap().into_body().collect().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "closed");
}

#[tokio::test]
async fn a_connection_that_is_gone_before_the_request_says_so() {
    let (ours, theirs) = tokio::io::duplex(1024);
    drop(theirs);
    let client = Client::new(Once(parking_lot::Mutex::new(Some(ours))), SETTINGS);
    let failed = client.send(&(), request()).await.unwrap_err();
    assert!(matches!(failed, Error::NotSent(_)), "{failed}");
}

/// Gives one connection, which is there already.
#[derive(Debug)]
struct Once(parking_lot::Mutex<Option<tokio::io::DuplexStream>>);

impl agentopia_http1::Connect for Once {
    type Target = ();
    type Io = tokio::io::DuplexStream;

    async fn connect(&self, _target: &()) -> std::io::Result<Self::Io> {
        let io = self.0.lock().take();
        io.ok_or_else(|| std::io::Error::other("there was only one"))
    }
}

#[tokio::test]
async fn no_more_connections_are_kept_than_wanted() {
    let (listener, address) = listener().await;
    let (counted, mut closed) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = counted.clone();
            tokio::spawn(async move {
                take(&mut stream).await;
                stream.write_all(OK).await.unwrap();
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                counted.send(()).unwrap();
            });
        }
    });
    let client = client(Settings {
        most_idle: 1,
        ..SETTINGS
    });
    let (one, two, three) = tokio::join!(
        client.send(&address, request()),
        client.send(&address, request()),
        client.send(&address, request())
    );
    for answer in [one, two, three] {
        answer.unwrap().into_body().collect().await.unwrap();
    }
    for _ in 0..2 {
        closed.recv().await.unwrap();
    }
    assert!(closed.try_recv().is_err(), "one is kept");
}

/// A server must not get to answer a request that it did not see yet: on a connection that several people
/// share that would be another one's.
#[tokio::test]
async fn what_a_server_says_unasked_is_nobodys_answer() {
    const UNASKED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let (listener, address) = listener().await;
    let (said, heard) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (telling, hearing) = (Arc::clone(&said), Arc::clone(&heard));
    let server = tokio::spawn(async move {
        let (mut together, _) = listener.accept().await.unwrap();
        take(&mut together).await;
        together.write_all(&[OK, UNASKED].concat()).await.unwrap();
        hearing.notified().await;
        telling.notify_one();
        let (mut later, _) = listener.accept().await.unwrap();
        take(&mut later).await;
        later.write_all(OK).await.unwrap();
        hearing.notified().await;
        later.write_all(UNASKED).await.unwrap();
        telling.notify_one();
        let (mut other, _) = listener.accept().await.unwrap();
        take(&mut other).await;
        other.write_all(OK).await.unwrap();
        telling.notify_one();
    });
    let client = client(SETTINGS);
    for _ in 0..3 {
        let answer = client.send(&address, request()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "ok");
        heard.notify_one();
        said.notified().await;
        // The runtime looks at its sockets.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.await.unwrap();
}
