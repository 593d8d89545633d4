//! Import of the earlier model.

use agentopia_api::legacy::{LegacyImport, LegacyImportRequest};
use reqwest::Method;

use super::{Client, ClientError};

impl Client {
    /// Shows what an import would do, or does it.
    pub(crate) async fn import_legacy(
        &self,
        request: &LegacyImportRequest,
    ) -> Result<LegacyImport, ClientError> {
        self.change(Method::POST, &["legacy-import"], request).await
    }
}
