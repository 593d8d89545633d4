//! The addresses that names of a policy led to, each for as long as somebody may still use it. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use agentopia_domain::direct_access::PortProtocol;
use tokio::time::Instant;

/// The most that is kept: each is a rule that packets are held against.
const MOST: usize = 512;

type Way = (Ipv4Addr, PortProtocol, u16);

/// What was learnt.
#[derive(Debug, Default)]
pub(super) struct Learned(BTreeMap<Way, Instant>);

impl Learned {
    /// Keeps these until then. Whether there is anything that was not there before.
    pub(super) fn learn(&mut self, ways: impl IntoIterator<Item = Way>, until: Instant) -> bool {
        let mut is_new = false;
        for way in ways {
            is_new |= !self.0.contains_key(&way);
            let kept = self.0.entry(way).or_insert(until);
            *kept = until.max(*kept);
        }
        while self.0.len() > MOST {
            let first = self.0.iter().min_by_key(|(_, until)| **until);
            let Some(first) = first.map(|(way, _)| *way) else {
                break;
            };
            self.0.remove(&first);
        }
        is_new
    }

    /// Forgets what nobody should use any more.
    pub(super) fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, until| *until > now);
    }

    /// Everything that is kept.
    pub(super) fn iter(&self) -> impl Iterator<Item = Way> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn way(last: u8) -> Way {
        (Ipv4Addr::new(192, 0, 2, last), PortProtocol::Tcp, 443)
    }

    #[test]
    fn what_is_learnt_again_stays_longer_and_never_shorter() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut learned = Learned::default();
        assert!(learned.learn([way(1), way(2)], after(60)));
        assert!(!learned.learn([way(1)], after(120)));
        assert!(!learned.learn([way(1)], after(10)));
        learned.forget_old(after(60));
        assert_eq!(Vec::from_iter(learned.iter()), [way(1)]);
        learned.forget_old(after(120));
        assert_eq!(learned.iter().count(), 0);
    }

    #[test]
    fn a_name_with_ever_new_addresses_fills_no_table() {
        let now = Instant::now();
        let mut learned = Learned::default();
        for number in 0..2000_u32 {
            let address = Ipv4Addr::from(0xc000_0000 + number);
            let until = now + Duration::from_secs(u64::from(number));
            learned.learn([(address, PortProtocol::Udp, 53)], until);
        }
        assert_eq!(learned.iter().count(), MOST);
        let newest = Ipv4Addr::from(0xc000_0000 + 1999);
        assert!(learned.iter().any(|(address, ..)| address == newest));
    }
}
