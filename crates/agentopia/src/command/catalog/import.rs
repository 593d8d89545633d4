//! `agentopia catalog import FILE`.

use agentopia_domain::catalog::CatalogDefinition;

use crate::app::App;
use crate::client::ClientError;
use crate::failure::Failure;
use crate::input;

/// Add a tool to the catalog from a file in TOML or JSON (admins only).
///
/// The file says where the tool's image is, how it speaks MCP, which versions there are, what can be
/// set and which secrets it reads. `agentopia catalog show NAME -o json` shows how entries look.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia catalog import my-tool.toml
  agentopia catalog import my-tool.json --replace
  cat my-tool.toml | agentopia catalog import -

A small file:
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
    /// The file; `-` reads standard input.
    file: String,
    /// Replace the entry of the same slug if there is one.
    #[arg(long)]
    replace: bool,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let text = if args.file == "-" {
        input::all("definition").await?
    } else {
        std::fs::read_to_string(&args.file)
            .map_err(|error| Failure::Usage(format!("{} can't be read: {error}", args.file)))?
    };
    let definition =
        parse(&text).map_err(|problem| Failure::Usage(format!("{}: {problem}", args.file)))?;
    let client = app.client()?;
    let (entry, done) = match client.create_catalog_entry(&definition).await {
        Ok(entry) => (entry, "added"),
        Err(ClientError::Problem(problem)) if problem.code == "duplicate" => {
            if !args.replace {
                app.out
                    .note("hint: --replace replaces the entry that is there");
                return Err(ClientError::Problem(problem).into());
            }
            (client.replace_catalog_entry(&definition).await?, "replaced")
        }
        Err(error) => return Err(error.into()),
    };
    app.out
        .result(&entry, || format!("{done} {}", entry.definition.slug))
}

/// JSON where it begins like an object, TOML otherwise.
fn parse(text: &str) -> Result<CatalogDefinition, String> {
    let definition: CatalogDefinition = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        toml::from_str(text).map_err(|error| error.to_string())?
    };
    definition.check().map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        all.join("\n  ")
    })?;
    Ok(definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
        slug = "my-tool"
        name = "My tool"
        status = "available"
        default_version = "1.0"
        packaging = { type = "docker_image", image = "registry.example/my-tool" }
        transport = { type = "stdio" }
        [[versions]]
        version = "1.0"
        tag = "1.0"
    "#;

    #[test]
    fn both_forms_mean_the_same() {
        let from_toml = parse(TOML).unwrap();
        let json = serde_json::to_string(&from_toml).unwrap();
        assert_eq!(parse(&json).unwrap(), from_toml);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = TOML.replace("my-tool\"\n        name", "My Tool\"\n        name");
        assert!(parse(&text).unwrap_err().contains("slug"));
        assert!(
            parse(&TOML.replace("tag", "tagg"))
                .unwrap_err()
                .contains("tagg")
        );
        assert!(parse("{\"slug\":1}").is_err());
    }
}
