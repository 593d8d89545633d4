//! Pages of lists: 20 things by default, 200 at most, links only to pages that are somewhere else.
//!
//! More than 200 a page are cut to 200, as DigitalOcean does; a page that is no number from 1 is
//! refused, which is our own strictness.

use axum::response::Response;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::answer::ok;
use super::call::Call;
use crate::refusal::Refusal;

const DEFAULT: usize = 20;
const MOST: usize = 200;

impl Call {
    /// The page of `items` that was asked for, under `key`.
    ///
    /// # Errors
    /// 422 for a page that can't be.
    pub(super) fn page<T>(
        &self,
        key: &str,
        items: &[T],
        render: impl Fn(&T) -> Value,
    ) -> Result<Response, Refusal> {
        let page = self.number("page", 1)?;
        let per_page = self.number("per_page", DEFAULT)?.min(MOST);
        let start = (page - 1).saturating_mul(per_page);
        let rendered: Vec<_> = items
            .iter()
            .skip(start)
            .take(per_page)
            .map(render)
            .collect();
        let links = self.links(page, items.len().div_ceil(per_page).max(1));
        Ok(ok(&json!({
            key: rendered,
            "links": links,
            "meta": {"total": items.len()},
        })))
    }

    fn number(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        match self.parameter(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(Refusal::unprocessable(format!(
                    "{name} must be a number greater than 0"
                ))),
            },
        }
    }

    fn links(&self, page: usize, last: usize) -> Value {
        let mut pages = Map::new();
        let mut link = |name: &str, to: usize| {
            pages.insert(name.to_owned(), self.link_to(to).into());
        };
        if page > 1 {
            link("first", 1);
            link("prev", (page - 1).min(last));
        }
        if page < last {
            link("next", page + 1);
            link("last", last);
        }
        if pages.is_empty() {
            json!({})
        } else {
            json!({"pages": pages})
        }
    }

    /// This very request, for another page.
    fn link_to(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("page", &page.to_string());
        for (key, value) in self.query.iter().filter(|(key, _)| key != "page") {
            query.append_pair(key, value);
        }
        format!("{}{}?{}", self.base_url, self.path, query.finish())
    }
}
