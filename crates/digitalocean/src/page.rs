//! Lists, page by page.

use std::marker::PhantomData;

use crate::client::{Call, Client};
use crate::envelope::{Many, Resource};
use crate::error::{Error, Reason};

/// The most items that a page can have (contract, `per_page`).
const PER_PAGE: usize = 200;
/// The most pages that a list may have: 10,000 items, far more than an account holds of anything we
/// list. A list that goes on after that goes round in circles.
const MAX_PAGES: usize = 50;

/// A list that is read page by page.
///
/// Pages are counted, not anchored: what is made or deleted while they are read can make an item
/// appear twice or not at all. Lists by tag or name, on which decisions hang, have one page.
#[derive(Debug)]
#[must_use = "nothing is asked before a page is"]
pub struct Pages<'c, T> {
    client: &'c Client,
    next: Option<Call>,
    read: usize,
    items: PhantomData<fn() -> T>,
}

impl<'c, T: Resource> Pages<'c, T> {
    pub(crate) fn new(client: &'c Client, call: Call) -> Self {
        Self {
            client,
            next: Some(call.query("per_page", PER_PAGE)),
            read: 0,
            items: PhantomData,
        }
    }

    /// The next page; `None` after the last one, and after an error.
    ///
    /// # Errors
    /// See [`Error`]. Also when the list goes on elsewhere than at DigitalOcean, or for ever: part
    /// of a list is never passed off as the whole.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, Error> {
        let Some(call) = self.next.take() else {
            return Ok(None);
        };
        if self.read == MAX_PAGES {
            return Err(call.asked().invalid(Reason::TooManyPages(MAX_PAGES)));
        }
        let Many { items, next } = self.client.json::<Many<T>>(&call).await?;
        self.read += 1;
        if let Some(link) = next {
            let url = self.client.endpoint().follow(&link);
            let url = url.ok_or_else(|| call.asked().invalid(Reason::ForeignPage))?;
            self.next = Some(call.at(url));
        }
        Ok(Some(items))
    }

    /// All items.
    ///
    /// # Errors
    /// Those of [`Self::next`].
    pub async fn all(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
