//! Who a client is: one that registered (RFC 7591), or one whose id is the address of its metadata
//! document ([`super::document`]).

use agentopia_store::Store;

use super::document::{self, DocumentCache};
use super::redirect;
use crate::problem::{Answer, Refusal, kind};

/// The longest name that is shown, in characters.
const MAX_NAME: usize = 80;

/// A program that wants to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// The host that its metadata document is at; nobody vouches for one that registered.
    pub vouched_by: Option<String>,
    /// Where codes may be sent to.
    pub redirect_uris: Vec<String>,
}

impl Client {
    /// Whether codes may be sent to `asked`.
    #[must_use]
    pub fn may_be_answered_at(&self, asked: &str) -> bool {
        redirect::check(asked).is_ok()
            && self
                .redirect_uris
                .iter()
                .any(|registered| redirect::matches(registered, asked))
    }
}

/// Finds the client with this id.
///
/// # Errors
/// A refusal with a sentence for people.
pub async fn find(store: &Store, documents: &DocumentCache, id: &str) -> Answer<Client> {
    let unknown = || {
        Refusal::new(
            kind::NOT_FOUND,
            "The program that sent you here is not known, or its registration is over. Remove the \
             server's sign-in in the program and connect anew.",
        )
    };
    if document::is_address(id) {
        let found = documents.client(id).await;
        return found.map_err(|problem| Refusal::new(kind::INVALID_QUERY, problem));
    }
    let registered = match id.parse() {
        Ok(id) => store.oauth_clients().get_unscoped(id).await?,
        Err(_) => None,
    };
    let registered = registered.ok_or_else(unknown)?;
    Ok(Client {
        id: id.to_owned(),
        name: registered.name,
        vouched_by: None,
        redirect_uris: registered.redirect_uris,
    })
}

/// A name as it can be shown: one line, without characters that change how the text around it reads.
#[must_use]
pub fn clean_name(name: &str) -> String {
    let turns_text = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let clean: String = name
        .chars()
        .filter(|c| !c.is_control() && !turns_text(*c))
        .take(MAX_NAME)
        .collect();
    let clean = clean.trim();
    if clean.is_empty() {
        "A program without a name".to_owned()
    } else {
        clean.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_disguise_itself() {
        assert_eq!(clean_name(" Cla\u{202e}ude\n "), "Claude");
        assert_eq!(clean_name("\u{200b}"), "A program without a name");
        assert_eq!(clean_name(&"x".repeat(500)).len(), 80);
    }
}
