//! How many calls may be made in a day (AGT-8): by an agent, and by all agents of an account.
//!
//! What was made is what the store counted, by all replicas, and what is on its way there from here. A call is
//! counted before it is made, in one step with the question whether it may be, so that of many at once no
//! more than allowed pass; it is settled when its record is written, which brings the store's count along. Other replicas'
//! calls are known by then, or when the route table is read again; between them a few more can pass.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::account::CallCount;
use agentopia_domain::{AccountId, AgentId};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use dashmap::DashMap;

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Agent(AgentId),
    Account(AccountId),
}

/// A limit of a day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota<T> {
    /// Whose.
    pub(crate) who: T,
    /// How many calls; `None` is as many as they like.
    pub(crate) limit: Option<NonZeroU32>,
}

/// A quota that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsedUp {
    /// Whose, for people.
    pub(crate) of: &'static str,
    /// How many there may be.
    pub(crate) limit: NonZeroU32,
    /// Until the next day begins.
    pub(crate) wait: Duration,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    /// As the store counts them, of all replicas.
    written: u64,
    /// Under way here, or not written yet.
    pending: u64,
}

/// All counts that some limit needs.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    used: DashMap<(Who, NaiveDate), Used>,
}

/// A call that counts until it is dropped or written.
#[derive(Default)]
pub(crate) struct Counted {
    quotas: Option<Arc<Quotas>>,
    keys: [Option<(Who, NaiveDate)>; 2],
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counted").field(&self.keys).finish()
    }
}

impl Quotas {
    /// Counts a call if it may be made.
    ///
    /// # Errors
    /// When a quota is used up: then it must not be made.
    pub(crate) fn admit(
        self: &Arc<Self>,
        now: DateTime<Utc>,
        agent: Option<Quota<AgentId>>,
        account: Quota<AccountId>,
    ) -> Result<Counted, UsedUp> {
        let mut counted = Counted::default();
        let agent = agent.and_then(|it| Some((Who::Agent(it.who), "agent", it.limit?)));
        let account = account
            .limit
            .map(|it| (Who::Account(account.who), "account", it));
        if agent.is_none() && account.is_none() {
            return Ok(counted);
        }
        counted.quotas = Some(self.clone());
        let day = now.date_naive();
        for (slot, quota) in counted.keys.iter_mut().zip([agent, account]) {
            let Some((who, of, limit)) = quota else {
                continue;
            };
            let mut used = self.used.entry((who, day)).or_default();
            if used.written + used.pending >= u64::from(limit.get()) {
                let wait = until_tomorrow(now);
                return Err(UsedUp { of, limit, wait });
            }
            used.pending += 1;
            *slot = Some((who, day));
        }
        Ok(counted)
    }

    /// What the store counted today; days that are over are forgotten.
    pub(crate) fn learn(&self, counts: &[CallCount], today: NaiveDate) {
        let yesterday = today.checked_sub_days(Days::new(1)).unwrap_or(today);
        self.used
            .retain(|(_, day), used| *day >= yesterday || used.pending > 0);
        for count in counts {
            let mut used = self.used.entry((who(count), count.day)).or_default();
            // What is under way may be in the count already.
            if used.pending == 0 {
                used.written = used.written.max(count.calls);
            }
        }
    }

