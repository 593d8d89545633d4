//! The metadata service: tells a machine who it is and what it is to do first, by the address that it asks
//! from. Paths and forms are those of DigitalOcean's metadata API; cloud-init's datasource reads
//! `/metadata/v1.json`.
//!
//! As there, every process of a machine is answered, containers included: to close that is the machine's
//! own business.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use parking_lot::RwLock;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::machines::{Address, MachinePlan};

/// What is told to whom. All clones are one.
#[derive(Clone, Default)]
pub(super) struct Metadata(Arc<RwLock<HashMap<Ipv4Addr, Value>>>);

/// User-data may hold an enrolment token.
impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.read().keys()).finish()
    }
}

impl Metadata {
    /// From now on the machine at this address is told this. Before, it was answered 404, which its
    /// cloud-init takes for "not yet".
    pub(super) fn publish(&self, address: Ipv4Addr, document: Value) {
        self.0.write().insert(address, document);
    }

    /// From now on it is told nothing.
    pub(super) fn withdraw(&self, address: Ipv4Addr) {
        self.0.write().remove(&address);
    }

    pub(super) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }
}

async fn answer(
    State(metadata): State<Metadata>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    uri: Uri,
) -> Response {
    let IpAddr::V4(address) = caller.ip() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let document = metadata.0.read().get(&address).cloned();
    let found = document.and_then(|document| read(&document, uri.path()));
    tracing::debug!(%address, path = uri.path(), found = found.is_some(), "metadata");
    match found {
        Some((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => (StatusCode::NOT_FOUND, "not found").into_response(),
    }
}

/// Everything about a machine, in the form of `/metadata/v1.json`.
pub(super) fn document(plan: &MachinePlan, address: Address, mac: &str) -> Value {
    let user_data = plan.user_data.as_ref().map(ExposeSecret::expose_secret);
    json!({
        "droplet_id": plan.droplet,
        "hostname": plan.name,
        "vendor_data": "",
        "user_data": user_data.unwrap_or_default(),
        "public_keys": plan.ssh_keys,
        "region": plan.region,
        "interfaces": {
            "public": [{
                "ipv4": {
                    "ip_address": address.ip,
                    "netmask": address.netmask,
                    "gateway": address.gateway,
                },
                "mac": mac,
                "type": "public",
            }],
        },
        "floating_ip": {"ipv4": {"active": false}},
        "dns": {"nameservers": []},
        "features": {"dhcp_enabled": false},
    })
}

/// What stands at a path: the whole as JSON, one value as text, or the names of those below it.
fn read(document: &Value, path: &str) -> Option<(&'static str, String)> {
    if path == "/metadata/v1.json" {
        return Some(("application/json", document.to_string()));
    }
    let below = path.strip_prefix("/metadata/v1")?;
    let segments = below.split('/').filter(|segment| !segment.is_empty());
    let found = segments
        .enumerate()
        .try_fold(document, |at, (depth, segment)| {
            let name = match (depth, segment) {
                (0, "id") => "droplet_id".to_owned(),
                (_, "address") => "ip_address".to_owned(),
                _ => segment.replace('-', "_"),
            };
            match at {
                Value::Array(list) => list.get(name.parse::<usize>().ok()?),
                other => other.get(name),
            }
        })?;
    Some(("text/plain", text(found)))
}

fn text(value: &Value) -> String {
    let names = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join("\n");
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => names(&mut fields.iter().map(|(name, value)| {
            let name = match name.as_str() {
                "droplet_id" => "id",
                "ip_address" => "address",
                name => name,
            };
            let slash = if value.is_object() || value.is_array() {
                "/"
            } else {
                ""
            };
            format!("{}{slash}", name.replace('_', "-"))
        })),
        Value::Array(list) if list.iter().any(Value::is_object) => {
            names(&mut (0..list.len()).map(|index| format!("{index}/")))
        }
        Value::Array(list) => names(&mut list.iter().map(text)),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use secrecy::SecretString;
    use tower::ServiceExt as _;

    use super::*;
    use crate::machines::Limits;
    use crate::state::DropletId;

    fn plan(droplet: u64) -> MachinePlan {
        MachinePlan {
            droplet: DropletId(droplet),
            name: format!("machine-{droplet}"),
            region: "fra1".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            limits: Limits {
                vcpus: 1,
                memory: 1024,
                disk: 25,
            },
            user_data: Some(SecretString::from(format!("#cloud-config of {droplet}"))),
            ssh_keys: vec!["ssh-ed25519 A a".to_owned(), "ssh-ed25519 B b".to_owned()],
        }
    }

    fn address(last: u8) -> Address {
        Address {
            ip: Ipv4Addr::new(10, 77, 0, last),
            netmask: Ipv4Addr::new(255, 255, 255, 0),
            gateway: Ipv4Addr::new(10, 77, 0, 1),
        }
    }

    async fn ask(metadata: &Metadata, from: u8, path: &str) -> (StatusCode, String) {
        let caller = SocketAddr::from((address(from).ip, 40_000));
        let request = Request::get(path)
            .extension(ConnectInfo(caller))
            .body(Body::empty())
            .unwrap();
        let answer = metadata.router().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_machine_is_told_about_itself_and_nobody_else() {
        let metadata = Metadata::default();
        for last in [10, 11] {
            let document = document(&plan(last.into()), address(last), "02:42:0a:4d:00:0a");
            metadata.publish(address(last).ip, document);
        }
        let (_, own) = ask(&metadata, 11, "/metadata/v1/user-data").await;
        assert_eq!(own, "#cloud-config of 11");
        let (status, said) = ask(&metadata, 12, "/metadata/v1.json").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(!said.contains("cloud-config"));
        metadata.withdraw(address(11).ip);
        assert_eq!(ask(&metadata, 11, "/metadata/v1/id").await.0, 404);
        assert!(!format!("{metadata:?}").contains("cloud-config"));
    }

    #[tokio::test]
    async fn paths_are_those_of_digitalocean() {
        let metadata = Metadata::default();
        let document = document(&plan(10), address(10), "02:42:0a:4d:00:0a");
        metadata.publish(address(10).ip, document);
        for (path, expected) in [
            ("/metadata/v1/id", "10"),
            ("/metadata/v1/hostname", "machine-10"),
            ("/metadata/v1/region", "fra1"),
            ("/metadata/v1/interfaces/", "public/"),
            (
                "/metadata/v1/interfaces/public/0/ipv4/address",
                "10.77.0.10",
            ),
            ("/metadata/v1/interfaces/public/0/mac", "02:42:0a:4d:00:0a"),
            (
                "/metadata/v1/public-keys",
                "ssh-ed25519 A a\nssh-ed25519 B b",
            ),
        ] {
            assert_eq!(
                ask(&metadata, 10, path).await,
                (StatusCode::OK, expected.to_owned())
            );
        }
        for path in [
            "/",
            "/latest/meta-data",
            "/metadata/v1/none",
            "/metadata/v1/id/0",
        ] {
            assert_eq!(
                ask(&metadata, 10, path).await.0,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        let (_, whole) = ask(&metadata, 10, "/metadata/v1.json").await;
        let whole: Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(whole["user_data"], "#cloud-config of 10");
    }
}
