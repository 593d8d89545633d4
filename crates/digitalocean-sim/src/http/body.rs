//! Bodies of requests, and the names that can be a number or a text.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::call::Call;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::{ImageId, ImageRef, KeyId, KeyRef};

impl Call {
    /// The body.
    ///
    /// # Errors
    /// 400 where it is no JSON, 422 where it is not of the right form.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| match error.classify() {
            Category::Data => Refusal::unprocessable(error.to_string()),
            Category::Io | Category::Syntax | Category::Eof => Refusal::new(
                RefusalKind::BadRequest,
                "The request body is not valid JSON.",
            ),
        })
    }
}

/// An id, or a slug or fingerprint.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an id or a name")]
pub(super) enum NumberOrText {
    Number(u64),
    Text(String),
}

impl From<&str> for NumberOrText {
    fn from(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Text(text.to_owned()),
        }
    }
}

impl From<NumberOrText> for ImageRef {
    fn from(name: NumberOrText) -> Self {
        match name {
            NumberOrText::Number(number) => Self::Id(ImageId(number)),
            NumberOrText::Text(text) => match text.parse() {
                Ok(number) => Self::Id(ImageId(number)),
                Err(_) => Self::Slug(text),
            },
        }
    }
}

impl From<NumberOrText> for KeyRef {
    fn from(name: NumberOrText) -> Self {
        match name {
            NumberOrText::Number(number) => Self::Id(KeyId(number)),
            NumberOrText::Text(text) => match text.parse() {
                Ok(number) => Self::Id(KeyId(number)),
                Err(_) => Self::Fingerprint(text),
            },
        }
    }
}
