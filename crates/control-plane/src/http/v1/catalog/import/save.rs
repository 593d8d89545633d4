//! Puts drafts into the catalog.

use agentopia_api::catalog_import::{CatalogImportRequest, ImportItem, ImportOutcome};
use agentopia_catalog_import::{Draft, Found};
use agentopia_domain::CatalogEntryId;
use agentopia_domain::catalog::{CatalogDefinition, CatalogEntry, is_slug};
use agentopia_domain::event::ObjectKind;
use agentopia_store::StoreError;

use crate::http::extract::Call;
use crate::http::v1::catalog::find;
use crate::problem::{Answer, Refusal};

/// An item of something that can't be an entry.
pub(super) fn refused(name: String, problem: String) -> ImportItem {
    ImportItem {
        name,
        outcome: ImportOutcome::Refused,
        definition: None,
        notes: Vec::new(),
        problem: Some(problem),
    }
}

/// Saves one, unless nothing is to be saved.
pub(super) async fn one(
    call: &Call,
    request: &CatalogImportRequest,
    found: Found,
) -> Answer<ImportItem> {
    let Draft {
        mut definition,
        notes,
        ..
    } = match found.outcome {
        Ok(draft) => draft,
        Err(problem) => return Ok(refused(found.name, problem.to_string())),
    };
    if let Some(slug) = &request.slug {
        definition.slug.clone_from(slug);
    }
    if let Err(refusal) = find::check(&definition) {
        if request.slug.is_some() {
            return Err(refusal);
        }
        return Ok(refused(found.name, refusal.detail().to_owned()));
    }
    let existing = place(call, request, &mut definition).await?;
    let (outcome, definition) = match existing {
        _ if request.dry_run => (ImportOutcome::Draft, definition),
        Some(existing) if !request.replace => match existing.definition == definition {
            true => (ImportOutcome::Unchanged, definition),
            false => (ImportOutcome::Exists, definition),
        },
        Some(existing) => replace(call, existing, definition).await?,
        None => add(call, definition).await?,
    };
    Ok(ImportItem {
        name: found.name,
        outcome,
        definition: Some(definition),
        notes,
        problem: None,
    })
}

/// The entry whose place the definition would take. Where its slug belongs to a server that registries
/// call otherwise, it gets a slug of its whole name.
async fn place(
    call: &Call,
    request: &CatalogImportRequest,
    definition: &mut CatalogDefinition,
) -> Answer<Option<CatalogEntry>> {
    let Some(existing) = by_slug(call, &definition.slug).await? else {
        return Ok(None);
    };
    let whole = definition.registry_name.as_deref().map(whole_slug);
    match whole {
        Some(whole)
            if request.slug.is_none()
                && existing.definition.registry_name != definition.registry_name
                && is_slug(&whole) =>
        {
            definition.slug = whole;
            by_slug(call, &definition.slug).await
        }
        _ => Ok(Some(existing)),
    }
}

/// `io.github.user/weather` as `io-github-user-weather`.
fn whole_slug(name: &str) -> String {
    let slug: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    slug.trim_matches('-').to_owned()
}

async fn by_slug(call: &Call, slug: &str) -> Answer<Option<CatalogEntry>> {
    match call.store().catalog().by_slug(slug).await {
        Ok(entry) => Ok(Some(entry)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn add(
    call: &Call,
    definition: CatalogDefinition,
) -> Answer<(ImportOutcome, CatalogDefinition)> {
    let id: CatalogEntryId = call.new_id();
    let event = call.installation_event(
        "catalog_entry.created",
        (ObjectKind::CatalogEntry, id),
        format!("imported {} into the catalog", definition.slug),
    );
    let catalog = call.store().catalog();
    match catalog.insert(id, &definition, &[event]).await {
        Ok(entry) => Ok((ImportOutcome::Added, entry.definition)),
        // Somebody else was quicker.
        Err(StoreError::Duplicate { .. }) => Ok((ImportOutcome::Exists, definition)),
        Err(error) => Err(Refusal::from(error)),
    }
}

/// Versions that are there stay, where they are of the same image or package: instances may run them.
async fn replace(
    call: &Call,
    existing: CatalogEntry,
    mut definition: CatalogDefinition,
) -> Answer<(ImportOutcome, CatalogDefinition)> {
    if existing.definition.packaging == definition.packaging {
        for version in existing.definition.versions {
            if definition.version(&version.version).is_none() {
                definition.versions.push(version);
            }
        }
    }
    let event = call.installation_event(
        "catalog_entry.updated",
        (ObjectKind::CatalogEntry, existing.id),
        format!("imported {} into the catalog anew", definition.slug),
    );
    let catalog = call.store().catalog();
    let changed = catalog.upsert(call.new_id(), &definition, &[event]).await?;
    let outcome = match changed.changed {
        true => ImportOutcome::Replaced,
        false => ImportOutcome::Unchanged,
    };
    Ok((outcome, changed.value.definition))
}
