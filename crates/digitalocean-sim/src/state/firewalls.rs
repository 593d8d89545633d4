//! Firewalls: what they are and how they are changed.
//!
//! `rules` knows what a rule is, `members` which droplets a firewall is for and how a change reaches
//! them. The limits and the words of their refusals are DigitalOcean's where users have reported them
//! (409 "duplicate name", 422 "invalid address", "must have no more than 10 droplets"); the other
//! sentences are ours.

mod members;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::State;
use super::ids::{DropletId, FirewallId};
use crate::faults::{Occasion, Subject};
use crate::refusal::Refusal;

use rules::Rules;
pub(crate) use rules::{Protocol, Rule, RuleDraft, RuleTarget, TargetDraft};

const MOST_DROPLETS: usize = 10;
const MOST_TAGS: usize = 5;
const MOST_RULES: usize = 50;

/// A firewall.
#[derive(Debug, Clone)]
pub(crate) struct Firewall {
    pub(crate) id: FirewallId,
    pub(crate) name: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) rules: Rules,
    /// Assigned one by one; those with a tag come on top.
    pub(crate) droplets: BTreeSet<DropletId>,
    /// Canonical names.
    pub(crate) tags: BTreeSet<String>,
    pub(crate) status: FirewallStatus,
    /// Droplets that a change has not reached yet, and whether it takes the firewall off them.
    pub(crate) pending: BTreeMap<DropletId, bool>,
    /// Droplets that it works on.
    settled: BTreeSet<DropletId>,
    /// Counts changes, so that an earlier one does not settle a later one.
    generation: u64,
    /// Whether the change under way will fail.
    fails: bool,
}

/// How far the last change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirewallStatus {
    Waiting,
    Succeeded,
    Failed,
}

impl FirewallStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A firewall as it is wanted. `PUT` replaces everything, so this is all there is to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct FirewallDraft {
    pub(crate) name: String,
    pub(crate) inbound: Vec<RuleDraft>,
    pub(crate) outbound: Vec<RuleDraft>,
    pub(crate) droplets: Vec<DropletId>,
    pub(crate) tags: Vec<String>,
}

/// A draft that has been found right.
struct Checked {
    rules: Rules,
    droplets: BTreeSet<DropletId>,
    tags: BTreeSet<String>,
}

/// All firewalls, in the order of their making.
#[derive(Debug, Default)]
pub(crate) struct Firewalls {
    all: Vec<Firewall>,
}

impl Firewalls {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Firewall> {
        self.all.iter()
    }

    pub(crate) fn get(&self, id: FirewallId) -> Option<&Firewall> {
        self.all.iter().find(|firewall| firewall.id == id)
    }

    fn get_mut(&mut self, id: FirewallId) -> Result<&mut Firewall, Refusal> {
        (self.all.iter_mut().find(|firewall| firewall.id == id)).ok_or_else(Refusal::not_found)
    }

    pub(super) fn remove_droplet(&mut self, droplet: DropletId) {
        for firewall in &mut self.all {
            firewall.droplets.remove(&droplet);
            firewall.settled.remove(&droplet);
            firewall.pending.remove(&droplet);
        }
    }

    pub(super) fn remove_tag(&mut self, tag: &str) {
        for firewall in &mut self.all {
            firewall.tags.remove(tag);
        }
    }
}

impl State {
    /// # Errors
    /// 409 for a name that is taken, 422 for anything else that is wrong.
    pub(crate) fn create_firewall(
        &mut self,
        now: DateTime<Utc>,
        draft: &FirewallDraft,
    ) -> Result<FirewallId, Refusal> {
        let checked = self.check_firewall(draft, None)?;
        let id = FirewallId(self.dice.uuid());
        self.firewalls.all.push(Firewall {
            id,
            name: draft.name.clone(),
            created_at: now,
            rules: checked.rules,
            droplets: checked.droplets,
            tags: checked.tags,
            status: FirewallStatus::Waiting,
            pending: BTreeMap::new(),
            settled: BTreeSet::new(),
            generation: 0,
            fails: false,
        });
        self.firewall_changed(now, id);
        Ok(id)
    }

    /// Replaces everything about a firewall.
    ///
    /// # Errors
    /// As for making one, and 404 where there is none.
    pub(crate) fn replace_firewall(
        &mut self,
        now: DateTime<Utc>,
        id: FirewallId,
        draft: &FirewallDraft,
    ) -> Result<(), Refusal> {
        self.change_firewall(now, id, |state, firewall| {
            let checked = state.check_firewall(draft, Some(id))?;
            firewall.name.clone_from(&draft.name);
            firewall.rules = checked.rules;
            firewall.droplets = checked.droplets;
            firewall.tags = checked.tags;
            Ok(())
        })
    }

    /// # Errors
    /// 404 where there is none.
    pub(crate) fn delete_firewall(&mut self, id: FirewallId) -> Result<(), Refusal> {
        self.firewalls.get(id).ok_or_else(Refusal::not_found)?;
        self.firewalls.all.retain(|firewall| firewall.id != id);
        Ok(())
    }

    /// Changes a firewall, or leaves it as it was if the change is refused.
    fn change_firewall(
        &mut self,
        now: DateTime<Utc>,
        id: FirewallId,
        change: impl FnOnce(&Self, &mut Firewall) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let found = self.firewalls.get(id).ok_or_else(Refusal::not_found)?;
        let mut changed = found.clone();
        change(self, &mut changed)?;
        *self.firewalls.get_mut(id)? = changed;
        self.firewall_changed(now, id);
        Ok(())
    }

