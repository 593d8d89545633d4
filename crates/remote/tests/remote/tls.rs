//! Certificates: the right name by a trusted signer, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use agentopia_remote::{RemoteClient, RemoteError, RemotePolicy, RemoteUrl};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::rig::{Names, policy, url};

/// A server for `tools.example` and the certificate that signed its own.
async fn server() -> (u16, CertificateDer<'static>) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["tools.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = [0; 4096];
            let _read = stream.read(&mut head).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
            stream.write_all(answer).await.unwrap();
        }
    });
    (port, ca.der().clone())
}

fn client(policy: RemotePolicy) -> RemoteClient {
    let names = Names::answering(&[&["127.0.0.1"]]);
    RemoteClient::with_resolver(policy, Arc::new(names))
}

async fn get(client: &RemoteClient, url: &RemoteUrl) -> Result<bytes::Bytes, RemoteError> {
    let answer = client.get_bytes(url, 100, Duration::from_secs(5)).await;
    answer.map(http::Response::into_body)
}

#[tokio::test]
async fn only_the_right_name_by_a_trusted_signer_is_spoken_to() {
    let (port, ca) = server().await;
    let allowed = policy(&["127.0.0.1/32"]).trusting([ca]);
    let right = url(&format!("https://tools.example:{port}/"));
    assert_eq!(get(&client(allowed.clone()), &right).await.unwrap(), "fine");

    let other_name = url(&format!("https://other.example:{port}/"));
    let error = get(&client(allowed), &other_name).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable(_)), "{error:?}");
    assert!(error.to_string().contains("TLS failed"), "{error}");

    let (_, stranger) = server().await;
    let trusts_others = policy(&["127.0.0.1/32"]).trusting([stranger]);
    let error = get(&client(trusts_others), &right).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable(_)), "{error:?}");
}
