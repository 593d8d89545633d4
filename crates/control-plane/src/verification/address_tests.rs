use agentopia_domain::verification::Outcome;
use agentopia_store::{DatabaseConfig, Store};
use agentopia_vault::{BuiltIn, Keyring};
use tokio::net::TcpListener;

use super::*;

async fn authority() -> Arc<Authority> {
    let ambient = Ambient::system();
    let dir = tempfile::tempdir().unwrap();
    let database = DatabaseConfig::sqlite(dir.path().join("x.db"));
    let store = Store::connect(&database, ambient.clone()).await.unwrap();
    store.migrate().await.unwrap();
    let vault = BuiltIn::new(Keyring::generate(&ambient), ambient.clone());
    Arc::new(Authority::open(&store, &vault, ambient).await.unwrap())
}

/// Serves machines of `authority`; where.
async fn listener_of(authority: &Authority) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let tls = authority.server_config().unwrap();
    let serving =
        agentopia_pki::listener::serve(socket, tls, axum::Router::new(), std::future::pending());
    tokio::spawn(serving);
    format!("https://localhost:{port}")
}

async fn look(authority: &Authority, url: &str) -> Check {
    let config = Config {
        dtma_advertise_url: Some(url.parse().unwrap()),
        ..Config::default()
    };
    check(&config, authority, &Ambient::system()).await
}

#[tokio::test]
async fn our_own_listener_is_known_by_its_certificate_and_nothing_else_passes() {
    let (ours, theirs) = (authority().await, authority().await);
    let (at, elsewhere) = (listener_of(&ours).await, listener_of(&theirs).await);
    let fine = look(&ours, &at).await;
    assert_eq!(fine.outcome, Outcome::Ok, "{}", fine.detail);
    assert!(
        fine.detail.contains("lasts 23 more hours"),
        "{}",
        fine.detail
    );

    let other = look(&ours, &elsewhere).await;
    assert_eq!(other.outcome, Outcome::Failed);
    assert!(
        other.detail.contains("this installation's certificate"),
        "{}",
        other.detail
    );

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("https://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let closed = look(&ours, &closed).await;
    assert_eq!(closed.outcome, Outcome::Failed);
    assert!(closed.detail.contains("dtma_listen"), "{}", closed.detail);

    let unknown = look(&ours, "https://no-such-name.invalid:8443").await;
    assert_eq!(unknown.outcome, Outcome::Failed);
    assert!(unknown.detail.contains("DNS record"), "{}", unknown.detail);
}
