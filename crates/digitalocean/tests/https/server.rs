//! A server that replies from a script, byte by byte as it should not.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tracing_subscriber::fmt::MakeWriter;

/// What one request gets.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A whole answer; the connection stays.
    Answer(u16, String),
    /// The end of the connection.
    Close,
    /// Some bytes, then the end of the connection.
    Part(&'static str),
    /// The way to another server.
    Redirect(SocketAddr),
    /// A body without an end.
    Endless,
}

#[derive(Debug, Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    /// All that was received.
    text: Mutex<String>,
    requests: AtomicUsize,
    connections: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            replies: Mutex::new(replies.into_iter().collect()),
            ..State::default()
        });
        let served = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                served.connections.fetch_add(1, Ordering::SeqCst);
                let state = served.clone();
                // Ends with the connection, at the latest with the test.
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    /// An address on which nobody listens.
    pub(crate) async fn free_address() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn text(&self) -> String {
        self.state.text.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    while read_request(&mut stream, state).await? {
        state.requests.fetch_add(1, Ordering::SeqCst);
        let reply = state.replies.lock().unwrap().pop_front();
        match reply {
            None | Some(Reply::Close) => return Ok(()),
            Some(Reply::Part(text)) => {
                stream.write_all(text.as_bytes()).await?;
                return Ok(());
            }
            Some(Reply::Answer(status, body)) => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nx-test: yes\r\ncontent-length: {length}\r\n\r\n"
                );
                stream.write_all((head + &body).as_bytes()).await?;
            }
            Some(Reply::Redirect(to)) => {
                let head = format!(
                    "HTTP/1.1 307 X\r\nlocation: http://{to}/v2/account\r\ncontent-length: 0\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
            }
            Some(Reply::Endless) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                let chunk = vec![b' '; 1 << 20];
                loop {
                    stream.write_all(&chunk).await?;
                }
            }
        }
    }
    Ok(())
}

/// Head and body. False at the end of the connection.
async fn read_request(stream: &mut TcpStream, state: &State) -> io::Result<bool> {
    let mut received = Vec::new();
    let head = loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(false);
        }
    };
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0_usize);
    while received.len() < head + length {
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(false);
        }
    }
    let text = String::from_utf8_lossy(&received);
    state.text.lock().unwrap().push_str(&text);
    Ok(true)
}

/// Where a test's logs go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
