//! The DTMA's self-update (DTMA-8): what the control plane offers, and what became of it.
//!
//! The offer stands in the answer to a heartbeat for as long as the machine runs another program
//! than the one offered; the programs are fetched from [`super::path::download`].

use serde::{Deserialize, Serialize};

/// A file to download and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramOffer {
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// The programs that the control plane wants the machine to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DtmaOffer {
    /// The DTMA itself. Its digest names the version: two builds of one version differ.
    pub dtma: ProgramOffer,
    /// The `tool-init` that belongs to it, where tools run in containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_init: Option<ProgramOffer>,
    /// The machine begins after a random part of so many seconds, so that a fleet does not fetch
    /// all at once.
    #[serde(default)]
    pub spread_seconds: u32,
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// Random; the same when the report is sent again because an answer was lost.
    pub id: String,
    /// The program that it was about, by its SHA-256.
    pub sha256: String,
    /// The version that ran before.
    pub from_version: String,
    /// The version that it was about, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_version: Option<String>,
    /// How it ended.
    pub outcome: UpdateOutcome,
    /// If it did not end well: why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How an update ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOutcome {
    /// The new program serves and was heard.
    Installed,
    /// It did not work; the one before is back, and this one is not tried again.
    Rejected,
    /// It could not be fetched or stored; tried again later.
    Postponed,
}
