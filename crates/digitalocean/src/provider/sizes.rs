//! The sizes that machines can have, and what they cost: asked for now and then, as they hardly
//! ever change.

use agentopia_cloud::{GB, MachineSize, ProviderError};
use chrono::{DateTime, TimeDelta, Utc};

use super::DigitalOceanProvider;
use super::trouble::trouble;
use crate::sizes::Size;

/// How long a list is good for.
const FRESH: TimeDelta = TimeDelta::minutes(10);
const MIB: u64 = 1 << 20;

/// The list as it was read last.
#[derive(Debug, Clone)]
pub(super) struct ReadSizes {
    at: DateTime<Utc>,
    sizes: Vec<MachineSize>,
}

impl DigitalOceanProvider {
    pub(super) async fn offered(&self) -> Result<Vec<MachineSize>, ProviderError> {
        // Held while it is asked for: of many who want the list at once one asks.
        let mut read = self.sizes.lock().await;
        let now = self.api.ambient().now();
        let fresh = |read: &&ReadSizes| (TimeDelta::zero()..FRESH).contains(&(now - read.at));
        if let Some(read) = read.as_ref().filter(fresh) {
            return Ok(read.sizes.clone());
        }
        let all = self.api.sizes().list().all().await.map_err(trouble)?;
        let mut sizes: Vec<MachineSize> = all.into_iter().map(size).collect();
        sizes.sort_by(|one, other| {
            let order = |size: &MachineSize| (size.monthly_price_cents, size.memory_bytes);
            order(one).cmp(&order(other))
        });
        *read = Some(ReadSizes {
            at: now,
            sizes: sizes.clone(),
        });
        Ok(sizes)
    }
}

fn size(size: Size) -> MachineSize {
    MachineSize {
        vcpus: size.vcpus,
        memory_bytes: size.memory * MIB,
        disk_bytes: size.disk * GB,
        monthly_price_cents: cents(size.price_monthly),
        regions: if size.available {
            size.regions
        } else {
            Vec::new()
        },
        name: size.slug,
    }
}

/// DigitalOcean writes dollars with a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float converts to the nearest number that fits, and prices do"
)]
pub(super) fn cents(dollars: f64) -> u32 {
    (dollars * 100.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_cents() {
        assert_eq!(
            [6.0, 0.1 + 0.2, 41.99, -1.0, f64::NAN].map(cents),
            [600, 30, 4199, 0, 0]
        );
    }

    #[test]
    fn what_is_retired_can_be_had_nowhere() {
        let retired: Size = serde_json::from_str(
            r#"{"slug":"512mb","memory":512,"vcpus":1,"disk":20,"transfer":1.0,"available":false,
                "price_monthly":5,"price_hourly":0.007,"regions":["fra1"],"description":"Basic"}"#,
        )
        .unwrap();
        let retired = size(retired);
        assert!(retired.regions.is_empty());
        assert_eq!(
            (retired.memory_bytes, retired.disk_bytes),
            (512 << 20, 20 << 30)
        );
    }
}
