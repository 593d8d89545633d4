//! What stands behind droplets: machines that boot, enrol with the token from their user-data, and
//! are heard every few seconds, as the real management agent does. They talk to the real listener of
//! some living replica, without TLS: the certificate that they were given is shown as it stands. What
//! replicas ask of them is in [`commands`](crate::commands).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use agentopia_domain::EnvironmentId;
use agentopia_domain::observed::ObservedInstance;
use agentopia_domain::resources::Capacity;
use agentopia_dtma_api::to_control_plane::{
    BootstrapOutcome, BootstrapReport, Credentials, EnrolRequest, Heartbeat, HeartbeatReply,
    MachineFacts, path,
};
use agentopia_pki::listener::Peer;
use agentopia_pki::{MachineKey, PeerCertificate, machine_host};
use async_trait::async_trait;
use digitalocean_sim::DropletId;
use digitalocean_sim::machines::{
    Address, Limits, MachineError, MachinePlan, Machines, NoMachines, ShutdownOutcome,
};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::conductor::Party;
use crate::dice::Dice;
use crate::tools::Tools;
use crate::world::World;

/// How often a machine is heard.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How soon a machine asks again that got no answer.
const RETRY: Duration = Duration::from_secs(3);
/// How soon one asks again that was refused: a person may make it right.
const REFUSED: Duration = Duration::from_secs(30);
/// How long a tool takes from one step to the next, in milliseconds.
const STEP: (u64, u64) = (200, 6_000);
/// How long a machine waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The machines of a schedule.
#[derive(Debug)]
pub(crate) struct Guests {
    /// Addresses.
    plain: NoMachines,
    guests: Mutex<BTreeMap<u64, Guest>>,
    dice: Mutex<Dice>,
    /// From power to the management agent's first request, in milliseconds.
    boot: (u64, u64),
    /// How many of the next machines fail at their first start.
    bad_starts: Mutex<u32>,
    world: OnceLock<Weak<World>>,
}

#[derive(Debug, Clone)]
struct Guest {
    token: Option<SecretString>,
    address: IpAddr,
    /// What its user-data runs ends with a failure.
    starts_badly: bool,
    /// On its disk.
    identity: Arc<Mutex<Option<Identity>>>,
    /// On its disk as well.
    tools: Arc<Tools>,
    power: Option<Power>,
}

/// A machine that is on.
#[derive(Debug, Clone)]
struct Power {
    /// Ends what runs on it.
    off: CancellationToken,
    /// Whether its agent listens yet.
    serves: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
struct Identity {
    certificate: Arc<PeerCertificate>,
    bearer: SecretString,
}

/// What a machine proves itself with.
#[derive(Clone, Copy)]
enum Caller<'a> {
    Nobody,
    /// The one-time token.
    Invited(&'a SecretString),
    Enrolled(&'a Identity),
}

impl<'a> Caller<'a> {
    fn bearer(self) -> Option<&'a SecretString> {
        match self {
            Self::Nobody => None,
            Self::Invited(token) => Some(token),
            Self::Enrolled(identity) => Some(&identity.bearer),
        }
    }
}

/// Why a machine got nothing.
enum Unheard {
    /// Nobody answered.
    Silence,
    /// It was refused.
    Refused(u16),
}

impl Guests {
    pub(crate) fn new(dice: Dice, boot: (u64, u64), bad_starts: u32) -> Arc<Self> {
        Arc::new(Self {
            plain: NoMachines::default(),
            guests: Mutex::default(),
            dice: Mutex::new(dice),
            boot,
            bad_starts: Mutex::new(bad_starts),
            world: OnceLock::new(),
        })
    }

    /// Where machines find replicas. Once, before the first of them boots.
    pub(crate) fn inhabit(&self, world: &Arc<World>) {
        let _first = self.world.set(Arc::downgrade(world));
    }

