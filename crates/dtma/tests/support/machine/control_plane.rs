//! A stand-in for the control plane's machine side: `agentopia_dtma_api`'s contract, the real
//! certificate authority and TLS, and memory in place of a database.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agentopia_domain::token::{TokenKind, kind_of, mint};
use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use agentopia_dtma_api::problem::Problem;
use agentopia_dtma_api::to_control_plane::{
    Credentials, DtmaOffer, EnrolRequest, Heartbeat, HeartbeatReply, RenewRequest, SecretsReply,
    SecretsRequest, UpdateReport, path, renewal_message,
};
use agentopia_dtma_api::to_dtma::{DtmaClient, DtmaEndpoint};
use agentopia_pki::listener::Peer;
use agentopia_pki::tls::control_plane_server_config;
use agentopia_pki::{CertificateAuthority, MachineKey, listener, verify_signature};
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Answer = Result<Response, Refused>;

pub(crate) struct Refused(StatusCode, &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = Problem {
            status: self.0.as_u16(),
            code: self.1.to_owned(),
            title: "Refused".to_owned(),
            detail: "by the stand-in".to_owned(),
        };
        (self.0, Json(problem)).into_response()
    }
}

/// What it knows.
pub(crate) struct Records {
    /// Tokens, each with the public key that redeemed it.
    tokens: HashMap<String, Option<Vec<u8>>>,
    /// What the machine has now, and what it was offered and has not used yet.
    current: Option<Issued>,
    offered: Option<Issued>,
    pub(crate) locked: bool,
    pub(crate) lifetime: Duration,
    /// So many answers are lost after the work was done.
    pub(crate) lose_answers: u32,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) secrets_asked: Vec<SecretsRequest>,
    pub(crate) unknown: Vec<InstanceId>,
    pub(crate) heartbeats: Vec<Heartbeat>,
    pub(crate) renewals: u32,
    /// The DTMA that machines are to run, and what is served as it.
    pub(crate) offer: Option<DtmaOffer>,
    pub(crate) served: Vec<u8>,
    pub(crate) downloads: u32,
    pub(crate) updates: Vec<UpdateReport>,
    stored: Option<(String, u64)>,
}

#[derive(Clone)]
struct Issued {
    serial: String,
    public_key: Vec<u8>,
    bearer: String,
    counter: i64,
}

/// The stand-in.
pub(crate) struct ControlPlane {
    pub(crate) environment: EnvironmentId,
    pub(crate) address: SocketAddr,
    ambient: Ambient,
    authority: CertificateAuthority,
    certificate_pem: String,
    key: MachineKey,
    /// Our bearer token at the machine.
    bearer: SecretString,
    bearer_hash: String,
    records: Mutex<Records>,
    changed: watch::Sender<u64>,
}

/// It runs until this is dropped or stopped.
pub(crate) struct Serving {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Serving {
    /// Goes away, connections and all.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl ControlPlane {
    pub(crate) async fn start() -> (Arc<Self>, Serving) {
        let ambient = Ambient::system();
        let authority = CertificateAuthority::generate(&ambient).unwrap();
        let lifetime = Duration::from_secs(24 * 3600);
        let (issued, key) = authority.issue_control_plane(lifetime, &ambient).unwrap();
        let own = mint(TokenKind::Dtma, &ambient);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control_plane = Arc::new(Self {
            environment: ambient.new_id(),
            address: socket.local_addr().unwrap(),
            authority,
            certificate_pem: issued.certificate_pem,
            key,
            bearer: own.secret,
            bearer_hash: own.hash.to_hex(),
            records: Mutex::new(Records {
                tokens: HashMap::new(),
                current: None,
                offered: None,
                locked: false,
                lifetime: Duration::from_secs(3600),
                lose_answers: 0,
                secrets: BTreeMap::new(),
                secrets_asked: Vec::new(),
                unknown: Vec::new(),
                heartbeats: Vec::new(),
                renewals: 0,
                offer: None,
                served: Vec::new(),
                downloads: 0,
                updates: Vec::new(),
                stored: None,
            }),
            changed: watch::Sender::new(0),
            ambient,
        });
        let serving = control_plane.serve(socket);
        (control_plane, serving)
    }

