//! What a server that runs elsewhere is shown: read from store and vault when it is first needed, and kept
//! for a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::remote::{Piece, RemoteTransport, pieces};
use agentopia_domain::{AccountId, InstanceId, LinkId, SecretId};
use agentopia_gateway::ConnectError;
use agentopia_remote::RemoteUrl;
use agentopia_vault::Context;
use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{Kept, RemoteServers, Seen};
use crate::upstream_login::tokens::Whose;

/// How long values of secrets are kept after they were read.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(60);

/// Where a server is and what it is shown.
#[derive(Debug)]
pub(in crate::mcp_gateway) struct Access {
    pub(super) url: RemoteUrl,
    pub(super) transport: RemoteTransport,
    pub(super) headers: Vec<(HeaderName, SecretString)>,
    /// The secrets that the headers were made of, for messages.
    pub(super) secrets: Vec<String>,
    /// Whether the owner logged in at it, so that the login's token goes along.
    pub(super) logged_in: bool,
    pub(super) account: AccountId,
    pub(super) name: String,
}

impl RemoteServers {
    pub(in crate::mcp_gateway) async fn access(
        &self,
        seen: &Seen,
    ) -> Result<Arc<Access>, ConnectError> {
        let kept = |all: &HashMap<Seen, Kept>| {
            let kept = all.get(seen)?;
            (kept.at.elapsed() < KEPT_FOR).then(|| Arc::clone(&kept.access))
        };
        if let Some(access) = kept(&self.kept.lock()) {
            return Ok(access);
        }
        let id = seen.instance;
        let read = self.read(id, seen.own.as_ref().map(|own| own.link)).await;
        let access = Arc::new(read.map_err(|error| {
            tracing::warn!(instance = %id, %error, "a remote server's credentials can't be read");
            ConnectError::Unreachable("its credentials can't be read".to_owned())
        })?);
        let kept = Kept {
            at: Instant::now(),
            access: Arc::clone(&access),
        };
        let mut all = self.kept.lock();
        all.retain(|_, kept| kept.at.elapsed() < KEPT_FOR);
        all.insert(seen.clone(), kept);
        Ok(access)
    }

    async fn read(&self, id: InstanceId, link: Option<LinkId>) -> anyhow::Result<Access> {
        let instance = self.store.instances().get_unscoped(id).await?.instance;
        let Some(remote) = &instance.remote else {
            anyhow::bail!("the instance is none of a remote server");
        };
        anyhow::ensure!(
            instance.desired == DesiredInstance::Running,
            "the instance is not to run"
        );
        let login = self.store.upstream_logins().get_unscoped(id).await?;
        let mut values = self.values(instance.account_id, &instance.secrets).await?;
        if let Some(link) = link {
            let link = self.store.links().get_unscoped(link).await?;
            anyhow::ensure!(
                link.instance_id == id && link.enabled,
                "no link leads there"
            );
            let own = link.secrets.iter();
            let own = own
                .map(|(name, secret)| (name.clone(), secret.id))
                .collect();
            values.extend(self.values(link.account_id, &own).await?);
        }
        let mut headers = Vec::new();
        for (name, template) in &remote.headers {
            if let Some(value) = fill(template, &values) {
                headers.push((name.parse()?, value));
            }
        }
        // Whoever brings a credential of their own is not let in with the owner's.
        let shows_own = link.is_some() && headers.iter().any(|(name, _)| name == AUTHORIZATION);
        Ok(Access {
            url: RemoteUrl::new(remote.url.clone())?,
            transport: remote.transport,
            headers,
            secrets: values.into_keys().collect(),
            logged_in: login.is_some_and(|login| login.logged_in_at.is_some()) && !shows_own,
            account: instance.account_id,
            name: instance.name.to_string(),
        })
    }

    async fn values(
        &self,
        account_id: AccountId,
        secrets: &BTreeMap<String, SecretId>,
    ) -> anyhow::Result<BTreeMap<String, SecretString>> {
        let ids: Vec<_> = secrets.values().copied().collect();
        let sealed = self.store.secrets().sealed(account_id, &ids).await?;
        let mut values = BTreeMap::new();
        for (name, id) in secrets {
            let found = sealed.iter().find(|sealed| sealed.record.id == *id);
            let Some(found) = found else {
                anyhow::bail!("the secret of {name} is gone");
            };
            let context = Context::Secret {
                account_id,
                secret_id: found.record.id,
                revision: found.record.revision,
            };
            let value = self.vault.open_text(&context, &found.ciphertext).await?;
            values.insert(name.clone(), value);
        }
        Ok(values)
    }
}

impl Access {
    pub(super) fn whose(&self, instance: InstanceId) -> Whose<'_> {
        Whose {
            account: self.account,
            instance,
            name: &self.name,
        }
    }

    /// What is to be done where the server does not let us in, or sends us elsewhere.
    pub(super) fn refused(&self, status: StatusCode) -> Option<String> {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.headers.is_empty() => {
                Some(format!(
                    "the server wants a credential (HTTP status {status}): give the instance a secret \
                     for it, or log in with `agentopia tools login {}`",
                    self.name
                ))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(format!(
                "the server refused the credential (HTTP status {status}): check the secret {}",
                self.secrets.join(", ")
            )),
            _ if status.is_redirection() => Some(format!(
                "the server redirects elsewhere (HTTP status {status}), which is not followed: deploy it \
                 with the address that it redirects to"
            )),
            _ => None,
        }
    }
}

/// The header's value; none where it refers to a secret that nobody set.
fn fill(template: &str, values: &BTreeMap<String, SecretString>) -> Option<SecretString> {
    let mut filled = String::new();
    for piece in pieces(template).ok()? {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Secret(name) => filled.push_str(values.get(name)?.expose_secret()),
        }
    }
    Some(SecretString::from(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_its_secret_is_left_out() {
        let values = BTreeMap::from([("A".to_owned(), SecretString::from("x"))]);
        let filled = |template| fill(template, &values).map(|it| it.expose_secret().to_owned());
        assert_eq!(filled("Bearer ${secret:A}").as_deref(), Some("Bearer x"));
        assert_eq!(filled("plain").as_deref(), Some("plain"));
        assert_eq!(filled("${secret:A}${secret:B}"), None);
    }
}