    /// Assigns droplets, or takes them off. Those that are (or are not) assigned already are fine.
    ///
    /// # Errors
    /// 404 where there is no firewall, 422 where there is no droplet or there are too many.
    pub(crate) fn assign_droplets(
        &mut self,
        now: DateTime<Utc>,
        id: FirewallId,
        droplets: &[DropletId],
        on: bool,
    ) -> Result<(), Refusal> {
        self.change_firewall(now, id, |state, firewall| {
            if on {
                firewall.droplets.extend(state.known_droplets(droplets)?);
            } else {
                firewall.droplets.retain(|own| !droplets.contains(own));
            }
            check_count(firewall.droplets.len(), MOST_DROPLETS, "droplets")
        })
    }

    /// The same for tags.
    ///
    /// # Errors
    /// 404 where there is no firewall, 422 where there is no such tag or there are too many.
    pub(crate) fn assign_tags(
        &mut self,
        now: DateTime<Utc>,
        id: FirewallId,
        tags: &[String],
        on: bool,
    ) -> Result<(), Refusal> {
        self.change_firewall(now, id, |state, firewall| {
            if on {
                firewall.tags.extend(state.known_tags(tags)?);
            } else {
                firewall.tags.retain(|own| !tags.contains(own));
            }
            check_count(firewall.tags.len(), MOST_TAGS, "tags")
        })
    }

    /// Adds rules.
    ///
    /// # Errors
    /// 404 where there is no firewall, 409 for a rule that is there already, 422 for a bad one or one
    /// too many.
    pub(crate) fn add_rules(
        &mut self,
        now: DateTime<Utc>,
        id: FirewallId,
        inbound: &[RuleDraft],
        outbound: &[RuleDraft],
    ) -> Result<(), Refusal> {
        self.change_firewall(now, id, |state, firewall| {
            firewall.rules.add(state.check_rules(inbound, outbound)?)?;
            check_count(firewall.rules.len(), MOST_RULES, "rules")
        })
    }

    /// Removes rules by their value: they have no ids.
    ///
    /// # Errors
    /// 404 where there is no firewall, 422 where one of the rules is not there.
    pub(crate) fn remove_rules(
        &mut self,
        now: DateTime<Utc>,
        id: FirewallId,
        inbound: &[RuleDraft],
        outbound: &[RuleDraft],
    ) -> Result<(), Refusal> {
        self.change_firewall(now, id, |state, firewall| {
            firewall
                .rules
                .remove(&state.check_rules(inbound, outbound)?)
        })
    }

    fn check_firewall(
        &self,
        draft: &FirewallDraft,
        of: Option<FirewallId>,
    ) -> Result<Checked, Refusal> {
        check_name(&draft.name)?;
        let taken = |other: &Firewall| other.name == draft.name && Some(other.id) != of;
        if self.firewalls.all().any(taken) {
            return Err(Refusal::conflict("duplicate name"));
        }
        let mut rules = Rules::default();
        rules.add(self.check_rules(&draft.inbound, &draft.outbound)?)?;
        if rules.len() == 0 {
            return Err(Refusal::unprocessable("must have at least one rule"));
        }
        check_count(rules.len(), MOST_RULES, "rules")?;
        let droplets = self.known_droplets(&draft.droplets)?;
        check_count(droplets.len(), MOST_DROPLETS, "droplets")?;
        let tags = self.known_tags(&draft.tags)?;
        check_count(tags.len(), MOST_TAGS, "tags")?;
        Ok(Checked {
            rules,
            droplets,
            tags,
        })
    }

    fn check_rules(&self, inbound: &[RuleDraft], outbound: &[RuleDraft]) -> Result<Rules, Refusal> {
        for draft in inbound.iter().chain(outbound) {
            self.known_droplets(&draft.target.droplets)?;
            self.known_tags(&draft.target.tags)?;
        }
        Rules::check(inbound, outbound)
    }

    fn known_droplets(&self, ids: &[DropletId]) -> Result<BTreeSet<DropletId>, Refusal> {
        match ids.iter().find(|id| self.droplets.get(**id).is_none()) {
            None => Ok(ids.iter().copied().collect()),
            Some(id) => Err(Refusal::unprocessable(format!(
                "droplet {id} does not exist"
            ))),
        }
    }

    fn known_tags(&self, names: &[String]) -> Result<BTreeSet<String>, Refusal> {
        names
            .iter()
            .map(|name| match self.tags.find(name) {
                Some(tag) => Ok(tag.name.clone()),
                None => Err(Refusal::unprocessable(format!("tag {name} does not exist"))),
            })
            .collect()
    }

    /// A request has changed a firewall: the change has to reach every droplet.
    fn firewall_changed(&mut self, now: DateTime<Utc>, id: FirewallId) {
        let Some(firewall) = self.firewalls.get(id) else {
            return;
        };
        let subject = Subject {
            droplet: None,
            name: &firewall.name,
            tags: &[],
        };
        let fails = self
            .faults
            .of_resource(Occasion::Firewall, &subject, &mut self.dice)
            .is_some();
        self.spread(now, id, true, fails);
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    if first && name.len() > 1 && name.bytes().all(right) {
        return Ok(());
    }
    Err(Refusal::unprocessable("invalid name"))
}

fn check_count(count: usize, most: usize, what: &str) -> Result<(), Refusal> {
    if count > most {
        return Err(Refusal::unprocessable(format!(
            "must have no more than {most} {what}"
        )));
    }
    Ok(())
}
