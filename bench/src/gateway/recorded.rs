//! agentgateway, as it was measured elsewhere: no registry that a build may use has it as a program or as
//! source (what PyPI calls so is another project). Its calls a second are known as fractions of those of the
//! direct way, from a machine of the same size with the same load, and compared with our own fraction.
//!
//! Source: the project's table of measurements that came with the task ("Performance: what was measured, and where the
//! floor is"): an rmcp server behind agentgateway, which was built without LTO.

use super::wire::{Era, Work};
use super::{DIRECT, OURS, Seen};
use crate::report::Record;

/// The least that we should be of it.
const TARGET: f64 = 2.5;

/// Its fraction of the direct way's calls a second, where it was measured.
const fn fraction(work: Work) -> Option<f64> {
    // The source gives one number for 64 KiB, and not the era.
    match (work.era, work.payload, work.concurrency) {
        (Era::Session, 256, 1) => Some(0.23),
        (Era::Session, 256, 16 | 64) => Some(0.29),
        (Era::Modern, 256, 1) => Some(0.19),
        (Era::Modern, 256, 16) => Some(0.23),
        (Era::Modern, 256, 64) => Some(0.25),
        (_, 65_536, 16) => Some(0.36),
        _ => None,
    }
}

/// How much more of the direct way's calls a second ours are.
pub(super) fn beside(work: Work, seen: &[Seen; 4]) -> Option<Record> {
    let theirs = fraction(work)?;
    let calls = |who: usize| seen[who].calls_per_second.median();
    let ours = calls(OURS) / calls(DIRECT).max(f64::MIN_POSITIVE);
    let record = Record::new(
        "gateway",
        format!("throughput beside agentgateway, as recorded ({work})"),
        ours / theirs,
        "x",
        format!("{ours:.2} of direct : {theirs:.2} of direct, which was measured elsewhere"),
    );
    Some(record.at_least(TARGET))
}
