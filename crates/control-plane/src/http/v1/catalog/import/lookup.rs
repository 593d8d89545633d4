//! Asks the operator's package registries which versions there are ([`image`] asks for images). Without one an exact version is
//! taken as it is, and `latest` is refused: nothing is guessed.

use std::time::Duration;

use agentopia_catalog_import::{Draft, Found, Lookup, Problem};
use agentopia_domain::catalog::package::PackageRegistry;
use agentopia_remote::{RemoteError, RemoteUrl};
use http::StatusCode;
use serde_json::Value;
use url::Url;

use super::image;
use crate::http::extract::Call;

/// What a registry says of one version of a package is at most so long; of a Python package it may have
/// all versions.
const MOST: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// `found` with what had to be looked up, or with the reason why it can't be an entry.
pub(super) async fn complete(call: &Call, found: Found) -> Found {
    let outcome = match found.outcome {
        Ok(draft) => looked_up(call, draft).await,
        refused => refused,
    };
    Found { outcome, ..found }
}

async fn looked_up(call: &Call, mut draft: Draft) -> Result<Draft, Problem> {
    match draft.lookup.take() {
        None => {}
        Some(Lookup::Image {
            reference,
            transport_is_told,
        }) => image::complete(call, &mut draft, &reference, transport_is_told).await,
        Some(Lookup::Package {
            registry,
            name,
            wanted,
        }) => package(call, &mut draft, registry, &name, wanted.as_deref()).await?,
    }
    Ok(draft)
}

async fn package(
    call: &Call,
    draft: &mut Draft,
    registry: PackageRegistry,
    name: &str,
    wanted: Option<&str>,
) -> Result<(), Problem> {
    let config = &call.state.config;
    let (base, key) = match registry {
        PackageRegistry::Npm => (&config.npm_registry, "npm_registry"),
        PackageRegistry::Pypi => (&config.pypi_registry, "pypi_registry"),
    };
    let Some(base) = base else {
        let Some(exact) = wanted else {
            return Err(Problem(format!(
                "which version of {name} is the latest can't be told: give one ({}:{name}@VERSION), or have the \
                 operator set `{key}`",
                registry.as_str()
            )));
        };
        draft.notes.push(format!(
            "whether {name} {exact} exists was not looked up: the operator has not set `{key}`"
        ));
        return draft.resolved(exact, None);
    };
    let url = address(base, registry, name, wanted)
        .ok_or_else(|| Problem(format!("`{key}` is no address that can be called")))?;
    let got = call.state.remote.get_bytes(&url, MOST, PATIENCE).await;
    let body = got.map_err(|error| match error {
        RemoteError::Status(StatusCode::NOT_FOUND) => Problem(format!(
            "there is no {name}{} in the registry: look at its name and version",
            wanted.map(|it| format!(" {it}")).unwrap_or_default()
        )),
        RemoteError::Status(status) if status.is_redirection() => Problem(format!(
            "the registry has {name} under another name: write the name exactly as it does"
        )),
        other => Problem(format!(
            "the registry could not be asked for {name}: {other}"
        )),
    })?;
    let said: Value = serde_json::from_slice(&body.into_body())
        .map_err(|_| Problem(format!("the registry's answer for {name} is no JSON")))?;
    let version = judged(&said, registry, name, wanted)?;
    if let Some(deprecated) = version.deprecated {
        draft.notes.push(format!(
            "its makers say that it is deprecated: {deprecated}"
        ));
    }
    draft.resolved(&version.exact, version.integrity)
}

fn address(
    base: &Url,
    registry: PackageRegistry,
    name: &str,
    wanted: Option<&str>,
) -> Option<RemoteUrl> {
    let mut url = base.clone();
    {
        let mut path = url.path_segments_mut().ok()?;
        path.pop_if_empty();
        match registry {
            PackageRegistry::Npm => path.extend([name, wanted.unwrap_or("latest")]),
            PackageRegistry::Pypi => path.extend(["pypi", name]).extend(wanted).push("json"),
        };
    }
    RemoteUrl::new(url).ok()
}

/// A version as its registry knows it.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    exact: String,
    integrity: Option<String>,
    deprecated: Option<String>,
}

