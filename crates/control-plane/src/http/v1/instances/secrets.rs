//! Turns the names of secrets that a person wrote into ids of the account's own secrets.

use std::collections::BTreeMap;

use agentopia_api::problem::FieldProblem;
use agentopia_domain::SecretId;
use agentopia_domain::name::Name;
use agentopia_store::StoreError;

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal, kind};

/// Environment variable to name or id, resolved.
pub(in crate::http::v1) async fn resolve(
    call: &Call,
    mapped: &BTreeMap<String, String>,
) -> Answer<BTreeMap<String, SecretId>> {
    let mut resolved = BTreeMap::new();
    for (variable, text) in mapped {
        let found = match (text.parse::<SecretId>(), Name::parse(text.as_str())) {
            (Ok(id), _) => call.store().secrets().get(call.account(), id).await,
            (Err(_), Ok(name)) => call.store().secrets().by_name(call.account(), &name).await,
            (Err(_), Err(_)) => Err(StoreError::NotFound { what: "secret" }),
        };
        match found {
            Ok(record) => {
                resolved.insert(variable.clone(), record.id);
            }
            Err(StoreError::NotFound { .. }) => {
                return Err(Refusal::new(
                    kind::UNKNOWN_SECRET,
                    format!("set the secret for {variable} first; there is none with that name"),
                )
                .with_errors(vec![FieldProblem {
                    field: format!("secrets.{variable}"),
                    problem: "names no secret of this account".to_owned(),
                }]));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(resolved)
}
