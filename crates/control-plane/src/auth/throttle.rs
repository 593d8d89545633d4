//! How fast passwords and set-up tokens may be guessed.
//!
//! Windows of growing length: a person who mistypes waits a minute at most, a program gets a few
//! dozen guesses a day. The strict limits are for one e-mail address from one network address: if
//! they were for the e-mail address alone, anybody could lock anybody else out. Attempts are counted
//! in the store before the password is looked at, so a restart or another replica forgets nothing,
//! and unknown addresses are counted like known ones.

use std::net::IpAddr;
use std::time::Duration;

use agentopia_domain::token::TokenHash;
use agentopia_store::ThrottleRule;

use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Attempts allowed for one e-mail address from one network address: limit, window in seconds.
const PER_EMAIL_AND_IP: [(u32, u64); 3] = [(5, MINUTE), (15, HOUR), (40, 24 * HOUR)];
/// Attempts allowed for one e-mail address from everywhere together.
const PER_EMAIL: [(u32, u64); 2] = [(30, MINUTE), (200, HOUR)];
/// Attempts allowed from one address, behind which there may be an office.
const PER_IP: [(u32, u64); 2] = [(60, MINUTE), (600, HOUR)];
/// Registrations of MCP clients from one address: few enough that one can not take all the room there
/// is for them.
const REGISTRATIONS: [(u32, u64); 2] = [(30, MINUTE), (100, HOUR)];

/// Counts one attempt to sign in as `email` (already normalised).
///
/// # Errors
/// A refusal with the seconds to wait.
pub async fn sign_in(state: &AppState, email: &str, ip: Option<IpAddr>) -> Answer<()> {
    let mut rules = email_rules(email, ip);
    rules.extend(ip_rules("login", ip));
    attempt(state, &rules).await
}

/// Counts one attempt to use a set-up token.
///
/// # Errors
/// A refusal with the seconds to wait.
pub async fn setup(state: &AppState, ip: Option<IpAddr>) -> Answer<()> {
    attempt(state, &ip_rules("setup", ip)).await
}

/// Counts one registration of a program, which anybody may make.
///
/// # Errors
/// A refusal with the seconds to wait.
pub async fn registration(state: &AppState, ip: Option<IpAddr>) -> Answer<()> {
    let from = from(ip);
    let rules = REGISTRATIONS.map(|(limit, seconds)| {
        rule(
            format!("oauth-register:ip:{from}:{seconds}"),
            limit,
            seconds,
        )
    });
    attempt(state, &rules).await
}

/// Counts one page for a program that says who it is at an address of its own, which may have to be
/// read.
///
/// # Errors
/// A refusal with the seconds to wait.
pub async fn document(state: &AppState, ip: Option<IpAddr>) -> Answer<()> {
    attempt(state, &ip_rules("oauth-document", ip)).await
}

/// Forgets what was counted for `email`: its owner signed in from `ip`.
///
/// # Errors
/// The store's.
pub async fn forgive(state: &AppState, email: &str, ip: Option<IpAddr>) -> Answer<()> {
    for rule in email_rules(email, ip) {
        state.store.throttling().forgive(&rule.key).await?;
    }
    Ok(())
}

async fn attempt(state: &AppState, rules: &[ThrottleRule]) -> Answer<()> {
    match state.store.throttling().attempt(rules).await? {
        Ok(()) => Ok(()),
        Err(throttled) => {
            let seconds = throttled.retry_after.as_secs().max(1);
            Err(Refusal::new(
                kind::TOO_MANY_ATTEMPTS,
                format!("wait {seconds} s before the next attempt"),
            )
            .retry_after(seconds))
        }
    }
}

fn email_rules(email: &str, ip: Option<IpAddr>) -> Vec<ThrottleRule> {
    // Hashed: an address has no bounded length before it is known to be one, and a table of
    // addresses that somebody tried is nobody's business.
    let hash = TokenHash::of(email).to_hex();
    let from = from(ip);
    let here = PER_EMAIL_AND_IP.iter().map(|(limit, seconds)| {
        (
            format!("login:here:{hash}:{from}:{seconds}"),
            limit,
            seconds,
        )
    });
    let anywhere = PER_EMAIL
        .iter()
        .map(|(limit, seconds)| (format!("login:email:{hash}:{seconds}"), limit, seconds));
    here.chain(anywhere)
        .map(|(key, limit, seconds)| rule(key, *limit, *seconds))
        .collect()
}

fn from(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "unknown".to_owned(), block)
}

fn ip_rules(what: &str, ip: Option<IpAddr>) -> Vec<ThrottleRule> {
    let from = from(ip);
    PER_IP
        .iter()
        .map(|(limit, seconds)| rule(format!("{what}:ip:{from}:{seconds}"), *limit, *seconds))
        .collect()
}

/// What counts as one address: in IPv6 a /64, because that is what one customer has.
fn block(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn rule(key: String, limit: u32, seconds: u64) -> ThrottleRule {
    ThrottleRule {
        key,
        limit,
        window: Duration::from_secs(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_of_ipv6_is_one_address() {
        let one = block("2001:db8:1:2:3::4".parse().unwrap());
        assert_eq!(one, block("2001:db8:1:2:ffff::1".parse().unwrap()));
        assert_ne!(one, block("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(block("::ffff:1.2.3.4".parse().unwrap()), "1.2.3.4");
    }
}
