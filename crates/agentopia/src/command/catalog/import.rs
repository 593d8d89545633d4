//! `agentopia catalog import SOURCE`: a file of ours, or whatever describes an MCP server.

pub(super) mod file;
mod shown;

use agentopia_api::catalog_import::{
    CatalogImport, CatalogImportRequest, ImportForm, ImportItem, ImportOutcome,
};
use agentopia_domain::catalog::{CatalogDefinition, Transport};

use crate::app::App;
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::values::from_word;

/// Add tools to the catalog (admins only).
///
/// SOURCE is what was found about an MCP server:
///   an image                registry.example/team/tool:1.0
///   a package               npm:@scope/name@1.0.0   pypi:name@1.0.0
///   an MCP server's address https://tools.example/mcp
///   a file, `-` for standard input, or the address of a .json: a server.json of the MCP Registry, a
///   client's configuration with `mcpServers`, or an entry of ours in TOML or JSON
///   an MCP registry         registry:https://registry.example
///
/// Values that look like secrets are never kept: they become secrets that are asked for at deployment.
/// With --dry-run nothing is saved. What it prints with -o json can be corrected in a file and imported.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia catalog import registry.example/team/tool:1.0
  agentopia catalog import server.json --dry-run -o json > draft.json
  agentopia catalog import draft.json
  pbpaste | agentopia catalog import -
  agentopia catalog import registry:https://registry.example --search weather --dry-run
  agentopia catalog import registry:https://registry.example --server com.example/weather
  agentopia catalog import my-tool.toml --replace

A small file of ours:
  slug = \"my-tool\"
  name = \"My tool\"
  status = \"available\"
  default_version = \"1.0\"
  packaging = { type = \"docker_image\", image = \"registry.example/my-tool\" }
  transport = { type = \"stdio\" }
  [[versions]]
  version = \"1.0\"
  tag = \"1.0\"")]
pub(crate) struct Args {
    /// What to import; a file of this name comes first.
    source: String,
    /// Replace the entry of the same slug if there is one.
    #[arg(long)]
    replace: bool,
    /// Save nothing; show what would be saved.
    #[arg(long)]
    dry_run: bool,
    /// The slug of the entry, where it is only one.
    #[arg(long)]
    slug: Option<String>,
    /// The form to take where a server comes in several.
    #[arg(long = "as", value_parser = form, value_name = "oci|npm|pypi|remote")]
    form: Option<ImportForm>,
    /// How the server speaks, where its description does not say.
    #[arg(long, value_parser = transport, value_name = "stdio|http:PORT/PATH|sse:PORT/PATH")]
    transport: Option<Transport>,
    /// Of a registry: only servers with this in their name.
    #[arg(long)]
    search: Option<String>,
    /// Of a registry: only the server of this name.
    #[arg(long, value_name = "NAME", conflicts_with = "search")]
    server: Option<String>,
    /// Of a registry: this version in place of the latest.
    #[arg(long = "server-version", value_name = "VERSION", requires = "server")]
    version: Option<String>,
    /// Of a registry: at most so many servers; all unless given.
    #[arg(long, conflicts_with = "server")]
    limit: Option<u32>,
}

fn form(text: &str) -> Result<ImportForm, String> {
    from_word(text, "oci, npm, pypi or remote")
}

fn transport(text: &str) -> Result<Transport, String> {
    agentopia_catalog_import::image::transport(text).map_err(|problem| problem.to_string())
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let read = file::read(&args.source).await?;
    let import = match read {
        Some(file::Read::Ours(definitions)) => ours(&client, args, app, definitions).await?,
        Some(file::Read::Theirs(document)) => {
            let request = CatalogImportRequest {
                document: Some(document),
                ..request(args)
            };
            imported(&client, app, &request).await?
        }
        None => {
            let request = CatalogImportRequest {
                source: Some(args.source.clone()),
                ..request(args)
            };
            all_pages(&client, app, args, request).await?
        }
    };
    app.out.result(&import, || shown::text(&import))
}

