//! Measurements waiting to be stored by the control plane: bounded, whatever happens.
//!
//! The last two hours are kept as they are; of what is older one in six is kept, for a day in all.

use std::collections::VecDeque;

use agentopia_domain::InstanceId;
use agentopia_domain::metrics::{Sample, Usage};
use agentopia_dtma_api::to_control_plane::MAX_SAMPLES;
use tokio::time::Instant;

/// Two hours at ten seconds each.
const FULL: usize = 720;
/// Twenty-two hours at one minute each.
const THINNED: usize = 1320;
/// One in so many is kept of what is older.
const KEEP_EVERY: u64 = 6;

/// One measurement of everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// When, by the monotonic clock.
    pub at: Instant,
    /// The machine.
    pub host: Usage,
    /// Each running instance.
    pub instances: Vec<(InstanceId, Usage)>,
}

/// See the module's header.
#[derive(Debug, Default)]
pub struct Buffer {
    next: u64,
    thinned: VecDeque<(u64, Measurement)>,
    full: VecDeque<(u64, Measurement)>,
}

impl Buffer {
    /// Adds a measurement.
    pub fn push(&mut self, measurement: Measurement) {
        self.full.push_back((self.next, measurement));
        self.next += 1;
        if self.full.len() <= FULL {
            return;
        }
        if let Some((sequence, old)) = self.full.pop_front()
            && sequence % KEEP_EVERY == 0
        {
            self.thinned.push_back((sequence, old));
            if self.thinned.len() > THINNED {
                self.thinned.pop_front();
            }
        }
    }

    /// The oldest ones, as many as fit into one heartbeat, with their ages at `now`.
    #[must_use]
    pub fn batch(&self, now: Instant) -> Vec<Sample> {
        self.thinned
            .iter()
            .chain(&self.full)
            .take(MAX_SAMPLES)
            .map(|(sequence, measurement)| Sample {
                sequence: *sequence,
                age_ms: u64::try_from(now.saturating_duration_since(measurement.at).as_millis())
                    .unwrap_or(u64::MAX),
                host: measurement.host,
                instances: measurement.instances.clone(),
            })
            .collect()
    }

    /// Forgets what the control plane has stored.
    pub fn stored(&mut self, up_to: u64) {
        self.thinned.retain(|(sequence, _)| *sequence > up_to);
        self.full.retain(|(sequence, _)| *sequence > up_to);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.thinned.len() + self.full.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn filled(count: u64) -> (Buffer, Instant) {
        let mut buffer = Buffer::default();
        let start = Instant::now();
        for number in 0..count {
            buffer.push(Measurement {
                at: start + Duration::from_secs(10 * number),
                host: Usage {
                    cpu_millis: 0,
                    memory_bytes: 0,
                    disk_bytes: 0,
                    network_rx_bytes: 0,
                    network_tx_bytes: 0,
                },
                instances: Vec::new(),
            });
        }
        (buffer, start)
    }

    #[tokio::test]
    async fn a_day_without_the_control_plane_fits_and_a_year_is_no_more() {
        let (day, _) = filled(8640);
        assert_eq!(day.len(), THINNED + FULL);
        let (longer, _) = filled(30_000);
        assert_eq!(longer.len(), THINNED + FULL);
        let oldest = longer.batch(Instant::now())[0].sequence;
        assert!(30_000 - oldest >= 8640, "{oldest}");
    }

    #[tokio::test]
    async fn everything_is_sent_once_in_order_with_its_age() {
        let (mut buffer, start) = filled(1000);
        let now = start + Duration::from_secs(10_000);
        let mut sequences = Vec::new();
        while !buffer.is_empty() {
            let batch = buffer.batch(now);
            assert!(batch.len() <= MAX_SAMPLES);
            for sample in &batch {
                assert_eq!(sample.age_ms, 10_000_000 - sample.sequence * 10_000);
            }
            sequences.extend(batch.iter().map(|sample| sample.sequence));
            buffer.stored(*sequences.last().unwrap());
        }
        assert!(sequences.is_sorted_by(|a, b| a < b));
        assert_eq!(sequences.last(), Some(&999));
        assert!(sequences.len() >= FULL);
        buffer.stored(2000);
    }
}
