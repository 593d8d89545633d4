//! The known cases, how they are recognised, and what to do about them.
//!
//! DigitalOcean has one code, `unprocessable_entity`, for all that is wrong with a request, so most
//! cases are told apart by its words. The words below are those that its clients' issue trackers
//! show; anything else stays [`Reason::Refused`], final, with the words as they came.

use http::StatusCode;

use crate::input::InputError;

/// Which of the known cases a failure is. What it prints stands in for DigitalOcean's own words
/// where there are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The token is unknown, or not one at all.
    #[error("the token is not accepted")]
    BadToken,
    /// The token may not do this.
    #[error("the token does not allow it")]
    MissingScope,
    /// The account has as many droplets as it may.
    #[error("the account's droplet limit is reached")]
    DropletLimit,
    /// No such region, or no new droplets there.
    #[error("the region is not available")]
    UnknownRegion,
    /// No such size, or not in that region.
    #[error("the size is not available")]
    UnknownSize,
    /// No such image, or not in that region.
    #[error("the image is not available")]
    UnknownImage,
    /// No such SSH key in the account.
    #[error("the SSH key is not known")]
    UnknownKey,
    /// The server that the droplet is on has no room for a larger one.
    #[error("the droplet's server has no room for this size")]
    NoRoomToResize,
    /// Firewalls have unique names.
    #[error("the name is in use")]
    NameInUse,
    /// The droplet is busy with something else.
    #[error("the droplet is busy with something else")]
    PendingEvent,
    /// There is no such thing, as DigitalOcean itself says.
    #[error("there is no such thing")]
    NotFound,
    /// Refused for another reason; DigitalOcean's words say which.
    #[error("it was refused")]
    Refused,
    /// Our own check found that it can't be sent.
    #[error(transparent)]
    Input(#[from] InputError),
    /// An error on DigitalOcean's side.
    #[error("DigitalOcean has an error on its side")]
    ServerError,
    /// Something in between answered, or DigitalOcean in a way that is not its own: HTML, a
    /// redirect, nothing.
    #[error("the answer was not one of DigitalOcean's API; a gateway or proxy on the way gave it")]
    Gateway,
    /// No connection came about: nothing was sent.
    #[error("DigitalOcean can't be reached: {0}")]
    Unreachable(String),
    /// It was sent, and no whole answer came back.
    #[error("DigitalOcean gave no answer: {0}")]
    Unanswered(String),
    /// A success whose content this version can't read.
    #[error("the answer was not understood: {0}")]
    NotUnderstood(String),
    /// The next page of a list is somewhere else, where the token must not be sent.
    #[error("the list goes on at an address that is not DigitalOcean's")]
    ForeignPage,
    /// A list does not end.
    #[error("the list has more than {0} pages")]
    TooManyPages(usize),
}

