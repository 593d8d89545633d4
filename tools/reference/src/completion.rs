//! Suggestions for arguments of prompts and for the template's id.

use rmcp::ErrorData;
use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference};

/// What could follow what was typed so far.
///
/// # Errors
///
/// There are more suggestions than an answer may hold, which would be a mistake of ours.
pub(crate) fn suggest(request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let known: &[&str] = match &request.r#ref {
        Reference::Prompt(_) => &["paris", "park", "party", "test://static-text"],
        Reference::Resource(_) => &["1", "12", "123"],
        _ => &[],
    };
    let fitting = known
        .iter()
        .filter(|word| word.starts_with(&request.argument.value))
        .map(ToString::to_string)
        .collect();
    let completion = CompletionInfo::with_all_values(fitting)
        .map_err(|problem| ErrorData::internal_error(problem, None))?;
    Ok(CompleteResult::new(completion))
}
