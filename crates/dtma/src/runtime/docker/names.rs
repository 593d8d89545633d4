//! Names and labels of everything this runtime makes in the engine.
//!
//! Every name is made from the instance's id alone, so that a DTMA that was killed half-way finds
//! what it made; every object carries the labels below, and one without the label of our own
//! environment is never touched (DTMA-9).

use std::collections::HashMap;

use agentopia_domain::{EnvironmentId, InstanceId};

use crate::runtime::{LABEL_ENVIRONMENT, LABEL_GENERATION, LABEL_INSTANCE, LABEL_SPEC};

/// The user and group that the instance runs as.
pub(super) const LABEL_UID: &str = "agentopia.uid";
/// The port of the machine that was allocated to the instance.
pub(super) const LABEL_PORT: &str = "agentopia.port";
/// The digest of the image that the container was made from.
pub(super) const LABEL_DIGEST: &str = "agentopia.digest";

/// Labels as the engine gives them.
pub(super) type Labels = HashMap<String, String>;

/// The name of the instance's container and of its network.
pub(super) fn object(id: InstanceId) -> String {
    format!("agentopia-{id}")
}

/// The name of the instance's volume.
pub(super) fn volume(id: InstanceId) -> String {
    format!("agentopia-{id}-data")
}

/// The labels that every object of an instance carries.
pub(super) fn labels(environment: EnvironmentId, id: InstanceId) -> Labels {
    HashMap::from([
        (LABEL_ENVIRONMENT.to_owned(), environment.to_string()),
        (LABEL_INSTANCE.to_owned(), id.to_string()),
    ])
}

/// The filter that lists the objects of one environment.
pub(super) fn filter(environment: EnvironmentId) -> HashMap<String, Vec<String>> {
    HashMap::from([(
        "label".to_owned(),
        vec![format!("{LABEL_ENVIRONMENT}={environment}")],
    )])
}

/// Whether the labels are those of an object of `environment`.
pub(super) fn is_ours(labels: Option<&Labels>, environment: EnvironmentId) -> bool {
    labels
        .and_then(|labels| labels.get(LABEL_ENVIRONMENT))
        .is_some_and(|value| *value == environment.to_string())
}

/// The instance that the labels name.
pub(super) fn instance(labels: Option<&Labels>) -> Option<InstanceId> {
    labels?.get(LABEL_INSTANCE)?.parse().ok()
}

/// The generation that the labels name; 0 where there is none.
pub(super) fn generation(labels: Option<&Labels>) -> i64 {
    number(labels, LABEL_GENERATION).unwrap_or(0)
}

/// The hash of the spec that the labels name; empty where there is none.
pub(super) fn spec(labels: Option<&Labels>) -> String {
    text(labels, LABEL_SPEC).unwrap_or_default()
}

/// The text of a label.
pub(super) fn text(labels: Option<&Labels>, name: &str) -> Option<String> {
    labels?.get(name).cloned()
}

/// The number in a label.
pub(super) fn number<N: std::str::FromStr>(labels: Option<&Labels>, name: &str) -> Option<N> {
    labels?.get(name)?.parse().ok()
}
