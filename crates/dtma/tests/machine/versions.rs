//! Versions of the DTMA to update to: the real program with a few more bytes, which is another
//! program to everybody who compares digests, and scripts that are no good in their own ways.

use std::time::Duration;

use agentopia_dtma_api::to_control_plane::{DtmaOffer, ProgramOffer, UpdateOutcome, UpdateReport};
use sha2::{Digest as _, Sha256};

use crate::machine::Machine;

/// A program that can be offered.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) content: Vec<u8>,
    pub(crate) sha256: String,
}

impl Version {
    /// The real one, built anew as far as anybody can tell.
    pub(crate) fn real(build: &str) -> Self {
        let mut content = std::fs::read(env!("CARGO_BIN_EXE_dtma")).unwrap();
        content.extend_from_slice(build.as_bytes());
        Self::of(content)
    }

    /// A script that passes the check and then does as it likes.
    pub(crate) fn script(then: &str) -> Self {
        let text = format!("#!/bin/sh\n[ \"$1\" = check ] && echo dtma 9.9.9 && exit 0\n{then}\n");
        Self::of(text.into_bytes())
    }

    pub(crate) fn of(content: Vec<u8>) -> Self {
        Self {
            sha256: hex::encode(Sha256::digest(&content)),
            content,
        }
    }
}

impl Machine {
    /// Enrolled and running, with updates that take their turn at once.
    pub(crate) async fn updating(trial_seconds: u64) -> Self {
        let mut machine = Self::new().await;
        machine.configure(&format!(
            "update_pause_seconds = 0\nupdate_trial_seconds = {trial_seconds}"
        ));
        machine.start().await;
        machine
    }

    /// Has the control plane offer a version.
    pub(crate) fn offer(&self, version: &Version) {
        let mut records = self.control_plane.records();
        records.served = version.content.clone();
        records.offer = Some(DtmaOffer {
            dtma: ProgramOffer {
                sha256: version.sha256.clone(),
                bytes: version.content.len() as u64,
            },
            tool_init: None,
            spread_seconds: 0,
        });
    }

    /// Waits until a heartbeat that is sent from now on comes from `sha256`.
    pub(crate) async fn runs(&self, sha256: &str) {
        let before = self.control_plane.records().heartbeats.len();
        let found = self
            .control_plane
            .until_within(Duration::from_secs(60), |records| {
                let mut new = records.heartbeats[before..].iter();
                new.any(|beat| beat.machine.dtma_sha256.as_deref() == Some(sha256))
                    .then_some(())
            });
        if found.await.is_none() {
            panic!("{sha256} was not heard; the log says:\n{}", self.log());
        }
    }

    /// Waits for so many more heartbeats.
    pub(crate) async fn beats(&self, count: usize) {
        let before = self.control_plane.records().heartbeats.len();
        self.control_plane
            .until("heartbeats", |records| {
                (records.heartbeats.len() >= before + count).then_some(())
            })
            .await;
    }

    /// Waits for a report of an update.
    pub(crate) async fn told(&self, outcome: UpdateOutcome, sha256: &str) -> UpdateReport {
        let found = self
            .control_plane
            .until_within(Duration::from_secs(60), |records| {
                let mut all = records.updates.iter();
                all.find(|it| it.outcome == outcome && it.sha256 == sha256)
                    .cloned()
            });
        match found.await {
            Some(report) => report,
            None => panic!("no report of {outcome:?}; the log says:\n{}", self.log()),
        }
    }

    /// What runs now, by the last heartbeat that said.
    pub(crate) async fn installed(&self) -> String {
        self.control_plane
            .until("a heartbeat with the program's digest", |records| {
                records.heartbeats.last()?.machine.dtma_sha256.clone()
            })
            .await
    }
}
