//! The browser of somebody who logs in: follows redirects, keeps cookies for each origin, fills in forms.
//! Cookies that are `SameSite=Strict` are left out where another origin sent it on, as browsers do.

use std::collections::BTreeMap;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, header};
use url::{Origin, Url};

const MOST_REDIRECTS: usize = 10;

/// A page that is shown.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) text: String,
}

#[derive(Debug)]
struct Cookie {
    value: String,
    strict: bool,
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Browser {
    http: Client,
    cookies: BTreeMap<String, BTreeMap<String, Cookie>>,
    /// Every address that it was at, redirects included.
    pub(crate) visited: Vec<Url>,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let http = Client::builder().redirect(Policy::none()).no_proxy();
        Self {
            http: http.build().unwrap(),
            cookies: BTreeMap::new(),
            visited: Vec::new(),
        }
    }

    /// As typed into the address bar.
    pub(crate) async fn open(&mut self, address: &str) -> Page {
        let url: Url = address.parse().unwrap();
        let from = url.origin();
        self.go(url, from).await
    }

    /// Opens an address of a login, signs in with us and at `there`, which is a control plane too, and
    /// agrees; gives the page at the end.
    pub(crate) async fn log_in(&mut self, address: &str, email: &str) -> Page {
        let ours = self.open(address).await;
        assert!(ours.text.contains("Sign in"), "{ours:?}");
        let theirs = self.sign_in(&ours, email).await;
        assert!(theirs.text.contains("Sign in"), "{theirs:?}");
        let consent = self.sign_in(&theirs, "a@example.com").await;
        assert!(consent.text.contains("Allow access?"), "{consent:?}");
        self.submit(&consent, &[("decision", "allow")]).await
    }

    pub(crate) async fn sign_in(&mut self, page: &Page, email: &str) -> Page {
        let fields = [("email", email), ("password", "correct horse battery")];
        let next = self.submit(page, &fields).await;
        match between(&next.text, "href=\"/oauth/upstream?") {
            Some(query) => {
                let link = next.url.join(&format!("/oauth/upstream?{query}")).unwrap();
                let from = link.origin();
                self.go(link, from).await
            }
            None => next,
        }
    }

    pub(crate) async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let between = |begin: &str| between(&page.text, begin);
        let action = between("action=\"").unwrap_or_else(|| panic!("no form: {page:?}"));
        let csrf = between("name=\"csrf\" value=\"").unwrap();
        let mut form = vec![("csrf", csrf.as_str())];
        form.extend(fields);
        let url = page.url.join(&action).unwrap();
        let request = self.http.post(url.clone());
        let request = request
            .header(header::COOKIE, self.shown_to(&url, &url.origin()))
            .header(header::ORIGIN, url.origin().ascii_serialization())
            .form(&form);
        let answer = request.send().await.unwrap();
        self.follow(url, answer).await
    }

    async fn go(&mut self, url: Url, from: Origin) -> Page {
        let request = self.http.get(url.clone());
        let request = request.header(header::COOKIE, self.shown_to(&url, &from));
        let answer = request.send().await.unwrap();
        self.follow(url, answer).await
    }

    async fn follow(&mut self, url: Url, answer: Response) -> Page {
        assert!(
            self.visited.len() < 10 * MOST_REDIRECTS,
            "{:?}",
            self.visited
        );
        self.visited.push(url.clone());
        let origin = url.origin().ascii_serialization();
        let jar = self.cookies.entry(origin).or_default();
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let pair = text.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let cookie = Cookie {
                value: value.to_owned(),
                strict: text.contains("SameSite=Strict"),
            };
            jar.insert(name.to_owned(), cookie);
        }
        if let Some(location) = answer.headers().get(header::LOCATION) {
            let next = url.join(location.to_str().unwrap()).unwrap();
            return Box::pin(self.go(next, url.origin())).await;
        }
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        Page { url, status, text }
    }

    fn shown_to(&self, url: &Url, from: &Origin) -> String {
        let jar = self.cookies.get(&url.origin().ascii_serialization());
        let is_same = url.origin() == *from;
        let shown = jar.into_iter().flatten();
        let shown = shown.filter(|(_, cookie)| is_same || !cookie.strict);
        let pairs = shown.map(|(name, cookie)| format!("{name}={}", cookie.value));
        pairs.collect::<Vec<_>>().join("; ")
    }
}

/// What stands between `begin` and the next quote.
fn between(text: &str, begin: &str) -> Option<String> {
    let (_, rest) = text.split_once(begin)?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&amp;", "&"))
}
