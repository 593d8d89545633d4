//! Secrets of its own that a link is to carry (AGT-6): whether the tool takes them, and whose they are.

use std::collections::{BTreeMap, BTreeSet};

use agentopia_api::link::PutLinkRequest;
use agentopia_api::problem::FieldProblem;
use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::link::Link;
use agentopia_domain::{InstanceId, SecretId};

use crate::http::extract::Call;
use crate::http::v1::instances::check;
use crate::http::v1::instances::secrets::resolve;
use crate::problem::{Answer, Refusal, kind};

/// What the link is to carry from now on; `None` leaves what `link`, if there is one, has.
pub(super) async fn wanted(
    call: &Call,
    instance: InstanceId,
    link: Option<&Link>,
    request: &PutLinkRequest,
) -> Answer<Option<BTreeMap<String, SecretId>>> {
    let instances = call.store().instances();
    let instance = instances.get(call.account(), instance).await?;
    let entry = call
        .store()
        .catalog()
        .get(instance.catalog_entry_id)
        .await?
        .definition;
    let names: BTreeSet<&str> = match (&request.secrets, link) {
        (Some(asked), _) => asked.keys().map(String::as_str).collect(),
        (None, Some(link)) => link.secrets.keys().map(String::as_str).collect(),
        (None, None) => BTreeSet::new(),
    };
    if request.secrets.is_some() {
        check::known_secrets(&entry, names.iter().copied())?;
        taken(&entry, &instance.version, &names)?;
    }
    if request.enabled {
        complete(&entry, &names)?;
    }
    match &request.secrets {
        Some(asked) => Ok(Some(resolve(call, asked).await?)),
        None => Ok(None),
    }
}

/// Whether a link can have credentials of its own there.
fn taken(entry: &CatalogDefinition, version: &str, names: &BTreeSet<&str>) -> Answer<()> {
    let version = entry.version(version);
    let takes = version.is_none_or(|version| entry.takes_link_secrets(version));
    if takes || names.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        kind::LINK_SECRETS_UNSUPPORTED,
        format!(
            "`{}` is one HTTP server for everybody who uses the instance, and it got its secrets when it \
             started: deploy an instance of its own for this agent, with these secrets, and link that",
            entry.slug
        ),
    ))
}

/// Whether nothing is missing that everybody has to give for themselves.
fn complete(entry: &CatalogDefinition, names: &BTreeSet<&str>) -> Answer<()> {
    let missing: Vec<_> = entry
        .secrets
        .iter()
        .filter(|needed| needed.per_link && needed.required)
        .filter(|needed| !names.contains(needed.name.as_str()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = missing.iter().map(|one| one.name.as_str()).collect();
    let errors = missing.iter().map(|one| FieldProblem {
        field: format!("secrets.{}", one.name),
        problem: match one.description.as_str() {
            "" => "is required of every link".to_owned(),
            text => format!("is required of every link: {text}"),
        },
    });
    Err(Refusal::new(
        kind::MISSING_SECRET,
        format!(
            "`{}` wants of every link a secret of its own: set one and map it for each of {}",
            entry.slug,
            list.join(", ")
        ),
    )
    .with_errors(errors.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(transport: &serde_json::Value) -> CatalogDefinition {
        serde_json::from_value(json!({
            "slug": "t", "name": "T", "status": "available",
            "packaging": {"type": "docker_image", "image": "t"},
            "transport": transport,
            "versions": [{"version": "1", "tag": "1"}],
            "default_version": "1",
            "secrets": [
                {"name": "OURS"},
                {"name": "MINE", "per_link": true},
                {"name": "EXTRA", "per_link": true, "required": false},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_link_has_all_that_is_everybodys_own() {
        let stdio = entry(&json!({"type": "stdio"}));
        let names = |names: &[&'static str]| BTreeSet::from_iter(names.iter().copied());
        assert!(complete(&stdio, &names(&["MINE"])).is_ok());
        let refused = complete(&stdio, &names(&["OURS", "EXTRA"])).unwrap_err();
        assert_eq!(refused.to_problem(None).errors[0].field, "secrets.MINE");
    }

    #[test]
    fn one_http_server_for_all_takes_none() {
        let mine = BTreeSet::from(["MINE"]);
        let http = entry(&json!({"type": "streamable_http", "port": 1, "path": "/mcp"}));
        let refused = taken(&http, "1", &mine).unwrap_err();
        assert_eq!(refused.kind(), kind::LINK_SECRETS_UNSUPPORTED);
        assert!(taken(&http, "1", &BTreeSet::new()).is_ok());
        assert!(taken(&entry(&json!({"type": "stdio"})), "1", &mine).is_ok());
    }
}
