//! A TLS server with a certificate that nobody vouches for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

#[derive(Debug)]
pub(crate) struct SelfSigned {
    address: SocketAddr,
    begun: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for SelfSigned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SelfSigned {
    pub(crate) async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, done) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (began, ended) = (begun.clone(), done.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                began.fetch_add(1, Ordering::SeqCst);
                if acceptor.accept(stream).await.is_ok() {
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self {
            address,
            begun,
            done,
            task,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many handshakes were begun, and how many came about.
    pub(crate) fn handshakes(&self) -> (usize, usize) {
        (
            self.begun.load(Ordering::SeqCst),
            self.done.load(Ordering::SeqCst),
        )
    }
}
