//! What is to happen later.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::ids::{ActionId, DropletId, FirewallId, ImageId};

/// Something whose time will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// An action has taken its time.
    ActionDue(ActionId),
    /// A droplet's public address appears.
    AddressShown(DropletId),
    /// A droplet's status shows what has become of it.
    StatusShown(DropletId),
    /// A droplet is gone without a word.
    Vanish(DropletId),
    /// No list shows a deleted droplet any more.
    Forget(DropletId),
    /// A firewall's change (of this generation) is through.
    FirewallDue(FirewallId, u64),
    /// A custom image has been imported.
    ImageReady(ImageId),
}

/// Events by their time, and by the order of their making where times are equal.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    events: BTreeMap<(DateTime<Utc>, u64), Event>,
    made: u64,
}

impl Agenda {
    pub(super) fn put(&mut self, at: DateTime<Utc>, event: Event) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    /// Takes the earliest event, unless it lies after `now`.
    pub(super) fn next_until(&mut self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Event)> {
        let entry = self.events.first_entry()?;
        let at = entry.key().0;
        (at <= now).then(|| (at, entry.remove()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_made() {
        let mut agenda = Agenda::default();
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        for (n, seconds) in [9, 5, 5, 5, 7, 5].into_iter().enumerate() {
            let event = Event::Vanish(DropletId(n as u64));
            agenda.put(at(seconds), event);
        }
        let come = std::iter::from_fn(|| agenda.next_until(at(7)));
        let come: Vec<_> = come.map(|(_, event)| event).collect();
        let made = [1, 2, 3, 5, 4].map(|n| Event::Vanish(DropletId(n)));
        assert_eq!(come, made);
        assert_eq!(agenda.next_until(at(8)), None);
    }
}