/// What a registry's answer means. Pure.
fn judged(
    said: &Value,
    registry: PackageRegistry,
    name: &str,
    wanted: Option<&str>,
) -> Result<Known, Problem> {
    let about = match registry {
        PackageRegistry::Npm => said,
        PackageRegistry::Pypi => &said["info"],
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let told = about["name"].as_str().unwrap_or_default();
    if normal(registry, told) != normal(registry, name) {
        return Err(Problem(format!(
            "the registry answered with another package than {name}: write the name exactly as it does"
        )));
    }
    let exact = text(&about["version"])
        .ok_or_else(|| Problem(format!("the registry names no version of {name}")))?;
    if wanted.is_some_and(|wanted| wanted != exact) {
        return Err(Problem(format!(
            "the registry answered with version {exact} of {name}, which was not asked for: write the version \
             exactly as it does"
        )));
    }
    if about["yanked"] == true {
        let why = text(&about["yanked_reason"]).filter(|why| !why.is_empty());
        return Err(Problem(format!(
            "version {exact} of {name} was withdrawn by its makers{}: choose another one",
            why.map(|why| format!(" ({})", shortened(&why)))
                .unwrap_or_default()
        )));
    }
    Ok(match registry {
        PackageRegistry::Npm => Known {
            exact,
            integrity: text(&about["dist"]["integrity"]),
            deprecated: text(&about["deprecated"]).map(|why| shortened(&why)),
        },
        PackageRegistry::Pypi => {
            let files = said["urls"].as_array().map_or(&[][..], Vec::as_slice);
            let wheel = files
                .iter()
                .find(|file| file["packagetype"] == "bdist_wheel");
            let sha256 = wheel
                .or(files.first())
                .and_then(|file| text(&file["digests"]["sha256"]));
            Known {
                exact,
                integrity: sha256.map(|hex| format!("sha256:{hex}")),
                deprecated: None,
            }
        }
    })
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Names that are the same to the registry.
fn normal(registry: PackageRegistry, name: &str) -> String {
    match registry {
        PackageRegistry::Npm => name.to_owned(),
        PackageRegistry::Pypi => {
            let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
            parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PackageRegistry::{Npm, Pypi};
    use serde_json::json;

    #[test]
    fn a_registrys_answer_is_judged() {
        let npm = json!({"name": "@a/b", "version": "1.2.3", "dist": {"integrity": "sha512-x"}, "deprecated": "old"});
        let known = judged(&npm, Npm, "@a/b", None).unwrap();
        assert_eq!(known.exact, "1.2.3");
        assert_eq!(known.integrity.as_deref(), Some("sha512-x"));
        assert_eq!(known.deprecated.as_deref(), Some("old"));
        let said = |problem: Result<Known, Problem>| problem.unwrap_err().0;
        assert!(said(judged(&npm, Npm, "@a/c", None)).contains("another package"));
        assert!(said(judged(&npm, Npm, "@a/b", Some("1.2.4"))).contains("not asked for"));

        let pypi = |yanked: bool| {
            json!({"info": {"name": "Mcp.Server_Time", "version": "1.0", "yanked": yanked, "yanked_reason": "broken"},
                "urls": [{"packagetype": "sdist", "digests": {"sha256": "s"}}, {"packagetype": "bdist_wheel", "digests": {"sha256": "w"}}]})
        };
        let known = judged(&pypi(false), Pypi, "mcp-server-time", Some("1.0")).unwrap();
        assert_eq!(known.integrity.as_deref(), Some("sha256:w"));
        assert!(
            said(judged(&pypi(true), Pypi, "mcp-server-time", None))
                .contains("withdrawn by its makers (broken)")
        );
        for wrong in [json!({}), json!([]), json!(null), json!({"name": 1})] {
            assert!(judged(&wrong, Npm, "a", None).is_err());
            assert!(judged(&wrong, Pypi, "a", None).is_err());
        }
    }

    #[test]
    fn names_are_one_part_of_the_address() {
        let base = Url::parse("https://r.example/npm/").unwrap();
        let made = |registry, name: &str, wanted| {
            address(&base, registry, name, wanted).unwrap().to_string()
        };
        assert_eq!(
            made(Npm, "@a/b", None),
            "https://r.example/npm/@a%2Fb/latest"
        );
        assert_eq!(
            made(Pypi, "a", Some("1")),
            "https://r.example/npm/pypi/a/1/json"
        );
    }
}
