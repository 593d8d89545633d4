//! Where a server that runs elsewhere is: from the catalog or from whoever deploys it, and looked at
//! before anything is written (SEC-7).

use agentopia_domain::EnvironmentId;
use agentopia_domain::catalog::{CatalogDefinition, Packaging};
use agentopia_domain::environment::Environment;
use agentopia_domain::remote::{RemoteServer, RemoteTransport};
use agentopia_remote::RemoteUrl;
use agentopia_store::NewEnvironment;

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal};

const FIELD: &str = "url";

/// The server to deploy; none where the tool gets a container.
pub(super) async fn server(
    call: &Call,
    entry: &CatalogDefinition,
    asked: Option<&str>,
) -> Answer<Option<RemoteServer>> {
    let Some((text, headers, transport)) = chosen(entry, asked)? else {
        return Ok(None);
    };
    let url = RemoteUrl::parse(text).map_err(|error| Refusal::field(FIELD, error.to_string()))?;
    let checked = call.state.remote.check(&url).await;
    checked.map_err(|error| Refusal::field(FIELD, error.to_string()))?;
    Ok(Some(RemoteServer {
        url: url.as_url().clone(),
        headers: headers.clone(),
        transport,
    }))
}

type Chosen<'a> = (
    &'a str,
    &'a std::collections::BTreeMap<String, String>,
    RemoteTransport,
);

fn chosen<'a>(entry: &'a CatalogDefinition, asked: Option<&'a str>) -> Answer<Option<Chosen<'a>>> {
    match (&entry.packaging, asked) {
        (Packaging::DockerImage { .. } | Packaging::Package { .. }, None) => Ok(None),
        (Packaging::DockerImage { .. } | Packaging::Package { .. }, Some(_)) => {
            Err(Refusal::field(
                FIELD,
                format!("`{}` runs on your machine and takes no address", entry.slug),
            ))
        }
        (Packaging::Remote { url: Some(_), .. }, Some(_)) => Err(Refusal::field(
            FIELD,
            format!("`{}` has an address of its own; leave it out", entry.slug),
        )),
        (Packaging::Remote { url: None, .. }, None) => Err(Refusal::field(
            FIELD,
            "is required: the server's address, https://host/path",
        )),
        (
            Packaging::Remote {
                url: Some(url),
                headers,
                transport,
            },
            None,
        ) => Ok(Some((url, headers, *transport))),
        (
            Packaging::Remote {
                url: None,
                headers,
                transport,
            },
            Some(url),
        ) => Ok(Some((url, headers, *transport))),
    }
}

/// The account's environment, which is left as it is. Where there is none, a record of one that is off:
/// every instance belongs to one.
pub(super) async fn environment(call: &Call) -> Answer<Environment> {
    let new = NewEnvironment {
        id: call.new_id::<EnvironmentId>(),
        provider: call.state.config.provider,
        region: None,
        size: None,
        image: None,
    };
    let environments = call.store().environments();
    Ok(environments.get_or_create_off(call.account(), new).await?)
}