    /// The records of these calls were written, after which the store counted so.
    pub(crate) fn written(&self, calls: Vec<Counted>, counts: &[CallCount]) {
        for mut call in calls {
            for key in std::mem::take(&mut call.keys).into_iter().flatten() {
                if let Some(mut used) = self.used.get_mut(&key) {
                    used.pending = used.pending.saturating_sub(1);
                    used.written += 1;
                }
            }
        }
        for count in counts {
            if let Some(mut used) = self.used.get_mut(&(who(count), count.day)) {
                used.written = used.written.max(count.calls);
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(quotas) = &self.quotas else {
            return;
        };
        for key in self.keys.into_iter().flatten() {
            if let Some(mut used) = quotas.used.get_mut(&key) {
                used.pending = used.pending.saturating_sub(1);
            }
        }
    }
}

fn who(count: &CallCount) -> Who {
    match count.agent_id {
        Some(agent) => Who::Agent(agent),
        None => Who::Account(count.account_id),
    }
}

fn until_tomorrow(now: DateTime<Utc>) -> Duration {
    let tomorrow = now.date_naive().checked_add_days(Days::new(1));
    let midnight = tomorrow.map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let wait = midnight.map(|midnight| midnight - now);
    wait.and_then(|wait| wait.to_std().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;
    use chrono::TimeZone as _;

    use super::*;

    struct Case {
        quotas: Arc<Quotas>,
        agent: AgentId,
        account: AccountId,
        now: DateTime<Utc>,
    }

    impl Case {
        fn new() -> Self {
            let ambient = Ambient::system();
            Self {
                quotas: Arc::default(),
                agent: ambient.new_id(),
                account: ambient.new_id(),
                now: Utc.with_ymd_and_hms(2026, 11, 22, 23, 59, 30).unwrap(),
            }
        }

        fn admit(&self, agent: u32, account: u32) -> Result<Counted, UsedUp> {
            let of_agent = Quota {
                who: self.agent,
                limit: NonZeroU32::new(agent),
            };
            let of_account = Quota {
                who: self.account,
                limit: NonZeroU32::new(account),
            };
            self.quotas.admit(self.now, Some(of_agent), of_account)
        }

        fn count(&self, agent: bool, calls: u64) -> CallCount {
            CallCount {
                account_id: self.account,
                agent_id: agent.then_some(self.agent),
                day: self.now.date_naive(),
                calls,
            }
        }
    }

    #[test]
    fn as_many_as_allowed_pass_and_the_next_one_is_told_when() {
        let mut case = Case::new();
        let passed: Vec<_> = (0..3).map(|_| case.admit(3, 0).unwrap()).collect();
        let refused = case.admit(3, 0).unwrap_err();
        assert_eq!((refused.of, refused.limit.get()), ("agent", 3));
        assert_eq!(refused.wait, Duration::from_secs(30));
        case.quotas.written(passed, &[]);
        assert!(case.admit(3, 0).is_err(), "written ones count on");
        case.now += chrono::TimeDelta::minutes(1);
        assert!(case.admit(3, 0).is_ok(), "another day");
    }

    #[test]
    fn a_call_that_was_never_made_does_not_count() {
        let case = Case::new();
        drop(case.admit(1, 1).unwrap());
        let one = case.admit(1, 1).unwrap();
        assert!(case.admit(1, 1).is_err());
        drop(one);
        assert!(case.admit(1, 1).is_ok());
    }

    #[test]
    fn what_the_account_refuses_is_not_counted_for_the_agent() {
        let case = Case::new();
        let one = case.admit(2, 1).unwrap();
        assert_eq!(case.admit(2, 1).unwrap_err().of, "account");
        drop(one);
        let two: Vec<_> = (0..2).map(|_| case.admit(2, 0).unwrap()).collect();
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn a_restart_forgets_nothing_and_other_replicas_count() {
        let case = Case::new();
        let today = case.now.date_naive();
        case.quotas
            .learn(&[case.count(true, 4), case.count(false, 9)], today);
        let fifth = case.admit(5, 10).unwrap();
        assert_eq!(case.admit(5, 10).unwrap_err().of, "agent");
        // Another replica made two meanwhile.
        case.quotas.written(vec![fifth], &[case.count(true, 7)]);
        assert!(case.admit(7, 0).is_err() && case.admit(8, 0).is_ok());
        // A count that was read before it was written takes nothing back.
        case.quotas.learn(&[case.count(true, 3)], today);
        assert!(case.admit(7, 0).is_err());
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let case = Case::new();
        let _counted = case.admit(0, 0).unwrap();
        assert!(case.quotas.used.is_empty());
    }

    #[test]
    fn days_that_are_over_are_forgotten() {
        let case = Case::new();
        let today = case.now.date_naive();
        case.quotas.learn(&[case.count(true, 4)], today);
        let later = today.checked_add_days(Days::new(2)).unwrap();
        case.quotas.learn(&[], later);
        assert!(case.quotas.used.is_empty());
    }
}
