//! An address as anybody finds it: its name, its certificate, and who answers. No token is sent.

use std::error::Error;
use std::time::Duration;

use agentopia_api::health::Health;
use agentopia_domain::verification::{Check, Outcome};
use agentopia_pki::PeerCertificate;
use chrono::{DateTime, Utc};
use reqwest::tls::TlsInfo;
use rustls::CertificateError;
use url::{Host, Url};

pub(super) const DNS: &str = "public_url.dns";
const TLS: &str = "public_url.tls";
const ANSWER: &str = "public_url.answer";
/// How long each part may take.
const LIMIT: Duration = Duration::from_secs(10);
/// From when on somebody should look why a certificate was not renewed.
const DAYS_WORTH_TELLING: i64 = 14;

/// What is found at `url`, where `installation` should answer if that is known.
pub(super) async fn look(url: &Url, installation: Option<&str>, now: DateTime<Utc>) -> Vec<Check> {
    let dns = name(url).await;
    if dns.outcome == Outcome::Failed {
        let why = "without an address nothing can be asked there";
        return vec![dns, Check::skipped(TLS, why), Check::skipped(ANSWER, why)];
    }
    let mut checks = vec![dns];
    checks.extend(ask(url, installation, now).await);
    checks
}

async fn name(url: &Url) -> Check {
    let (host, port) = match (url.host(), url.port_or_known_default()) {
        (Some(Host::Domain(host)), Some(port)) => (host, port),
        (Some(_), _) => return Check::ok(DNS, format!("{url} needs no name")),
        (None, _) => return Check::failed(DNS, format!("{url} has no host: set `public_url`")),
    };
    let make = "make a DNS record for it that leads to the control plane or the proxy before it, \
                or set `public_url` to another one";
    match tokio::time::timeout(LIMIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut found: Vec<String> = found.map(|it| it.ip().to_string()).collect();
            found.dedup();
            Check::ok(DNS, format!("{host} is {}", found.join(", ")))
        }
        Ok(Err(error)) => Check::failed(DNS, format!("{host} has no address ({error}): {make}")),
        Err(_) => Check::failed(
            DNS,
            format!(
                "nobody tells the address of {host} within {} s: {make}",
                LIMIT.as_secs()
            ),
        ),
    }
}

/// Certificate and answer, by one request.
async fn ask(url: &Url, installation: Option<&str>, now: DateTime<Utc>) -> [Check; 2] {
    let unencrypted = || Check::skipped(TLS, "it is an http:// address");
    let encrypted = url.scheme() == "https";
    let response = match send(url).await {
        Ok(response) => response,
        Err(error) => {
            return match certificate_problem(&error) {
                Some(problem) => [
                    Check::failed(TLS, problem),
                    Check::skipped(ANSWER, "without a valid certificate no client asks on"),
                ],
                None => [
                    if encrypted {
                        Check::skipped(TLS, "nobody showed a certificate: see public_url.answer")
                    } else {
                        unencrypted()
                    },
                    Check::failed(
                        ANSWER,
                        format!(
                            "{url} can't be reached from here ({}): look whether the server and \
                             the proxy before it run, and at firewalls on the way",
                            chain(&error)
                        ),
                    ),
                ],
            };
        }
    };
    let tls = if encrypted {
        shown(response.extensions().get(), now)
    } else {
        unencrypted()
    };
    [tls, answer(url, response, installation).await]
}

async fn send(url: &Url) -> Result<reqwest::Response, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .tls_info(true)
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none());
    if url.scheme() == "http" {
        // As for every command: without redirects nothing here becomes HTTPS, and reading this
        // machine's certificates fails where there are none.
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        builder = builder.tls_backend_preconfigured(tls);
    }
    if crate::client::is_loopback(url) {
        builder = builder.no_proxy();
    }
    let mut health = url.clone();
    health.set_path("/health");
    builder.build()?.get(health).send().await
}

/// How long the certificate that was shown and believed goes on.
fn shown(info: Option<&TlsInfo>, now: DateTime<Utc>) -> Check {
    let der = info.and_then(TlsInfo::peer_certificate);
    let Some(Ok(certificate)) = der.map(PeerCertificate::parse) else {
        return Check::warning(TLS, "its certificate is valid, but can't be read here");
    };
    let days = (certificate.not_after - now).num_days();
    if days < DAYS_WORTH_TELLING {
        return Check::warning(
            TLS,
            format!(
                "its certificate ends in {days} days: look why whatever renews it has not done so"
            ),
        );
    }
    Check::ok(
        TLS,
        format!("its certificate is valid for {days} more days"),
    )
}

/// What is wrong with a certificate, if that is why there was no answer.
fn certificate_problem(error: &(dyn Error + 'static)) -> Option<String> {
    tls_error(error).map(explain)
}

/// The error of TLS among the causes. Layers on the way wrap it in errors of input and output, whose
/// `source` leaves out what they hold.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let held = error.downcast_ref::<std::io::Error>();
    if let Some(held) = held.and_then(std::io::Error::get_ref)
        && let Some(found) = tls_error(held)
    {
        return Some(found);
    }
    tls_error(error.source()?)
}

fn explain(error: &rustls::Error) -> String {
    use CertificateError as C;
    let advice = match error {
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its certificate has expired: renew it, and look why that was not done by itself"
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: look at the clocks of this machine and of the one \
             that made it"
        }
        rustls::Error::InvalidCertificate(
            C::NotValidForName | C::NotValidForNameContext { .. },
        ) => {
            "its certificate is for another name: get one for the host in `public_url`, or set \
             that to the name in the certificate"
        }
        rustls::Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => {
            "its certificate was issued by nobody whom this machine trusts: get one from a public \
             authority, serve it with the whole chain, or add your own authority to this machine"
        }
        _ => "no encrypted connection comes about: look at the TLS of the proxy before the server",
    };
    format!("{advice} ({error})")
}

async fn answer(url: &Url, response: reqwest::Response, installation: Option<&str>) -> Check {
    let status = response.status();
    let health = response.json::<Health>().await;
    let Ok(health) = health else {
        return Check::failed(
            ANSWER,
            format!(
                "{url} answers {status}, and not as Agentopia: look where the proxy before the \
                 server sends requests"
            ),
        );
    };
    match installation {
        Some(expected) if expected != health.installation => Check::failed(
            ANSWER,
            format!(
                "another installation of Agentopia answers at {url} ({}, not {expected}): look at \
                 `public_url`, at DNS, and where the proxy before the server sends requests",
                health.installation
            ),
        ),
        Some(_) => Check::ok(
            ANSWER,
            format!("{url} is this installation, {}", health.version),
        ),
        None => Check::ok(ANSWER, format!("{url} is Agentopia {}", health.version)),
    }
}

/// An error with everything that caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