    fn power_up(&self, droplet: DropletId) {
        let mut guests = self.guests.lock();
        let Some(guest) = guests.get_mut(&droplet.0) else {
            return;
        };
        if guest.power.is_some() {
            return;
        }
        let Some(world) = self.world.get().and_then(Weak::upgrade) else {
            return;
        };
        let power = Power {
            off: CancellationToken::new(),
            serves: Arc::default(),
        };
        guest.power = Some(power.clone());
        let (least, most) = self.boot;
        let boot = self.dice.lock().millis(least, most);
        let life = Life {
            droplet: droplet.0,
            guest: guest.clone(),
            serves: power.serves,
            world,
        };
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = power.off.cancelled() => {}
                () = life.live(boot) => {}
            }
        });
    }

    /// What a machine reports of its tools, while it is on.
    pub(crate) fn tools(&self, droplet: DropletId) -> Vec<ObservedInstance> {
        let guests = self.guests.lock();
        let guest = guests.get(&droplet.0);
        guest.map_or_else(Vec::new, |guest| guest.tools.all())
    }

    /// The tools of the machine at an address, if its agent listens there and is the environment's.
    pub(crate) fn serving(
        &self,
        address: IpAddr,
        environment: EnvironmentId,
    ) -> Option<Arc<Tools>> {
        let guests = self.guests.lock();
        let guest = guests.values().find(|guest| guest.address == address)?;
        let serves = &guest.power.as_ref()?.serves;
        let identity = guest.identity.lock();
        let names = &identity.as_ref()?.certificate.dns_names;
        let is_its = names.contains(&machine_host(environment));
        (is_its && serves.load(Ordering::Relaxed)).then(|| Arc::clone(&guest.tools))
    }

    fn some_pause(&self) -> Duration {
        let (least, most) = STEP;
        self.dice.lock().millis(least, most)
    }

    fn power_down(&self, droplet: DropletId) {
        if let Some(guest) = self.guests.lock().get_mut(&droplet.0)
            && let Some(power) = guest.power.take()
        {
            power.off.cancel();
        }
    }
}

#[async_trait]
impl Machines for Guests {
    async fn boot(&self, plan: &MachinePlan) -> Result<(), MachineError> {
        self.plain.boot(plan).await?;
        let address = self.plain.address(plan.droplet).await?;
        let starts_badly = {
            let mut left = self.bad_starts.lock();
            let before = *left;
            *left = before.saturating_sub(1);
            before > 0
        };
        let guest = Guest {
            token: plan.user_data.as_ref().and_then(token),
            address: IpAddr::V4(address.ip),
            starts_badly,
            identity: Arc::default(),
            tools: Arc::default(),
            power: None,
        };
        self.guests.lock().insert(plan.droplet.0, guest);
        self.power_up(plan.droplet);
        Ok(())
    }

    async fn power_off(&self, droplet: DropletId) -> Result<(), MachineError> {
        self.power_down(droplet);
        Ok(())
    }

    async fn shut_down(&self, droplet: DropletId) -> Result<ShutdownOutcome, MachineError> {
        self.power_down(droplet);
        Ok(ShutdownOutcome::Down)
    }

    async fn power_on(&self, droplet: DropletId) -> Result<(), MachineError> {
        self.power_up(droplet);
        Ok(())
    }

    async fn resize(&self, _: DropletId, _: Limits) -> Result<(), MachineError> {
        Ok(())
    }

    async fn destroy(&self, droplet: DropletId) -> Result<(), MachineError> {
        self.power_down(droplet);
        self.guests.lock().remove(&droplet.0);
        self.plain.destroy(droplet).await
    }

    async fn address(&self, droplet: DropletId) -> Result<Address, MachineError> {
        self.plain.address(droplet).await
    }

    async fn stopped(&self) -> DropletId {
        std::future::pending().await
    }
}

/// What runs on a machine while it is on.
struct Life {
    droplet: u64,
    guest: Guest,
    serves: Arc<AtomicBool>,
    world: Arc<World>,
}

impl Life {
    async fn live(self, boot: Duration) {
        sleep(boot).await;
        if self.guest.starts_badly {
            return self.report_failure().await;
        }
        let known = self.guest.identity.lock().clone();
        let identity = match known {
            Some(identity) => identity,
            None => self.enrol().await,
        };
        self.guest.tools.boot();
        self.serves.store(true, Ordering::Relaxed);
        tokio::join!(self.be_heard(&identity), self.work());
    }

    /// Brings its tools to what is wanted, for ever.
    async fn work(&self) {
        loop {
            sleep(self.world.guests.some_pause()).await;
            let changed = self.guest.tools.changed();
            if !self.guest.tools.step() {
                changed.await;
            }
        }
    }

    async fn be_heard(&self, identity: &Identity) {
        let mut silent = false;
        loop {
            match self.beat(identity).await {
                Ok(()) => {
                    if std::mem::take(&mut silent) {
                        self.say("is heard again");
                    }
                    sleep(HEARTBEAT).await;
                }
                Err(Unheard::Silence) => sleep(RETRY).await,
                Err(Unheard::Refused(status)) => {
                    if !std::mem::replace(&mut silent, true) {
                        self.say(&format!("is refused with {status}"));
                    }
                    sleep(REFUSED).await;
                }
            }
        }
    }

    /// Tells that its first start failed; nothing comes after that.
    async fn report_failure(&self) {
        let Some(token) = &self.guest.token else {
            return self.say("has no token in its user-data");
        };
        let report = BootstrapReport {
            phase: "docker".to_owned(),
            outcome: BootstrapOutcome::Failed,
            log: None,
        };
        loop {
            let told = self.call::<_, ()>(path::BOOTSTRAP, &report, Caller::Invited(token));
            match told.await {
                Ok(()) => return self.say("reported that its first start failed"),
                Err(Unheard::Silence) => sleep(RETRY).await,
                Err(Unheard::Refused(status)) => {
                    return self.say(&format!("may not report: {status}"));
                }
            }
        }
    }

