//! The whole product: a client's call goes through the control plane's gateway, over mutual TLS to the
//! DTMA, and from there to the server: over HTTP into its container ([`path`]), or through its pipes
//! ([`stdio`]).

mod bare;
pub(crate) mod path;
mod peers;
mod product;
pub(crate) mod stdio;

use std::time::Duration;

use super::load::Run;
use crate::measure::Samples;

/// How long one measurement takes, after a short one that is not counted.
const SPAN: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(300);
/// Bytes of the argument, and of the answer's text.
const PAYLOAD: usize = 256;

/// What was measured of one of those that are compared.
#[derive(Debug, Default)]
struct Seen {
    calls_per_second: Samples,
    p50_us: Samples,
    p99_us: Samples,
}

impl Seen {
    fn add(&mut self, run: &Run) {
        self.calls_per_second
            .push(run.calls as f64 / run.took.as_secs_f64());
        self.p50_us.push(run.percentile(50.0));
        self.p99_us.push(run.percentile(99.0));
    }
}

/// Of the medians.
fn ratio(of: &Samples, to: &Samples) -> f64 {
    of.median() / to.median().max(f64::MIN_POSITIVE)
}
