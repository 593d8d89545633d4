//! The browser of somebody who signs in for an MCP client: follows redirects, keeps cookies, fills in
//! the forms of the sign-in and consent pages, and stops where it is sent to the client.

use std::collections::BTreeMap;

use agentopia_test_support::api::PASSWORD;
use anyhow::Context as _;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, header};
use url::Url;

/// A page that is shown.
#[derive(Debug)]
pub struct Page {
    /// Where.
    pub url: Url,
    /// What.
    pub text: String,
}

/// See the module's header.
#[derive(Debug)]
pub struct Browser {
    http: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Without any cookie.
    ///
    /// # Errors
    /// Only when no HTTP client can be made.
    pub fn new() -> anyhow::Result<Self> {
        let http = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            cookies: BTreeMap::new(),
        })
    }

    /// Opens `address`, signs in as `email`, agrees, and gives the address that the browser was sent
    /// to; the consent page has to show all of `shown`.
    ///
    /// # Errors
    /// When a page is not the expected one.
    pub async fn allow(
        &mut self,
        address: &str,
        email: &str,
        shown: &[&str],
    ) -> anyhow::Result<String> {
        let start = Url::parse(address)?;
        let login = self.open(start).await?.map_err(anyhow::Error::msg)?;
        let fields = [("email", email), ("password", PASSWORD)];
        let consent = self.submit(&login, &fields).await?;
        let consent = consent.map_err(anyhow::Error::msg)?;
        for text in shown {
            anyhow::ensure!(consent.text.contains(text), "no {text}: {}", consent.text);
        }
        let went = self.submit(&consent, &[("decision", "allow")]).await?;
        match went {
            Err(client) => Ok(client),
            Ok(page) => anyhow::bail!("it stayed at {}: {}", page.url, page.text),
        }
    }

    /// The page at `url`, or the address of another program where it leads there.
    async fn open(&mut self, url: Url) -> anyhow::Result<Result<Page, String>> {
        let request = self
            .http
            .get(url.clone())
            .header(header::COOKIE, self.cookie());
        let answer = request.send().await?;
        self.follow(url, answer).await
    }

    async fn submit(
        &mut self,
        page: &Page,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Result<Page, String>> {
        let between = |begin: &str| {
            let (_, rest) = page.text.split_once(begin)?;
            rest.split_once('"')
                .map(|(value, _)| value.replace("&amp;", "&"))
        };
        let no_form = || format!("no form: {}", page.text);
        let action = between("action=\"").with_context(no_form)?;
        let csrf = between("name=\"csrf\" value=\"").with_context(no_form)?;
        let mut form = vec![("csrf", csrf.as_str())];
        form.extend(fields);
        let url = page.url.join(&action)?;
        let request = self
            .http
            .post(url.clone())
            .header(header::COOKIE, self.cookie())
            .header(header::ORIGIN, url.origin().ascii_serialization())
            .form(&form);
        let answer = request.send().await?;
        self.follow(url, answer).await
    }

    async fn follow(&mut self, url: Url, answer: Response) -> anyhow::Result<Result<Page, String>> {
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie without a value")?;
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let Some(location) = answer.headers().get(header::LOCATION) else {
            let text = answer.text().await?;
            return Ok(Ok(Page { url, text }));
        };
        let next = url.join(location.to_str()?)?;
        if next.origin() != url.origin() {
            return Ok(Err(next.into()));
        }
        Box::pin(self.open(next)).await
    }

    fn cookie(&self) -> String {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }
}
