//! `POST /api/dtma/v1/bootstrap`: how far a machine's first start has come, for the account's
//! timeline (ENV-6). Without it nobody would see why a machine does not enrol: its console is not
//! ours, and cloud-init calls a start "done" whose commands failed.

use agentopia_domain::event::{Actor, NewEvent, ObjectKind, Outcome};
use agentopia_domain::token::{self, TokenKind};
use agentopia_dtma_api::to_control_plane::{BootstrapOutcome, BootstrapReport};
use axum::Json;
use axum::extract::State;
use axum_extra::extract::WithRejection;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::ListenerState;
use super::caller::Token;
use super::refusal::Refusal;
use crate::machines::credentials::Refused;

/// The largest report: the end of a log of 6,000 bytes, each of which JSON may write as six.
pub(super) const BODY_LIMIT: usize = 48 << 10;
/// The most characters of a log that are kept.
const MAX_LOG: usize = 6_000;
/// The last lines of a log that stand in the environment's status.
const TAIL_LINES: usize = 12;
/// The most characters of these.
const TAIL_CHARS: usize = 1_500;
/// The most characters of a phase's name.
const MAX_PHASE: usize = 32;

/// Writes down what a machine reports that has nothing but its one-time token yet. The token is
/// looked at and not used up; it is found by its hash, so how long that takes tells nothing of it.
pub(super) async fn bootstrap(
    State(state): State<ListenerState>,
    Token(shown): Token,
    WithRejection(Json(report), _): WithRejection<Json<BootstrapReport>, Refusal>,
) -> Result<StatusCode, Refusal> {
    let hash = token::hash_if(TokenKind::Enrolment, &shown).ok_or(Refused::Token)?;
    let credential = state.store.dtma_credentials().peek(hash).await?;
    let credential = credential.ok_or(Refused::Token)?;
    let name = report.phase.bytes();
    let good = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    if report.phase.is_empty() || report.phase.len() > MAX_PHASE || !name.into_iter().all(good) {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_phase",
            "Bad phase",
            format!("a phase has 1 to {MAX_PHASE} lower-case letters and dashes"),
        ));
    }
    let environment = credential.environment_id;
    let phase = &report.phase;
    let text = match report.outcome {
        BootstrapOutcome::Started => format!("The machine's first start is at: {phase}."),
        BootstrapOutcome::Finished => "The machine's first start is finished.".to_owned(),
        BootstrapOutcome::Failed => format!("The machine's first start failed at: {phase}."),
    };
    let failed = report.outcome == BootstrapOutcome::Failed;
    let log = report.log.as_deref().filter(|_| failed);
    let event = NewEvent::system(
        credential.account_id,
        "environment.bootstrap",
        (ObjectKind::Environment, environment.as_uuid()),
        text,
    )
    .by(Actor::Dtma(environment))
    .data(json!({
        "phase": phase,
        "outcome": report.outcome,
        "log": log.map(|log| presentable(log, &shown)),
    }));
    if !failed {
        state.store.events().append(&[event]).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let log = log.map(|log| presentable(log, &shown));
    let why = failure(phase, log.as_deref());
    let events = [event.outcome(Outcome::Failed)];
    let credentials = state.store.dtma_credentials();
    credentials
        .note_bootstrap_failure(credential.id, environment, &why, &events)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For the environment's status: what happened, the last lines of the log, and what to do.
fn failure(phase: &str, log: Option<&str>) -> String {
    let hint = match phase {
        "docker" => {
            "Docker could not be installed or started: see that the image's package sources can be reached"
        }
        "download" => {
            "the machine could not get its programs: see that it reaches `dtma_advertise_url`, and that the image can run them"
        }
        "enrol" => {
            "the machine's management agent could not enrol: see that it reaches `dtma_advertise_url`"
        }
        _ => "see what the log says",
    };
    let lines: Vec<&str> = log.unwrap_or_default().trim_end().lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    let surplus = tail.chars().count().saturating_sub(TAIL_CHARS);
    let tail: String = tail.chars().skip(surplus).collect();
    let log = match tail.as_str() {
        "" => "it sent no log".to_owned(),
        tail => format!("the end of its log:\n{tail}"),
    };
    format!(
        "the machine's first start failed in the phase `{phase}`: {hint}. What was made is taken away \
         again; turn the environment on again to retry. The whole report is in the timeline, and \
         {log}"
    )
}

/// The end of a log, without the token and without what would garble a terminal.
fn presentable(log: &str, token: &SecretString) -> String {
    let log = log.replace(token.expose_secret(), "[token]");
    let surplus = log.chars().count().saturating_sub(MAX_LOG);
    log.chars()
        .skip(surplus)
        .filter(|char| *char == '\n' || !char.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_where_why_and_what_to_do() {
        let log: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let told = failure("docker", Some(&log));
        assert!(
            told.contains("`docker`") && told.contains("package sources"),
            "{told}"
        );
        assert!(told.ends_with("line 98\nline 99"), "{told}");
        assert!(!told.contains("line 80"), "{told}");
        let long = failure("enrol", Some(&"x".repeat(10_000)));
        assert!(long.chars().count() < 2 * TAIL_CHARS, "{}", long.len());
        assert!(failure("download", None).ends_with("it sent no log"));
    }

    #[test]
    fn a_log_is_cut_at_its_beginning_and_shows_no_token() {
        let token = SecretString::from("enr_canary");
        let log = format!(
            "{}\u{1b}[31mwith enr_canary\nat the end",
            "x".repeat(MAX_LOG)
        );
        let shown = presentable(&log, &token);
        assert!(shown.ends_with("[31mwith [token]\nat the end"), "{shown}");
        assert!(shown.starts_with('x') && shown.chars().count() <= MAX_LOG);
    }
}