fn request(args: &Args) -> CatalogImportRequest {
    CatalogImportRequest {
        form: args.form,
        transport: args.transport.clone(),
        slug: args.slug.clone(),
        search: args.search.clone(),
        server: args.server.clone(),
        version: args.version.clone(),
        replace: args.replace,
        dry_run: args.dry_run,
        ..CatalogImportRequest::default()
    }
}

async fn imported(
    client: &Client,
    app: &App,
    request: &CatalogImportRequest,
) -> Result<CatalogImport, Failure> {
    client.import_catalog(request).await.map_err(|error| {
        if let ClientError::Problem(problem) = &error
            && problem.code == "duplicate"
        {
            app.out
                .note("hint: --replace replaces the entry that is there, --slug makes another one");
        }
        error.into()
    })
}

/// A registry page by page; everything else is one answer.
async fn all_pages(
    client: &Client,
    app: &App,
    args: &Args,
    mut request: CatalogImportRequest,
) -> Result<CatalogImport, Failure> {
    const PAGE: u32 = 50;
    let mut items: Vec<ImportItem> = Vec::new();
    loop {
        if request.server.is_none() && args.source.starts_with("registry:") {
            let had = u32::try_from(items.len()).unwrap_or(u32::MAX);
            let missing = args.limit.map_or(PAGE, |most| most.saturating_sub(had));
            if missing == 0 {
                break;
            }
            request.limit = Some(missing.min(PAGE));
        } else {
            request.limit = args.limit;
        }
        let page = imported(client, app, &request).await?;
        let ended = page.items.is_empty();
        items.extend(page.items);
        request.cursor = page.next_cursor;
        if request.cursor.is_none() || ended {
            break;
        }
        app.out.note(&format!("{} servers so far", items.len()));
    }
    Ok(CatalogImport {
        items,
        next_cursor: None,
    })
}

/// Entries in our own words, which need no reading by the server.
async fn ours(
    client: &Client,
    args: &Args,
    app: &App,
    definitions: Vec<CatalogDefinition>,
) -> Result<CatalogImport, Failure> {
    if args.slug.is_some() && definitions.len() != 1 {
        return Err(Failure::Usage(
            "--slug is for one entry; this has several".to_owned(),
        ));
    }
    let mut items = Vec::with_capacity(definitions.len());
    for mut definition in definitions {
        if let Some(slug) = &args.slug {
            definition.slug.clone_from(slug);
        }
        let (definition, outcome) = if args.dry_run {
            (definition, ImportOutcome::Draft)
        } else {
            saved(client, args, app, &definition).await?
        };
        items.push(ImportItem {
            name: definition.slug.clone(),
            outcome,
            definition: Some(definition),
            notes: Vec::new(),
            problem: None,
        });
    }
    Ok(CatalogImport {
        items,
        next_cursor: None,
    })
}

async fn saved(
    client: &Client,
    args: &Args,
    app: &App,
    definition: &CatalogDefinition,
) -> Result<(CatalogDefinition, ImportOutcome), Failure> {
    match client.create_catalog_entry(definition).await {
        Ok(entry) => Ok((entry.definition, ImportOutcome::Added)),
        Err(ClientError::Problem(problem)) if problem.code == "duplicate" => {
            if !args.replace {
                app.out
                    .note("hint: --replace replaces the entry that is there");
                return Err(ClientError::Problem(problem).into());
            }
            let entry = client.replace_catalog_entry(definition).await?;
            Ok((entry.definition, ImportOutcome::Replaced))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_read_in_one_word() {
        assert_eq!(transport("stdio").unwrap(), Transport::default());
        assert_eq!(
            transport("http:8000/mcp").unwrap(),
            Transport::StreamableHttp {
                port: 8000,
                path: "/mcp".into()
            }
        );
        for bad in ["http", "http:x/y", "http:1", "ftp:1/x", "sse:99999/x"] {
            assert!(transport(bad).is_err(), "{bad}");
        }
    }
}
