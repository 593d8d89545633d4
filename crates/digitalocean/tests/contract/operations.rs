//! The operations that the contract has.

use http::Method;

const CONTRACT: &str = include_str!("../../contract/openapi.yaml");

/// A method and an address with places for names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    method: String,
    path: String,
}

impl Operation {
    /// Whether a request is this operation.
    pub(crate) fn is(&self, method: &Method, path: &str) -> bool {
        self.method.eq_ignore_ascii_case(method.as_str())
            && self.path.split('/').count() == path.split('/').count()
            && self
                .path
                .split('/')
                .zip(path.split('/'))
                // "default" and "actions" are operations of their own and no names.
                .all(|(place, part)| {
                    place == part
                        || (place.starts_with('{') && !matches!(part, "default" | "actions"))
                })
    }
}

/// Reads them by their indentation, which is how the file was written: a parser of YAML for this
/// alone would be too much.
pub(crate) fn of_contract() -> Vec<Operation> {
    let mut operations = Vec::new();
    let mut named = 0;
    let mut path = None;
    let paths = CONTRACT
        .lines()
        .skip_while(|line| *line != "paths:")
        .skip(1);
    for line in paths.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        if let Some(found) = line.strip_prefix("  /") {
            path = Some(format!("/{}", found.trim_end_matches(':')));
        }
        let method = line
            .strip_prefix("    ")
            .and_then(|rest| rest.strip_suffix(':'));
        if let Some(method @ ("get" | "post" | "put" | "patch" | "delete")) = method {
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone().expect("a path before its methods"),
            });
        }
        named += usize::from(line.starts_with("      operationId: "));
    }
    // So that a file that is written otherwise is not taken for one without operations.
    assert!(!operations.is_empty());
    assert_eq!(operations.len(), named);
    operations
}
