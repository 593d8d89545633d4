//! Files and standard input: entries in our own words are told from everybody else's.

use std::path::Path;

use agentopia_api::catalog_import::CatalogImport;
use agentopia_domain::catalog::CatalogDefinition;

use crate::failure::Failure;
use crate::input;

/// No description of servers is longer; the server would refuse it anyway.
const MOST: u64 = 16 << 20;

/// What a file has.
#[derive(Debug, PartialEq)]
pub(in crate::command::catalog) enum Read {
    /// Definitions of entries.
    Ours(Vec<CatalogDefinition>),
    /// A text that the server takes apart.
    Theirs(String),
}

/// Reads `source` if it is a file or standard input. Entries of ours can be used.
pub(super) async fn read(source: &str) -> Result<Option<Read>, Failure> {
    let read = read_unchecked(source).await?;
    if let Some(Read::Ours(definitions)) = &read {
        for definition in definitions {
            check(definition).map_err(|problem| wrong(source, &problem))?;
        }
    }
    Ok(read)
}

/// The same of entries that may break rules of entries.
pub(in crate::command::catalog) async fn read_unchecked(
    source: &str,
) -> Result<Option<Read>, Failure> {
    if source == "-" {
        let text = input::all("description").await?;
        return parse(&text)
            .map(Some)
            .map_err(|problem| wrong(source, &problem));
    }
    let path = Path::new(source);
    // What ends like a file was meant as one; that it is missing is better said than guessed round.
    let looks_like_one = ["/", "./", "../"]
        .iter()
        .any(|begin| source.starts_with(begin))
        || (!source.contains([':', '@'])
            && [".json", ".toml"].iter().any(|end| source.ends_with(end)));
    if !looks_like_one && !path.is_file() {
        return Ok(None);
    }
    let unreadable = |error: std::io::Error| wrong(source, &format!("can't be read: {error}"));
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > MOST {
        return Err(wrong(
            source,
            &format!("has {length} bytes; descriptions of servers have {MOST} at most"),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text)
        .map(Some)
        .map_err(|problem| wrong(source, &problem))
}

fn wrong(source: &str, problem: &str) -> Failure {
    Failure::Usage(format!("{source}: {problem}"))
}

/// TOML is ours; JSON is ours where it has a `slug`, or where it is what `--dry-run` printed.
fn parse(text: &str) -> Result<Read, String> {
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    if begin.starts_with(['{', '"']) {
        return json(text);
    }
    let definition: CatalogDefinition = toml::from_str(text).map_err(|error| error.to_string())?;
    Ok(Read::Ours(vec![definition]))
}

fn json(text: &str) -> Result<Read, String> {
    let theirs = || Ok(Read::Theirs(text.to_owned()));
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        // The server says what is wrong with it.
        return theirs();
    };
    if value.get("slug").is_some() {
        let definition = serde_json::from_str(text).map_err(|error| error.to_string())?;
        return Ok(Read::Ours(vec![definition]));
    }
    let is_draft = |item: &serde_json::Value| item.get("outcome").is_some();
    let items = value.get("items").and_then(serde_json::Value::as_array);
    if !items.is_some_and(|items| items.iter().any(is_draft)) {
        return theirs();
    }
    let drafts: CatalogImport = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let definitions = drafts.items.into_iter().filter_map(|item| item.definition);
    let definitions: Vec<_> = definitions.collect();
    if definitions.is_empty() {
        return Err("there is no entry in it".to_owned());
    }
    Ok(Read::Ours(definitions))
}

fn check(definition: &CatalogDefinition) -> Result<(), String> {
    definition.check().map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        all.join("\n  ")
    })
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

    fn ours(text: &str) -> Vec<CatalogDefinition> {
        match parse(text).unwrap() {
            Read::Ours(definitions) => definitions,
            Read::Theirs(text) => panic!("theirs: {text}"),
        }
    }

    #[test]
    fn both_forms_mean_the_same() {
        let from_toml = ours(TOML);
        let json = serde_json::to_string(&from_toml[0]).unwrap();
        assert_eq!(ours(&json), from_toml);
        let drafts = format!(
            r#"{{"items":[{{"name":"x","outcome":"draft","definition":{json}}},{{"name":"y","outcome":"refused","problem":"p"}}]}}"#
        );
        assert_eq!(ours(&drafts), from_toml);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = TOML.replace("my-tool\"\n        name", "My Tool\"\n        name");
        assert!(check(&ours(&text)[0]).unwrap_err().contains("slug"));
        assert!(
            parse(&TOML.replace("tag", "tagg"))
                .unwrap_err()
                .contains("tagg")
        );
        assert!(parse("{\"slug\":1}").is_err());
    }

    #[test]
    fn what_is_not_ours_goes_to_the_server_as_it_is() {
        for text in [
            r#"{"mcpServers": {}}"#,
            r#""mcpServers": {}"#,
            r#"{"name": "a.b/c", "version": "1"}"#,
            "{ broken",
        ] {
            assert_eq!(parse(text).unwrap(), Read::Theirs(text.to_owned()));
        }
    }
}
