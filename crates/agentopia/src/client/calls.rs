//! Who called what.

use agentopia_api::call::{Call, CallQuery};

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
}