    /// Redeems its token, and goes on trying for ever.
    async fn enrol(&self) -> Identity {
        let Some(token) = self.guest.token.clone() else {
            self.say("has no token in its user-data");
            return std::future::pending().await;
        };
        let request = MachineKey::generate().and_then(|key| key.csr_pem("machine"));
        let Ok(csr_pem) = request else {
            self.say("could not make a key");
            return std::future::pending().await;
        };
        let request = EnrolRequest {
            token,
            csr_pem,
            machine: self.facts(),
        };
        loop {
            match self
                .call::<_, Credentials>(path::ENROL, &request, Caller::Nobody)
                .await
            {
                Ok(credentials) => match identity(&credentials) {
                    Some(identity) => {
                        self.say("enrolled");
                        *self.guest.identity.lock() = Some(identity.clone());
                        return identity;
                    }
                    None => self.say("was given credentials that can't be read"),
                },
                Err(Unheard::Silence) => sleep(RETRY).await,
                Err(Unheard::Refused(status)) => {
                    self.say(&format!("may not enrol: {status}"));
                    sleep(REFUSED).await;
                }
            }
        }
    }

    async fn beat(&self, identity: &Identity) -> Result<(), Unheard> {
        let beat = Heartbeat {
            machine: self.facts(),
            instances: self.guest.tools.all(),
            samples: Vec::new(),
            update: None,
        };
        let call =
            self.call::<_, HeartbeatReply>(path::HEARTBEAT, &beat, Caller::Enrolled(identity));
        let reply = call.await?;
        if !reply.unknown_instances.is_empty() {
            self.say("is told of tools that nobody knows");
            self.guest.tools.remove(&reply.unknown_instances);
        }
        Ok(())
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &Q,
        caller: Caller<'_>,
    ) -> Result<A, Unheard> {
        let asked = self.ask(path, body, caller);
        timeout(PATIENCE, asked)
            .await
            .unwrap_or(Err(Unheard::Silence))
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &Q,
        caller: Caller<'_>,
    ) -> Result<A, Unheard> {
        self.world.travel().await;
        drop(
            (self.world.conductor.turn(Party::Guest(self.droplet)).await)
                .map_err(|_| Unheard::Silence)?,
        );
        let replica = self.world.some_listener().ok_or(Unheard::Silence)?;
        let body = serde_json::to_vec(body).map_err(|_| Unheard::Silence)?;
        let mut request = http::Request::post(path).header("content-type", "application/json");
        if let Some(bearer) = caller.bearer() {
            let bearer = format!("Bearer {}", bearer.expose_secret());
            request = request.header("authorization", bearer);
        }
        let peer = Peer {
            address: SocketAddr::new(self.guest.address, 40_000),
            certificate: match caller {
                Caller::Enrolled(identity) => Some(Arc::clone(&identity.certificate)),
                Caller::Nobody | Caller::Invited(_) => None,
            },
        };
        let request = request.extension(peer).body(axum::body::Body::from(body));
        let request = request.map_err(|_| Unheard::Silence)?;
        let (status, body) = replica.ask(request).await.ok_or(Unheard::Silence)?;
        self.world.travel().await;
        if self.world.loses_an_answer() {
            return Err(Unheard::Silence);
        }
        match status {
            204 => serde_json::from_str("null").map_err(|_| Unheard::Silence),
            200..=299 => serde_json::from_slice(&body).map_err(|_| Unheard::Silence),
            500.. => Err(Unheard::Silence),
            _ => Err(Unheard::Refused(status)),
        }
    }

    fn facts(&self) -> MachineFacts {
        MachineFacts {
            dtma_version: "0.0.0".to_owned(),
            dtma_sha256: None,
            boot_id: "boot".to_owned(),
            port: 30_000,
            machine_id: Some(self.droplet.to_string()),
            runtime: "docker".to_owned(),
            versions: BTreeMap::new(),
            capacity: Capacity::default(),
        }
    }

    fn say(&self, what: &str) {
        let who = Party::Guest(self.droplet);
        self.world.trace.say(format_args!("{who} {what}"));
    }
}

/// The enrolment token in user-data.
fn token(user_data: &SecretString) -> Option<SecretString> {
    let text = user_data.expose_secret();
    let start = text.find("enr_")?;
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    let token: String = text[start..].chars().take_while(|c| is_part(*c)).collect();
    Some(SecretString::from(token))
}

fn identity(credentials: &Credentials) -> Option<Identity> {
    let der = CertificateDer::from_pem_slice(credentials.certificate_pem.as_bytes()).ok()?;
    Some(Identity {
        certificate: Arc::new(PeerCertificate::parse(&der).ok()?),
        bearer: credentials.bearer.clone(),
    })
}
