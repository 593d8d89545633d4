//! The browser of somebody who signs in for an MCP client, or for us at a server that runs elsewhere:
//! follows redirects, keeps cookies for each origin, fills in the forms of the sign-in and consent pages,
//! and stops where it is sent to another origin. Cookies that are `SameSite=Strict` are left out where
//! another origin sent it on, as browsers do.

use std::collections::BTreeMap;

use agentopia_test_support::api::PASSWORD;
use anyhow::Context as _;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, header};
use url::{Origin, Url};

/// A page that is shown.
#[derive(Debug)]
pub struct Page {
    /// Where.
    pub url: Url,
    /// What.
    pub text: String,
}

#[derive(Debug)]
struct Cookie {
    value: String,
    strict: bool,
}

/// See the module's header.
#[derive(Debug)]
pub struct Browser {
    http: Client,
    /// By origin and name.
    cookies: BTreeMap<(String, String), Cookie>,
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
        let consent = self.sign_in(&login, email).await?;
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

    /// Opens an `address` that begins a login of ours elsewhere, signs in with us and there (another control
    /// plane) as `email`, agrees, and gives the page at the end, which is ours again.
    ///
    /// # Errors
    /// When a page is not the expected one.
    pub async fn log_in(&mut self, address: &str, email: &str) -> anyhow::Result<Page> {
        let start = Url::parse(address)?;
        let ours = start.origin();
        let login = self.open(start).await?.map_err(anyhow::Error::msg)?;
        let sent = match self.sign_in(&login, email).await? {
            // The page that goes on by itself, so that our cookie goes along.
            Ok(page) => {
                let href = between(&page.text, "href=\"/oauth/upstream?");
                let query = href.with_context(|| format!("no way on: {}", page.text))?;
                let next = page.url.join(&format!("/oauth/upstream?{query}"))?;
                self.open(next).await?
            }
            Err(elsewhere) => Err(elsewhere),
        };
        let there = sent.err().context("it was sent nowhere")?;
        let login = self.arrive(&there, &ours).await?;
        let theirs = login.url.origin();
        let consent = self.sign_in(&login, email).await?;
        let consent = consent.map_err(anyhow::Error::msg)?;
        let back = self.submit(&consent, &[("decision", "allow")]).await?;
        let back = back.err().context("it was not sent back")?;
        let end = self.arrive(&back, &theirs).await?;
        anyhow::ensure!(end.url.origin() == ours, "it ended at {}", end.url);
        Ok(end)
    }

    async fn sign_in(&mut self, login: &Page, email: &str) -> anyhow::Result<Result<Page, String>> {
        let fields = [("email", email), ("password", PASSWORD)];
        self.submit(login, &fields).await
    }

    /// The page at an address that another origin sent it to.
    async fn arrive(&mut self, address: &str, from: &Origin) -> anyhow::Result<Page> {
        let page = self.go(Url::parse(address)?, from).await?;
        page.map_err(anyhow::Error::msg)
    }

    /// The page at `url`, as typed, or the address of another program where it leads there.
    async fn open(&mut self, url: Url) -> anyhow::Result<Result<Page, String>> {
        let from = url.origin();
        self.go(url, &from).await
    }

    async fn go(&mut self, url: Url, from: &Origin) -> anyhow::Result<Result<Page, String>> {
        let request = self
            .http
            .get(url.clone())
            .header(header::COOKIE, self.cookie(&url, from));
        let answer = request.send().await?;
        self.follow(url, answer, from).await
    }

    async fn submit(
        &mut self,
        page: &Page,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Result<Page, String>> {
        let no_form = || format!("no form: {}", page.text);
        let action = between(&page.text, "action=\"").with_context(no_form)?;
        let csrf = between(&page.text, "name=\"csrf\" value=\"").with_context(no_form)?;
        let mut form = vec![("csrf", csrf.as_str())];
        form.extend(fields);
        let url = page.url.join(&action)?;
        let request = self
            .http
            .post(url.clone())
            .header(header::COOKIE, self.cookie(&url, &url.origin()))
            .header(header::ORIGIN, url.origin().ascii_serialization())
            .form(&form);
        let answer = request.send().await?;
        let from = url.origin();
        self.follow(url, answer, &from).await
    }

    async fn follow(
        &mut self,
        url: Url,
        answer: Response,
        from: &Origin,
    ) -> anyhow::Result<Result<Page, String>> {
        let origin = url.origin().ascii_serialization();
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str()?;
            let pair = text.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie without a value")?;
            let cookie = Cookie {
                value: value.to_owned(),
                strict: text.contains("SameSite=Strict"),
            };
            self.cookies
                .insert((origin.clone(), name.to_owned()), cookie);
        }
        let Some(location) = answer.headers().get(header::LOCATION) else {
            let text = answer.text().await?;
            return Ok(Ok(Page { url, text }));
        };
        let next = url.join(location.to_str()?)?;
        if next.origin() != url.origin() {
            return Ok(Err(next.into()));
        }
        Box::pin(self.go(next, from)).await
    }

    fn cookie(&self, url: &Url, from: &Origin) -> String {
        let origin = url.origin();
        let is_same = origin == *from;
        let origin = origin.ascii_serialization();
        let shown = self
            .cookies
            .iter()
            .filter(|((of, _), cookie)| *of == origin && (is_same || !cookie.strict));
        let pairs = shown.map(|((_, name), cookie)| format!("{name}={}", cookie.value));
        pairs.collect::<Vec<_>>().join("; ")
    }
}

/// What stands between `begin` and the next quote.
fn between(text: &str, begin: &str) -> Option<String> {
    let (_, rest) = text.split_once(begin)?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&amp;", "&"))
}
