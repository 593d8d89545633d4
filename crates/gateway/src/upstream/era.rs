//! Which eras each instance speaks, learnt once and kept until its server is started anew.
//!
//! For a session-era client `initialize` is tried first, for a modern one `server/discover`: a
//! server that speaks both is then talked to as the client talks, and nothing has to be translated.
//! An error of the modern codes or a discover result means modern; any other answer means the
//! other era. Silence and broken connections mean nothing. A server may talk otherwise to who shows it
//! other credentials, so what one link's own secrets taught counts for that link alone.

use agentopia_domain::{InstanceId, LinkId};
use agentopia_mcp::Era;
use dashmap::DashMap;

use crate::routes::InstanceRoute;

/// What is known; `None` is "not tried yet".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) session: Option<bool>,
    pub(crate) modern: Option<bool>,
}

impl Known {
    /// The eras worth trying for a client of `wanted`, in order.
    pub(crate) fn to_try(self, wanted: Era) -> impl Iterator<Item = Era> {
        let other = match wanted {
            Era::Session => Era::Modern,
            Era::Modern => Era::Session,
        };
        let refuted = [Era::Session, Era::Modern].map(|era| self.of(era) == Some(false));
        // If both were refuted something was wrong with what we learnt: try again.
        let trust = refuted != [true, true];
        [wanted, other]
            .into_iter()
            .filter(move |era| !trust || self.of(*era) != Some(false))
    }

    const fn of(self, era: Era) -> Option<bool> {
        match era {
            Era::Session => self.session,
            Era::Modern => self.modern,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct EraBook(DashMap<(InstanceId, Option<LinkId>), (String, Known)>);

impl EraBook {
    pub(crate) fn known(&self, route: &InstanceRoute) -> Known {
        match self.0.get(&route.seen_with()) {
            Some(entry) if entry.0 == route.epoch => entry.1,
            _ => Known::default(),
        }
    }

    pub(crate) fn learn(&self, route: &InstanceRoute, era: Era, speaks: bool) {
        let mut entry = self
            .0
            .entry(route.seen_with())
            .or_insert_with(|| (route.epoch.clone(), Known::default()));
        if entry.0 != route.epoch {
            *entry = (route.epoch.clone(), Known::default());
        }
        match era {
            Era::Session => entry.1.session = Some(speaks),
            Era::Modern => entry.1.modern = Some(speaks),
        }
    }

    pub(crate) fn forget(&self, instance: InstanceId) {
        self.0.retain(|(of, _), _| *of != instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_own_era_comes_first_and_what_failed_is_left_out() {
        let order = |known: Known, wanted| known.to_try(wanted).collect::<Vec<_>>();
        let nothing = Known::default();
        assert_eq!(order(nothing, Era::Session), [Era::Session, Era::Modern]);
        assert_eq!(order(nothing, Era::Modern), [Era::Modern, Era::Session]);
        let old = Known {
            session: Some(true),
            modern: Some(false),
        };
        assert_eq!(order(old, Era::Modern), [Era::Session]);
        let confused = Known {
            session: Some(false),
            modern: Some(false),
        };
        assert_eq!(order(confused, Era::Modern), [Era::Modern, Era::Session]);
    }
}
