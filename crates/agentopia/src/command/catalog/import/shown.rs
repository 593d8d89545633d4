//! What an import did, for people.

use agentopia_api::catalog_import::{CatalogImport, ImportItem, ImportOutcome};
use agentopia_domain::catalog::CatalogDefinition;

/// A few lines for each server.
pub(super) fn text(import: &CatalogImport) -> String {
    if import.items.is_empty() {
        return "there is no such server".to_owned();
    }
    let all: Vec<String> = import.items.iter().map(item).collect();
    all.join("\n")
}

fn item(item: &ImportItem) -> String {
    let slug = item.definition.as_ref().map_or(&item.name, |it| &it.slug);
    let mut text = match item.outcome {
        ImportOutcome::Draft => format!("would add {slug}"),
        ImportOutcome::Added => format!("added {slug}"),
        ImportOutcome::Replaced => format!("replaced {slug}"),
        ImportOutcome::Unchanged => format!("{slug} is in the catalog just so"),
        ImportOutcome::Exists => {
            format!("left {slug} alone: the catalog has another one of this name (--replace)")
        }
        ImportOutcome::Refused => format!(
            "can't import {}: {}",
            item.name,
            item.problem.as_deref().unwrap_or("it says no reason")
        ),
    };
    for note in &item.notes {
        text.push_str("\n  note: ");
        text.push_str(note);
    }
    if let Some(definition) = &item.definition {
        for line in needed(definition) {
            text.push_str("\n  ");
            text.push_str(&line);
        }
    }
    text
}

/// What has to be given when it is deployed.
fn needed(definition: &CatalogDefinition) -> Vec<String> {
    let secrets = definition
        .secrets
        .iter()
        .filter(|secret| secret.required)
        .map(|secret| format!("needs the secret {}", secret.name));
    let settings = definition.config.schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .filter(|name| !definition.config.defaults.contains_key(*name))
        .map(|name| format!("needs the setting {name}"));
    secrets.chain(settings).collect()
}
