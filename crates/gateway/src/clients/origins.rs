//! Which server a resource is from, as the lists said (rule 8). Of two servers that offer the same
//! URI the one of the first link has it, also after a list in which that server was missing: a
//! restart must not hand its resources to another.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use agentopia_domain::InstanceId;
use tokio::time::Instant;

/// URIs remembered for one client.
const MOST: usize = 100_000;
/// How long an origin counts that a missing server may have a better claim to.
const DOUBT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Origin {
    instance: InstanceId,
    /// Until when it counts, if a server of an earlier link could not be asked.
    until: Option<Instant>,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Origins(HashMap<String, Origin>);

impl Origins {
    /// Takes one round of lists, in the order of the links; `None` for a server that gave none.
    pub(crate) fn learn<'a, L>(
        &mut self,
        lists: impl IntoIterator<Item = (InstanceId, Option<L>)>,
        now: Instant,
    ) where
        L: IntoIterator<Item = &'a str>,
    {
        if self.0.len() > MOST {
            self.0.clear();
        }
        let mut missing = HashSet::new();
        let mut claimed = HashSet::new();
        for (instance, list) in lists {
            let Some(list) = list else {
                missing.insert(instance);
                continue;
            };
            let until = (!missing.is_empty()).then(|| now + DOUBT);
            for uri in list {
                let is_first = claimed.insert(uri);
                let is_anothers = |origin: &Origin| missing.contains(&origin.instance);
                if is_first && !self.0.get(uri).is_some_and(is_anothers) {
                    self.0.insert(uri.to_owned(), Origin { instance, until });
                }
            }
        }
    }

    /// Where a resource is from, if that is known.
    pub(crate) fn of(&self, uri: &str, now: Instant) -> Option<InstanceId> {
        let origin = self.0.get(uri)?;
        let counts = origin.until.is_none_or(|until| now < until);
        counts.then_some(origin.instance)
    }

    /// Forgets all of servers that are gone.
    pub(crate) fn forget(&mut self, gone: &HashSet<InstanceId>) {
        self.0.retain(|_, origin| !gone.contains(&origin.instance));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(number: u128) -> InstanceId {
        uuid::Uuid::from_u128(number).into()
    }

    fn learn(origins: &mut Origins, now: Instant, lists: [Option<&[&str]>; 2]) {
        let numbered = lists.into_iter().zip(1..);
        origins.learn(
            numbered.map(|(list, n)| (instance(n), list.map(|list| list.iter().copied()))),
            now,
        );
    }

    #[test]
    fn the_first_link_has_what_two_offer() {
        let (mut origins, now) = (Origins::default(), Instant::now());
        learn(
            &mut origins,
            now,
            [Some(&["a", "both"]), Some(&["both", "b"])],
        );
        let later = now + Duration::from_secs(3600);
        for (uri, wanted) in [("a", 1), ("both", 1), ("b", 2)] {
            assert_eq!(origins.of(uri, later), Some(instance(wanted)), "{uri}");
        }
        assert_eq!(origins.of("neither", later), None);
    }

    #[test]
    fn a_server_that_is_missing_for_a_while_keeps_what_it_has() {
        let (mut origins, now) = (Origins::default(), Instant::now());
        learn(&mut origins, now, [Some(&["both"]), Some(&["both"])]);
        learn(&mut origins, now, [None, Some(&["both"])]);
        assert_eq!(origins.of("both", now), Some(instance(1)));
    }

    #[test]
    fn what_another_may_have_a_better_claim_to_is_asked_for_again() {
        let (mut origins, now) = (Origins::default(), Instant::now());
        learn(&mut origins, now, [None, Some(&["both"])]);
        assert_eq!(origins.of("both", now), Some(instance(2)), "for now");
        assert_eq!(origins.of("both", now + DOUBT), None);
        learn(&mut origins, now, [Some(&["both"]), Some(&["both"])]);
        assert_eq!(origins.of("both", now + DOUBT), Some(instance(1)));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut origins, now) = (Origins::default(), Instant::now());
        learn(&mut origins, now, [Some(&["a"]), Some(&["b"])]);
        origins.forget(&HashSet::from([instance(1)]));
        assert_eq!(origins.of("a", now), None);
        assert_eq!(origins.of("b", now), Some(instance(2)));
    }
}
