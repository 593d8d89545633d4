//! The state without HTTP: stories of droplets, actions, firewalls and projects, told second by second.

mod actions;
mod droplets;
mod firewalls;
mod resize;
mod time;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::faults::{ResourceFault, ResourceRule};
use crate::machines::Address;
use crate::refusal::Refusal;
use crate::settings::Delay;

/// A state with its clock, and machines that do at once what they are told.
struct World {
    state: State,
    now: DateTime<Utc>,
    /// Whether machines answer at all.
    machines_answer: bool,
}

impl World {
    /// Everything takes exactly as long as it usually does at least; addresses and statuses come at
    /// once, lists don't lag.
    fn new() -> Self {
        let mut settings = Settings::default();
        let delays = &mut settings.delays;
        delays.create = seconds(20);
        delays.address = Delay::ZERO;
        delays.power = seconds(5);
        delays.shutdown = seconds(10);
        delays.resize = seconds(60);
        delays.other_action = seconds(3);
        delays.status = Delay::ZERO;
        delays.delete = seconds(8);
        delays.tag_list = Delay::ZERO;
        delays.firewall = seconds(2);
        let now = DateTime::UNIX_EPOCH;
        Self {
            state: State::new(1, settings, vec![], FaultPlan::default(), now),
            now,
            machines_answer: true,
        }
    }

    fn with_fault(rule: ResourceRule) -> Self {
        let mut world = Self::new();
        world.state.faults.add_resource(rule);
        world
    }

    fn pass(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
        self.settle();
    }

    /// What is due happens, and machines do what they were told.
    fn settle(&mut self) {
        self.state.advance(self.now);
        while self.machines_answer {
            let orders = self.state.take_orders();
            if orders.is_empty() {
                break;
            }
            for order in orders {
                let outcome = match order.work {
                    Work::Boot(_) => Outcome::Booted(address()),
                    _ => Outcome::Done,
                };
                self.state.report(self.now, order.id, outcome);
            }
        }
    }

    fn create(&mut self) -> (DropletId, ActionId) {
        self.try_create(&wish("web")).unwrap()[0]
    }

    fn try_create(&mut self, wish: &CreateDroplets) -> Result<Vec<(DropletId, ActionId)>, Refusal> {
        self.state.advance(self.now);
        let made = self.state.create_droplets(self.now, wish);
        self.settle();
        made
    }

    /// A droplet that is on.
    fn active(&mut self) -> DropletId {
        let (droplet, _) = self.create();
        self.pass(20);
        assert_eq!(self.status(droplet), "active");
        droplet
    }

    /// A droplet that is off.
    fn off(&mut self) -> DropletId {
        let droplet = self.active();
        self.act(droplet, ActionKind::PowerOff).unwrap();
        self.pass(5);
        assert_eq!(self.status(droplet), "off");
        droplet
    }

    fn act(&mut self, droplet: DropletId, kind: ActionKind) -> Result<ActionId, Refusal> {
        self.request(droplet, &Request::Simple(kind))
    }

    fn resize(&mut self, droplet: DropletId, size: &str, disk: bool) -> Result<ActionId, Refusal> {
        let size = Some(size.to_owned());
        self.request(droplet, &Request::Resize { size, disk })
    }

    fn request(&mut self, droplet: DropletId, request: &Request) -> Result<ActionId, Refusal> {
        self.state.advance(self.now);
        let action = self.state.act(self.now, droplet, request);
        self.settle();
        action
    }

    fn delete(&mut self, droplet: DropletId) -> Result<(), Refusal> {
        self.state.advance(self.now);
        let deleted = self.state.delete_droplet(self.now, droplet);
        self.settle();
        deleted
    }

    fn droplet(&self, droplet: DropletId) -> &Droplet {
        self.state
            .droplets
            .get(droplet)
            .expect("the droplet exists")
    }

    fn exists(&self, droplet: DropletId) -> bool {
        self.state.droplets.get(droplet).is_some()
    }

    /// As the API shows it.
    fn status(&self, droplet: DropletId) -> &'static str {
        self.droplet(droplet).shown_status.name()
    }

    fn action(&self, action: ActionId) -> ActionStatus {
        self.state.actions.get(action).unwrap().status
    }

    fn listed(&self, filter: Filter<'_>) -> Vec<DropletId> {
        let listed = self.state.list_droplets(self.now, filter);
        listed.iter().map(|droplet| droplet.id).collect()
    }
}

fn seconds(seconds: u64) -> Delay {
    Delay::exactly(Duration::from_secs(seconds))
}

fn address() -> Address {
    Address {
        ip: [203, 0, 113, 2].into(),
        netmask: [255, 255, 255, 0].into(),
        gateway: [203, 0, 113, 1].into(),
    }
}

fn wish(name: &str) -> CreateDroplets {
    CreateDroplets {
        names: vec![name.to_owned()],
        region: Some("fra1".to_owned()),
        size: "s-1vcpu-2gb".to_owned(),
        image: ImageRef::Slug("ubuntu-24-04-x64".to_owned()),
        ssh_keys: vec![],
        backups: None,
        ipv6: false,
        monitoring: false,
        tags: vec!["env:1".to_owned()],
        user_data: None,
        volumes: vec![],
        vpc: None,
        public_networking: true,
    }
}

fn said<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> String {
    refused.unwrap_err().message
}

const PENDING: &str = "Droplet already has a pending event.";