impl Reason {
    /// What to do about it, for whoever runs the product.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadToken => {
                "make a new personal access token in DigitalOcean's control panel \
                               (API, Tokens) and configure that"
            }
            Self::MissingScope => {
                "give the token full access, or at least the scopes droplet, \
                                   firewall, tag, project, image, regions, sizes, actions, ssh_key \
                                   and account, as far as they are used"
            }
            Self::DropletLimit => {
                "delete droplets that are not needed, or ask DigitalOcean for a \
                                   higher droplet limit (control panel, Settings, Team)"
            }
            Self::UnknownRegion => {
                "choose another region: those of GET /v2/regions with \
                                    \"available\": true"
            }
            Self::UnknownSize => {
                "choose another size, or a region that has it: GET /v2/sizes tells"
            }
            Self::UnknownImage => {
                "choose another image; public ones go by their slug, such as \
                                   ubuntu-24-04-x64"
            }
            Self::UnknownKey => {
                "add the SSH key to the account (control panel, Settings, Security) \
                                 and name it by id or fingerprint, or leave it out"
            }
            Self::NoRoomToResize => {
                "choose a smaller size, or delete the machine and enable a new one"
            }
            Self::NameInUse => "delete or rename what has the name",
            Self::PendingEvent => "try again when the droplet's present action has ended",
            _ => return None,
        })
    }

    /// Reads what DigitalOcean said.
    pub(super) fn recognise(status: StatusCode, code: &str, words: &str) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::BadToken,
            StatusCode::FORBIDDEN => Self::by_words(words).unwrap_or(Self::MissingScope),
            StatusCode::NOT_FOUND if code == "not_found" => Self::NotFound,
            status if status.is_server_error() => Self::ServerError,
            _ => Self::by_words(words).unwrap_or(Self::Refused),
        }
    }

    fn by_words(words: &str) -> Option<Self> {
        let words = words.to_ascii_lowercase();
        let has = |part: &str| words.contains(part);
        // "Droplet already has a pending event."
        if has("pending event") {
            return Some(Self::PendingEvent);
        }
        // "creating this/these droplet(s) will exceed your droplet limit"
        if has("droplet limit") {
            return Some(Self::DropletLimit);
        }
        // "Size is too large to fit on your droplet's server"
        if has("too large to fit") {
            return Some(Self::NoRoomToResize);
        }
        // "1234 are invalid key identifiers for Droplet creation.", "You specified invalid ssh key
        // ids for Droplet creation."
        if has("invalid key identifier") || has("invalid ssh key") {
            return Some(Self::UnknownKey);
        }
        // "You specified an invalid size for Droplet creation.", "Size is not available in this
        // region.", "Region is not available", "The image you specified is not available in the
        // selected region, …": the first noun is what is meant.
        if has("is not available") || has("specified an invalid") || has("is unavailable") {
            return [
                ("size", Self::UnknownSize),
                ("image", Self::UnknownImage),
                ("region", Self::UnknownRegion),
            ]
            .into_iter()
            .filter_map(|(noun, reason)| Some((words.find(noun)?, reason)))
            .min_by_key(|(at, _)| *at)
            .map(|(_, reason)| reason);
        }
        // "duplicate name", with a 409
        (has("duplicate name") || has("already in use")).then_some(Self::NameInUse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_are_known_tell_the_case() {
        for (words, reason) in [
            ("Droplet already has a pending event.", Reason::PendingEvent),
            (
                "creating this/these droplet(s) will exceed your droplet limit",
                Reason::DropletLimit,
            ),
            (
                "Size is too large to fit on your droplet's server",
                Reason::NoRoomToResize,
            ),
            (
                "4711 are invalid key identifiers for Droplet creation.",
                Reason::UnknownKey,
            ),
            (
                "You specified invalid ssh key ids for Droplet creation.",
                Reason::UnknownKey,
            ),
            (
                "You specified an invalid size for Droplet creation.",
                Reason::UnknownSize,
            ),
            (
                "You specified an invalid region for Droplet creation.",
                Reason::UnknownRegion,
            ),
            (
                "You specified an invalid image for Droplet creation.",
                Reason::UnknownImage,
            ),
            ("Size is not available in this region.", Reason::UnknownSize),
            ("Region is not available", Reason::UnknownRegion),
            (
                "The image you specified is not available in the selected region, you can \
                 transfer it to this region from the images pages.",
                Reason::UnknownImage,
            ),
            (
                "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)",
                Reason::Refused,
            ),
            ("duplicate name", Reason::NameInUse),
            ("invalid address", Reason::Refused),
        ] {
            let found = Reason::recognise(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unprocessable_entity",
                words,
            );
            assert_eq!(found, reason, "{words}");
        }
    }

    #[test]
    fn the_status_tells_the_rest() {
        let case = |status: u16, code| {
            Reason::recognise(StatusCode::from_u16(status).unwrap(), code, "words")
        };
        assert_eq!(case(401, "unauthorized"), Reason::BadToken);
        assert_eq!(case(403, "forbidden"), Reason::MissingScope);
        assert_eq!(case(404, "not_found"), Reason::NotFound);
        assert_eq!(case(404, "no_route"), Reason::Refused);
        assert_eq!(case(409, "conflict"), Reason::Refused);
        assert_eq!(case(412, "precondition_failed"), Reason::Refused);
        assert_eq!(case(500, "server_error"), Reason::ServerError);
    }
}
