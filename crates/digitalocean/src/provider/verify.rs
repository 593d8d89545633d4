//! Looks whether droplets can be made and kept, by reading alone (TOOL-12).
//!
//! Everything is read at once, each with a time limit (`read`), and what was read is judged one
//! thing at a time (`judge`, `firewall`): an answer that is missing is told with the thing that it
//! was needed for, and hides nothing else.

mod firewall;
mod judge;
mod read;

use agentopia_domain::verification::Check;

use super::DigitalOceanProvider;
use super::base_policy::base_policy;
use read::Unread;

impl DigitalOceanProvider {
    pub(super) async fn look_at_everything(&self) -> Vec<Check> {
        // A handful of requests, asked for when something may well be wrong: they need not wait
        // until the hour is over.
        let api = self.api.urgent();
        let account = read::timed(api.account().get()).await;
        let mut checks = vec![judge::token(&account)];
        if let Err(Unread::BadToken(_) | Unread::Unreachable(_)) = account {
            checks.push(Check::skipped(
                "provider",
                "nothing else was asked of DigitalOcean: see provider.token",
            ));
            return checks;
        }
        let read = self.read(&api).await;
        let settings = &self.settings;
        checks.push(judge::reading(&read, settings));
        checks.push(judge::changing(settings));
        checks.push(judge::account(&account));
        checks.push(judge::droplet_limit(&account, &read.droplets));
        checks.push(judge::region(settings, &read.regions));
        checks.push(judge::size(settings, &read.sizes));
        checks.push(judge::image(settings, &read.image));
        checks.extend(read.keys.iter().map(|(key, found)| judge::key(key, found)));
        checks.extend(
            read.project
                .as_ref()
                .map(|(id, found)| judge::project(id, found)),
        );
        checks.push(firewall::check(
            &base_policy(settings, &self.naming),
            &self.naming,
            &read.firewalls,
            &read.droplets,
        ));
        checks.push(judge::requests(self.api.requests_left()));
        checks
    }
}
