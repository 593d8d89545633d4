//! Writes down what servers say of their tools, and tells owners when it changes (TOOL-10).

use agentopia_domain::definitions::{Diff, definitions};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_domain::instance::Instance;
use agentopia_store::{Store, StoreError};
use serde_json::{Value, json};

/// Writes down what an instance lists. The first list is what others are compared with.
///
/// # Errors
/// Only the database's.
pub(crate) async fn record(
    store: &Store,
    instance: &Instance,
    tools: &[Value],
) -> Result<(), StoreError> {
    let told = |diff: &Diff| {
        NewEvent::system(
            instance.account_id,
            "instance.tools_changed",
            (ObjectKind::Instance, instance.id.as_uuid()),
            format!(
                "{} says something else of its tools than what was accepted: {}. Look at it with `agentopia tools \
                 definitions`, and accept it with `agentopia tools accept`.",
                instance.name,
                diff.words()
            ),
        )
        .data(json!(diff))
    };
    store
        .definitions()
        .record_unscoped(instance.account_id, instance.id, definitions(tools), told)
        .await
}
