//! `agentopia catalog show`.

use agentopia_api::catalog::CatalogEntry;
use agentopia_domain::catalog::{Packaging, Transport};
use agentopia_domain::remote::RemoteTransport;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{bytes, fields, joined, optional};
use crate::values::word;

/// Show a tool of the catalog: its versions, its settings and the secrets it needs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia catalog show filesystem")]
pub(crate) struct Args {
    /// The tool's slug or id.
    tool: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let entry = app.client()?.catalog_entry(&args.tool).await?;
    app.out.result(&entry, || describe(&entry))
}

fn describe(entry: &CatalogEntry) -> String {
    let definition = &entry.definition;
    let image = match &definition.packaging {
        Packaging::DockerImage { image } => image.clone(),
        Packaging::Package { registry, name, .. } => {
            format!("made of the package {}:{name}", registry.as_str())
        }
        Packaging::Remote { url: Some(url), .. } => format!("none; runs at {url}"),
        Packaging::Remote { url: None, .. } => "none; runs where --url says".to_owned(),
    };
    let transport = match (&definition.packaging, &definition.transport) {
        (Packaging::Remote { transport, .. }, _) => match transport {
            RemoteTransport::StreamableHttp => "streamable HTTP".to_owned(),
            RemoteTransport::Sse => "HTTP+SSE".to_owned(),
        },
        (_, Transport::Stdio { .. }) => "stdio".to_owned(),
        (_, Transport::Sse { port, path }) => format!("HTTP+SSE at :{port}{path}"),
        (_, Transport::StreamableHttp { port, path }) => {
            format!("streamable HTTP at :{port}{path}")
        }
    };
    let versions = definition.versions.iter().map(|version| {
        if version.version == definition.default_version {
            format!("{} (default)", version.version)
        } else {
            version.version.clone()
        }
    });
    let resources = definition.resources;
    let mut text = fields(&[
        ("slug", definition.slug.clone()),
        ("name", definition.name.to_string()),
        ("description", definition.description.clone()),
        ("made by", definition.developer_organisation.clone()),
        ("categories", joined(&definition.categories)),
        ("status", word(&definition.status)),
        ("versions", joined(versions)),
        ("image", image),
        ("speaks", transport),
        (
            "limits",
            format!(
                "{:.2} CPU, {} memory",
                f64::from(resources.cpu_millis) / 1000.0,
                bytes(resources.memory_bytes)
            ),
        ),
        ("may go to", definition.egress.to_string()),
        (
            "keeps data in",
            optional(definition.volume.as_ref().map(|volume| &volume.mount_path)),
        ),
        (
            "documentation",
            optional(definition.documentation_url.as_ref()),
        ),
    ]);
    settings(entry, &mut text);
    for secret in &definition.secrets {
        let needed = match (secret.required, secret.per_link) {
            (true, false) => "required",
            (false, false) => "optional",
            (true, true) => "required of every link",
            (false, true) => "optional for every link",
        };
        text.push_str(&format!(
            "\nsecret {} ({needed})  {}",
            secret.name, secret.description
        ));
    }
    let mut allow_from = "";
    if let Some(direct) = &definition.direct_access {
        let protocols = joined(direct.protocols.iter().map(|protocol| protocol.as_str()));
        text.push_str(&format!(
            "\nreached directly on port {} ({protocols}), from where you say  {}",
            direct.port, direct.purpose
        ));
        allow_from = " --allow-from NETWORK";
    }
    text.push_str(&format!(
        "\n\ndeploy it with: agentopia tools deploy {}{allow_from}",
        definition.slug
    ));
    text
}

fn settings(entry: &CatalogEntry, text: &mut String) {
    let config = &entry.definition.config;
    let Some(properties) = config.schema.get("properties").and_then(|p| p.as_object()) else {
        return;
    };
    let required = config.schema.get("required").and_then(|r| r.as_array());
    for (name, schema) in properties {
        let kind = schema.get("type").map(|kind| match kind.as_str() {
            Some(kind) => kind.to_owned(),
            None => kind.to_string(),
        });
        let mut marks = vec![kind.unwrap_or_else(|| "any".to_owned())];
        if required.is_some_and(|required| required.iter().any(|word| word == name)) {
            marks.push("required".to_owned());
        }
        if let Some(default) = config.defaults.get(name) {
            marks.push(format!("default {default}"));
        }
        let description = schema
            .get("description")
            .and_then(|text| text.as_str())
            .unwrap_or_default();
        text.push_str(&format!(
            "\nsetting {name} ({})  {description}",
            joined(marks)
        ));
    }
}
