//! Looking whether the installation works.

use agentopia_api::verification::Verification;

use super::{Client, ClientError};

impl Client {
    /// Has the server look at everything that it sees. Takes up to half a minute.
    pub(crate) async fn verify(&self) -> Result<Verification, ClientError> {
        self.post(&["verification"]).await
    }
}
