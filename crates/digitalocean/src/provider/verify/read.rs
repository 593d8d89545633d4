//! Everything that is looked at, read from DigitalOcean all at once.

use std::time::Duration;

use agentopia_cloud::verification::CHECK_LIMIT;
use tokio::time::timeout;

use crate::droplets::Droplet;
use crate::firewalls::Firewall;
use crate::images::Image;
use crate::keys::Key;
use crate::projects::{Project, ProjectRef};
use crate::provider::DigitalOceanProvider;
use crate::provider::preflight::{find_image, key_ref};
use crate::regions::Region;
use crate::sizes::Size;
use crate::tags::Tag;
use crate::{Client, Error, ProjectId, Reason};

const LIMIT: Duration = CHECK_LIMIT;

/// Why something was not read, in words for people.
#[derive(Debug)]
pub(super) enum Unread {
    /// The token is not accepted at all.
    BadToken(String),
    /// The token lacks the scope for it.
    MissingScope,
    /// DigitalOcean is not reached.
    Unreachable(String),
    /// Anything else.
    Other(String),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.reason() {
            Some(Reason::BadToken) => Self::BadToken(text),
            Some(Reason::MissingScope) => Self::MissingScope,
            Some(Reason::Unreachable(_)) => Self::Unreachable(text),
            _ => Self::Other(text),
        }
    }
}

/// What was read, or why not.
pub(super) type Read<T> = Result<T, Unread>;

/// What DigitalOcean has.
#[derive(Debug)]
pub(super) struct Everything {
    pub(super) droplets: Read<Vec<Droplet>>,
    pub(super) firewalls: Read<Vec<Firewall>>,
    pub(super) tag: Read<Option<Tag>>,
    pub(super) regions: Read<Vec<Region>>,
    pub(super) sizes: Read<Vec<Size>>,
    pub(super) image: Read<Option<Image>>,
    /// Each key that is configured.
    pub(super) keys: Vec<(String, Read<Option<Key>>)>,
    /// The project that is configured.
    pub(super) project: Option<(ProjectId, Read<Option<Project>>)>,
}

/// Waits for an answer as long as a check may take.
pub(super) async fn timed<T>(call: impl Future<Output = Result<T, Error>>) -> Read<T> {
    match timeout(LIMIT, call).await {
        Ok(answer) => answer.map_err(Unread::from),
        Err(_) => Err(Unread::Other(format!(
            "DigitalOcean gave no answer within {} s; look at status.digitalocean.com, then \
             verify again",
            LIMIT.as_secs()
        ))),
    }
}

impl DigitalOceanProvider {
    pub(super) async fn read(&self, api: &Client) -> Everything {
        let (droplets, firewalls, tag, regions, sizes, image, keys, project) = tokio::join!(
            timed(api.droplets().list().all()),
            timed(api.firewalls().list().all()),
            timed(api.tags().get(&self.naming.installation_tag)),
            timed(api.regions().list().all()),
            timed(api.sizes().list().all()),
            timed(find_image(api, &self.settings.image)),
            self.read_keys(api),
            self.read_project(api),
        );
        Everything {
            droplets,
            firewalls,
            tag,
            regions,
            sizes,
            image,
            keys,
            project,
        }
    }

    async fn read_keys(&self, api: &Client) -> Vec<(String, Read<Option<Key>>)> {
        let mut keys = Vec::new();
        for key in &self.settings.ssh_keys {
            let found = timed(api.keys().get(&key_ref(key))).await;
            keys.push((key.clone(), found));
        }
        keys
    }

    async fn read_project(&self, api: &Client) -> Option<(ProjectId, Read<Option<Project>>)> {
        let id = self.settings.project.clone()?;
        let found = timed(api.projects().get(&ProjectRef::Id(id.clone()))).await;
        Some((id, found))
    }
}
