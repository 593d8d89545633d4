//! Finds a secret by name or id.

use agentopia_domain::SecretId;
use agentopia_domain::name::Name;
use agentopia_domain::secret::SecretRecord;
use agentopia_store::StoreError;

use crate::http::extract::Call;

pub(in crate::http::v1) async fn by_name_or_id(
    call: &Call,
    text: &str,
) -> Result<SecretRecord, StoreError> {
    let secrets = call.store().secrets();
    let account = call.account();
    match (text.parse::<SecretId>(), Name::parse(text)) {
        (Ok(id), _) => secrets.get(account, id).await,
        (Err(_), Ok(name)) => secrets.by_name(account, &name).await,
        (Err(_), Err(_)) => Err(StoreError::NotFound { what: "secret" }),
    }
}
