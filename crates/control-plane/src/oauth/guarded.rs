//! Reads the documents that clients publish, by the client for addresses that anybody may have
//! entered (`agentopia-remote`): no inner networks, no redirects, limits in size and time.

use agentopia_remote::{RemoteClient, RemoteUrl};
use async_trait::async_trait;
use bytes::Bytes;

use super::document::{DEADLINE, Documents, MAX_BYTES};
use crate::config::Config;

/// See the module's header.
#[derive(Debug, Clone)]
pub struct Published(RemoteClient);

impl Published {
    /// Reads from where the operator lets such addresses lead to.
    #[must_use]
    pub fn within(config: &Config) -> Self {
        Self(RemoteClient::new(config.remote_policy()))
    }
}

#[async_trait]
impl Documents for Published {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        let url = RemoteUrl::parse(url).map_err(|error| error.to_string())?;
        let answer = self.0.get_bytes(&url, MAX_BYTES, DEADLINE).await;
        answer
            .map(http::Response::into_body)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn our_own_network_is_not_read_from() {
        let published = Published::within(&Config::default());
        for address in [
            "https://127.0.0.1/client.json",
            "https://[::1]/client.json",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1/client.json",
        ] {
            assert!(published.get(address).await.is_err(), "{address}");
        }
    }
}
