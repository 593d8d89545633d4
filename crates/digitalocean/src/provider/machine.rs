//! A droplet in the product's words.

use std::net::IpAddr;

use agentopia_cloud::{GB, Machine, MachineState};

use super::sizes::cents;
use crate::droplets::{Droplet, DropletStatus};

/// The machine that a droplet is.
pub(super) fn machine(droplet: &Droplet) -> Machine {
    let address = droplet.public_ipv4().map(IpAddr::V4);
    let image = droplet.image.as_ref();
    Machine {
        id: droplet.id.to_string(),
        state: state(&droplet.status, address.is_some()),
        address,
        region: droplet.region.as_ref().map(|region| region.slug.clone()),
        size: Some(droplet.size_slug.clone()),
        image: image.and_then(|image| image.slug.clone().or(image.id.map(|id| id.to_string()))),
        disk_bytes: Some(droplet.disk * GB),
        monthly_price_cents: droplet.size.as_ref().map(|size| cents(size.price_monthly)),
        created_at: Some(droplet.created_at),
    }
}

/// `active` without a public address can't be reached yet, so it is still being made.
///
/// `archive` counts as off: nothing runs there, and the attempt to turn it on brings up
/// DigitalOcean's own words on why that can't be. A status that this version does not know is
/// waited for; the silence of the machine tells if it does not end.
fn state(status: &DropletStatus, addressed: bool) -> MachineState {
    match status {
        DropletStatus::Active if addressed => MachineState::Running,
        DropletStatus::Active | DropletStatus::New | DropletStatus::Other(_) => {
            MachineState::Starting
        }
        DropletStatus::Off | DropletStatus::Archive => MachineState::Off,
    }
}

/// Whether it can become a machine that serves.
pub(super) fn is_usable(droplet: &Droplet) -> bool {
    matches!(
        droplet.status,
        DropletStatus::New | DropletStatus::Active | DropletStatus::Off
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_runs_when_it_is_on_and_can_be_reached() {
        for (status, addressed, expected) in [
            ("new", false, MachineState::Starting),
            ("active", false, MachineState::Starting),
            ("active", true, MachineState::Running),
            ("off", true, MachineState::Off),
            ("archive", true, MachineState::Off),
            ("migrating", true, MachineState::Starting),
        ] {
            let status = DropletStatus::from(status.to_owned());
            assert_eq!(state(&status, addressed), expected, "{status}");
        }
    }
}