    /// Comes back at the same address.
    pub(crate) async fn again(self: &Arc<Self>) -> Serving {
        loop {
            if let Ok(socket) = TcpListener::bind(self.address).await {
                return self.serve(socket);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn serve(self: &Arc<Self>, socket: TcpListener) -> Serving {
        let tls = control_plane_server_config(
            &self.certificate_pem,
            &self.key,
            self.authority.certificate_pem(),
        )
        .unwrap();
        let router = Router::new()
            .route(path::ENROL, post(enrol))
            .route(path::RENEW, post(renew))
            .route(path::HEARTBEAT, post(heartbeat))
            .route("/api/dtma/v1/instances/{id}/secrets", post(secrets))
            .route(&path::download("dtma"), get(download))
            .with_state(Arc::clone(self));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let (_keep, config) = watch::channel(tls);
        let task = tokio::spawn(listener::serve(socket, config, router, stopped));
        Serving { stop, task }
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.authority.fingerprint()
    }

    /// Writes a new one-time token into a file.
    pub(crate) fn token(&self, file: &Path) {
        let token = mint(TokenKind::Enrolment, &self.ambient);
        let text = token.secret.expose_secret().to_owned();
        std::fs::write(file, &text).unwrap();
        self.records().tokens.insert(text, None);
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap()
    }

    /// Waits until the records satisfy a condition.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        condition: impl FnMut(&Records) -> Option<T>,
    ) -> T {
        let limit = Duration::from_secs(40);
        let found = self.until_within(limit, condition).await;
        found.unwrap_or_else(|| panic!("the control plane waited in vain for {what}"))
    }

    /// The same, for so long at most.
    pub(crate) async fn until_within<T>(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&Records) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.changed.subscribe();
        let reached = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = condition(&self.records()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(limit, reached).await.ok()
    }

    /// Our client of the machine that listens on `port`.
    pub(crate) fn client(&self, port: u16) -> DtmaClient {
        self.client_with(port, &self.key, &self.certificate_pem, self.bearer.clone())
    }

    /// The same with credentials of somebody else's choice.
    pub(crate) fn client_with(
        &self,
        port: u16,
        key: &MachineKey,
        certificate_pem: &str,
        bearer: SecretString,
    ) -> DtmaClient {
        DtmaClient::new(DtmaEndpoint {
            environment: self.environment,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            certificate_pem,
            key,
            ca_pem: self.authority.certificate_pem(),
            bearer,
        })
        .unwrap()
    }

    /// Everything that a client of ours is made of, to leave one part out.
    pub(crate) fn own(&self) -> (&MachineKey, &str, SecretString) {
        (&self.key, &self.certificate_pem, self.bearer.clone())
    }

    pub(crate) fn ca_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// A certificate of our authority for a machine.
    pub(crate) fn machine_certificate(&self) -> (MachineKey, String) {
        let key = MachineKey::generate().unwrap();
        let csr = key.csr_pem("another machine").unwrap();
        let hour = Duration::from_secs(3600);
        let issued = self
            .authority
            .issue_machine(self.environment, &csr, hour, &self.ambient);
        (key, issued.unwrap().certificate_pem)
    }

    fn issue(&self, csr: &str, lifetime: Duration, counter: i64) -> (Issued, Credentials) {
        let issued = self
            .authority
            .issue_machine(self.environment, csr, lifetime, &self.ambient)
            .unwrap();
        let bearer = mint(TokenKind::Dtma, &self.ambient).secret;
        let record = Issued {
            serial: issued.serial_hex,
            public_key: issued.public_key,
            bearer: bearer.expose_secret().to_owned(),
            counter,
        };
        let credentials = Credentials {
            environment_id: self.environment,
            certificate_pem: issued.certificate_pem,
            ca_pem: self.authority.certificate_pem().to_owned(),
            bearer,
            control_plane_bearer_hash: self.bearer_hash.clone(),
            join_counter: counter,
            expires_at: issued.not_after,
            expires_in_seconds: lifetime.as_secs(),
        };
        (record, credentials)
    }

    fn answer(&self, credentials: &Credentials) -> Answer {
        self.changed.send_modify(|count| *count += 1);
        let mut records = self.records();
        if records.lose_answers > 0 {
            records.lose_answers -= 1;
            return Err(Refused(StatusCode::BAD_GATEWAY, "answer_lost"));
        }
        Ok(Json(credentials).into_response())
    }

    /// The caller's credentials: certificate and bearer of the same machine.
    fn caller(&self, peer: &Peer, headers: &HeaderMap) -> Result<(), Refused> {
        let unknown = || Refused(StatusCode::UNAUTHORIZED, "unauthenticated");
        let shown = peer.certificate.as_ref().ok_or_else(unknown)?;
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .ok_or_else(unknown)?;
        assert_eq!(kind_of(bearer), Some(TokenKind::Dtma));
        let mut records = self.records();
        if records.locked {
            return Err(Refused(StatusCode::FORBIDDEN, "credentials_locked"));
        }
        let is = |issued: &Option<Issued>| {
            issued
                .as_ref()
                .is_some_and(|it| it.serial == shown.serial_hex && it.bearer == bearer)
        };
        if is(&records.offered) {
            records.current = records.offered.take();
        }
        if is(&records.current) {
            Ok(())
        } else {
            Err(unknown())
        }
    }
}

async fn enrol(State(it): State<Arc<ControlPlane>>, Json(request): Json<EnrolRequest>) -> Answer {
    let refused = || Refused(StatusCode::FORBIDDEN, "enrolment_refused");
    let lifetime = it.records().lifetime;
    let (issued, credentials) = it.issue(&request.csr_pem, lifetime, 0);
    {
        let mut records = it.records();
        let redeemed = records.tokens.get_mut(request.token.expose_secret());
        let by = redeemed.ok_or_else(refused)?;
        match by {
            Some(key) if *key != issued.public_key => return Err(refused()),
            _ => *by = Some(issued.public_key.clone()),
        }
        records.current = Some(issued);
        records.offered = None;
    }
    it.answer(&credentials)
}

async fn renew(State(it): State<Arc<ControlPlane>>, Json(request): Json<RenewRequest>) -> Answer {
    let (lifetime, before) = {
        let records = it.records();
        if records.locked {
            return Err(Refused(StatusCode::FORBIDDEN, "credentials_locked"));
        }
        (records.lifetime, records.current.clone())
    };
    let before = before.ok_or(Refused(StatusCode::FORBIDDEN, "credentials_revoked"))?;
    let message = renewal_message(
        request.environment_id,
        request.join_counter,
        &request.csr_pem,
    );
    if request.environment_id != it.environment
        || !verify_signature(&before.public_key, &message, &request.signature)
    {
        return Err(Refused(StatusCode::FORBIDDEN, "credentials_revoked"));
    }
    if request.join_counter != before.counter {
        it.records().locked = true;
        return Err(Refused(StatusCode::FORBIDDEN, "credentials_locked"));
    }
    let (issued, credentials) = it.issue(&request.csr_pem, lifetime, before.counter + 1);
    {
        let mut records = it.records();
        records.renewals += 1;
        records.offered = Some(issued);
    }
    it.answer(&credentials)
}

async fn heartbeat(
    State(it): State<Arc<ControlPlane>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(beat): Json<Heartbeat>,
) -> Answer {
    it.caller(&peer, &headers)?;
    let reply = {
        let mut records = it.records();
        if let Some(last) = beat.samples.last() {
            records.stored = Some((beat.machine.boot_id.clone(), last.sequence));
        }
        let boot = beat.machine.boot_id.clone();
        let stored = records.stored.clone().filter(|(of, _)| *of == boot);
        let own = beat.machine.dtma_sha256.clone();
        let offer = records.offer.clone();
        let other = |offer: &DtmaOffer| own.is_some_and(|own| own != offer.dtma.sha256);
        if let Some(report) = &beat.update
            && records
                .updates
                .last()
                .is_none_or(|last| last.id != report.id)
        {
            records.updates.push(report.clone());
        }
        records.heartbeats.push(beat);
        HeartbeatReply {
            update: offer.filter(other),
            stored_up_to: stored.map(|(_, up_to)| up_to),
            interval_seconds: 1,
            unknown_instances: records.unknown.clone(),
        }
    };
    it.changed.send_modify(|count| *count += 1);
    Ok(Json(reply).into_response())
}

async fn download(
    State(it): State<Arc<ControlPlane>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer {
    it.caller(&peer, &headers)?;
    let mut records = it.records();
    records.downloads += 1;
    Ok(records.served.clone().into_response())
}

async fn secrets(
    State(it): State<Arc<ControlPlane>>,
    UrlPath(_): UrlPath<InstanceId>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(request): Json<SecretsRequest>,
) -> Answer {
    it.caller(&peer, &headers)?;
    let mut records = it.records();
    records.secrets_asked.push(request);
    let env = records
        .secrets
        .iter()
        .map(|(name, value)| (name.clone(), SecretString::from(value.clone())))
        .collect();
    Ok(Json(SecretsReply {
        env,
        registry: None,
    })
    .into_response())
}
