//! The transport of the tests: sends to Prism what is meant for DigitalOcean, and keeps what Prism
//! found wrong.

use std::sync::Mutex;

use agentopia_digitalocean::{Endpoint, HttpsTransport, Transport, TransportError};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri};
use serde_json::Value;

use crate::prism::Prism;

/// What Prism is to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answers {
    /// The contract's examples.
    Examples,
    /// Whatever the contract's schemas allow.
    MadeUp {
        /// Prism makes up the same for the same seed.
        seed: &'static str,
    },
    /// The example for a status.
    Status(u16),
}

impl Answers {
    /// The header by which Prism is told.
    fn prefer(self, method: &Method, path: &str) -> Option<String> {
        // Its example has the tag inside of another one, against its own schema.
        let wrong_example = *method == Method::GET && path.starts_with("/v2/tags/");
        // The schema is that of one droplet or of many, whichever Prism likes; we ask for one.
        let one_of_two = *method == Method::POST && path == "/v2/droplets";
        match self {
            Self::Status(status) => Some(format!("code={status}")),
            Self::Examples if wrong_example => Some("dynamic=true".to_owned()),
            Self::MadeUp { seed } if !one_of_two => Some(format!("dynamic=true, seed={seed}")),
            Self::Examples | Self::MadeUp { .. } => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct ToPrism {
    base: String,
    answers: Answers,
    http: HttpsTransport,
    called: Mutex<Vec<(Method, String)>>,
    violations: Mutex<Vec<String>>,
}

impl ToPrism {
    pub(crate) fn new(prism: &Prism, answers: Answers) -> Self {
        let endpoint = Endpoint::parse(&prism.base).unwrap();
        Self {
            base: prism.base.clone(),
            answers,
            http: HttpsTransport::new(&endpoint).unwrap(),
            called: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    /// What was sent: methods and paths.
    pub(crate) fn called(&self) -> Vec<(Method, String)> {
        self.called.lock().unwrap().clone()
    }

    /// What Prism found wrong since this was last asked.
    pub(crate) fn violations(&self) -> Vec<String> {
        std::mem::take(&mut *self.violations.lock().unwrap())
    }
}

#[async_trait]
impl Transport for ToPrism {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let uri = request.uri().clone();
        assert_eq!(uri.host(), Some("api.digitalocean.com"));
        let called = (request.method().clone(), uri.path().to_owned());
        if let Some(prefer) = self.answers.prefer(&called.0, &called.1) {
            request
                .headers_mut()
                .insert("prefer", HeaderValue::try_from(prefer).unwrap());
        }
        let there = format!("{}{}", self.base, uri.path_and_query().unwrap());
        *request.uri_mut() = Uri::try_from(there).unwrap();
        let mut answer = self.http.send(request).await?;

        let violations = answer
            .headers()
            .get("sl-violations")
            .map(|text| format!("{text:?}"));
        let problem = answer
            .headers()
            .get("content-type")
            .is_some_and(|kind| {
                kind.to_str()
                    .unwrap()
                    .starts_with("application/problem+json")
            })
            .then(|| String::from_utf8_lossy(answer.body()).into_owned());
        if let Some(found) = problem.or(violations) {
            let told = format!("{} {uri}: {found}", called.0);
            self.violations.lock().unwrap().push(told);
        }
        self.called.lock().unwrap().push(called);
        edit(&mut answer, matches!(self.answers, Answers::MadeUp { .. }));
        Ok(answer)
    }
}

/// Takes out what the contract says and can't mean.
fn edit(answer: &mut Response<Bytes>, made_up: bool) {
    if made_up {
        // They would hold up the tests.
        for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
            answer.headers_mut().remove(name);
        }
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(answer.body()) else {
        return;
    };
    // The example of a list of actions goes on with images, that of sizes with itself.
    if let Some(links) = body.get_mut("links").and_then(Value::as_object_mut) {
        links.remove("pages");
    }
    if made_up {
        make_positive(&mut body);
    }
    *answer.body_mut() = Bytes::from(body.to_string());
}

/// The schemas do not say that ids, sizes and prices are never negative.
fn make_positive(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                *value = integer.unsigned_abs().into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_positive),
        Value::Object(fields) => fields.values_mut().for_each(make_positive),
        _ => {}
    }
}
