//! Who called what, and the account's settings of that.

use agentopia_api::call::{Call, CallCounts, CallDetail, CallQuery};
use agentopia_api::settings::{Settings, UpdateSettingsRequest};
use reqwest::Method;

use super::{Client, ClientError};
use crate::values::word;

impl Client {
    /// Calls, newest first, at most `limit`.
    pub(crate) async fn calls(
        &self,
        query: &CallQuery,
        limit: usize,
    ) -> Result<Vec<Call>, ClientError> {
        let mut pairs = Vec::new();
        pairs.extend(query.agent_id.map(|id| ("agent_id", id.to_string())));
        pairs.extend(query.instance_id.map(|id| ("instance_id", id.to_string())));
        pairs.extend(query.outcome.map(|outcome| ("outcome", word(&outcome))));
        self.list(&["calls"], &pairs, Some(limit)).await
    }

    /// One call, with what was said in it.
    pub(crate) async fn call_detail(&self, sequence: i64) -> Result<CallDetail, ClientError> {
        self.get(&["calls", &sequence.to_string()], &[]).await
    }

    /// How many calls were made in the last days.
    pub(crate) async fn call_counts(&self, days: u32) -> Result<CallCounts, ClientError> {
        let days = [("days", days.to_string())];
        self.get(&["calls", "counts"], &days).await
    }

    /// The account's settings.
    pub(crate) async fn settings(&self) -> Result<Settings, ClientError> {
        self.get(&["settings"], &[]).await
    }

    /// Changes them.
    pub(crate) async fn update_settings(
        &self,
        request: &UpdateSettingsRequest,
    ) -> Result<Settings, ClientError> {
        self.change(Method::PATCH, &["settings"], request).await
    }
}
