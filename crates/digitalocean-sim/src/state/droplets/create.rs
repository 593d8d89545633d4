//! Creating droplets: what is checked, in which order, with which words.
//!
//! Names need not be unlike: DigitalOcean makes two droplets of one wish that arrives twice.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Droplet, DropletId, Lag, Presence, Status};
use crate::faults::{Occasion, ResourceFault, Subject};
use crate::machines::MachinePlan;
use crate::refusal::Refusal;
use crate::state::actions::{ActionKind, BackupPolicy, Fate};
use crate::state::agenda::Event;
use crate::state::images::{Image, ImageRef};
use crate::state::keys::KeyRef;
use crate::state::regions::Region;
use crate::state::sizes::Size;
use crate::state::{ActionId, State, Work};

/// Droplets that one request may make.
const AT_ONCE: usize = 10;
const NAME_LENGTH: usize = 255;
/// Bytes.
const USER_DATA_LENGTH: usize = 64 * 1024;

/// A wish for droplets.
#[derive(Debug)]
pub(crate) struct CreateDroplets {
    pub(crate) names: Vec<String>,
    pub(crate) region: Option<String>,
    pub(crate) size: String,
    pub(crate) image: ImageRef,
    pub(crate) ssh_keys: Vec<KeyRef>,
    pub(crate) backups: Option<BackupPolicy>,
    pub(crate) ipv6: bool,
    pub(crate) monitoring: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) user_data: Option<SecretString>,
    pub(crate) volumes: Vec<String>,
    pub(crate) vpc: Option<Uuid>,
    pub(crate) public_networking: bool,
}

/// What a wish comes to, once it has been found right.
struct Blueprint {
    region: &'static Region,
    size: &'static Size,
    image: Image,
    ssh_keys: Vec<String>,
    tags: Vec<String>,
}

impl State {
    /// Makes droplets: `new`, without networks, each with its create action.
    ///
    /// # Errors
    /// The first thing that is wrong with the wish; nothing was made then.
    pub(crate) fn create_droplets(
        &mut self,
        now: DateTime<Utc>,
        wish: &CreateDroplets,
    ) -> Result<Vec<(DropletId, ActionId)>, Refusal> {
        let blueprint = self.check(wish)?;
        for tag in &blueprint.tags {
            self.tags.ensure(tag);
        }
        let made = wish
            .names
            .iter()
            .filter_map(|name| self.create_one(now, name, wish, &blueprint))
            .collect();
        self.stir_firewalls(now);
        Ok(made)
    }

    fn check(&self, wish: &CreateDroplets) -> Result<Blueprint, Refusal> {
        if wish.names.is_empty() {
            return Err(Refusal::unprocessable("Name can't be blank"));
        }
        if wish.names.len() > AT_ONCE {
            return Err(Refusal::unprocessable(format!(
                "You can create up to {AT_ONCE} droplets at a time"
            )));
        }
        wish.names.iter().try_for_each(|name| check_name(name))?;
        let size = Size::find(&wish.size)
            .filter(|size| size.available)
            .ok_or_else(|| invalid("size"))?;
        let image = (self.images.find(&wish.image))
            .filter(|image| image.is_usable())
            .ok_or_else(|| invalid("image"))?;
        let region = match &wish.region {
            Some(slug) => Region::find(slug).ok_or_else(|| invalid("region"))?,
            None => Region::any(),
        };
        check_fit(region, size, image)?;
        let ssh_keys = self.keys.public_keys(&wish.ssh_keys)?;
        let tags = self.tags.canonical(&wish.tags)?;
        check_user_data(wish.user_data.as_ref())?;
        if let Some(volume) = wish.volumes.first() {
            return Err(Refusal::unprocessable(format!("Volume {volume} not found")));
        }
        if wish.vpc.is_some_and(|vpc| vpc != self.account.vpc) {
            return Err(Refusal::unprocessable("VPC not found"));
        }
        if wish.ipv6 && !wish.public_networking {
            return Err(Refusal::unprocessable(
                "ipv6 can not be enabled without public networking",
            ));
        }
        let after = self.droplets.existing().count() + wish.names.len();
        if after > self.settings.droplet_limit as usize {
            return Err(Refusal::unprocessable(
                "creating this/these droplet(s) will exceed your droplet limit",
            ));
        }
        Ok(Blueprint {
            region,
            size,
            image: image.clone(),
            ssh_keys,
            tags,
        })
    }

    fn create_one(
        &mut self,
        now: DateTime<Utc>,
        name: &str,
        wish: &CreateDroplets,
        blueprint: &Blueprint,
    ) -> Option<(DropletId, ActionId)> {
        let subject = Subject {
            droplet: None,
            name,
            tags: &blueprint.tags,
        };
        let bitten = self
            .faults
            .of_resource(Occasion::Create, &subject, &mut self.dice);
        let fault = bitten.map(|bitten| bitten.fault);
        let fault_delay = bitten.map(|bitten| self.dice.within(bitten.delay));
        let by_tag = self.dice.within(self.settings.delays.tag_list);
        let otherwise = self.dice.within(self.settings.delays.list);
        let id = self.droplets.next_id(&mut self.dice);
        let mut droplet = Droplet {
            id,
            name: name.to_owned(),
            region: blueprint.region,
            size: blueprint.size,
            disk: blueprint.size.limits.disk,
            image: blueprint.image.clone(),
            created_at: now,
            status: Status::New,
            shown_status: Status::New,
            locked: false,
            tags: blueprint.tags.clone(),
            monitoring: wish.monitoring,
            backups: wish.backups,
            snapshots: vec![],
            public_networking: wish.public_networking,
            private_ip: private_ip(id),
            ipv6: wish.ipv6.then(|| ipv6(id)),
            address: None,
            address_shown: false,
            vpc: self.account.vpc,
            project: self.projects.default_id(),
            assigned_at: now,
            user_data: wish.user_data.clone(),
            ssh_keys: blueprint.ssh_keys.clone(),
            pending: None,
            presence: Presence::Here,
            lag: Lag { by_tag, otherwise },
        };
        if let (Some(ResourceFault::ListLag), Some(delay)) = (fault, fault_delay) {
            droplet.lag = Lag {
                by_tag: delay,
                otherwise: delay,
            };
        }
        let plan = plan(&droplet);
        for tag in &blueprint.tags {
            self.tags.tagged_droplet(tag, id);
        }
        self.droplets.by_id.insert(id, droplet);
        let fate = match fault {
            Some(ResourceFault::StuckNew) => Fate::Never,
            Some(ResourceFault::CreateErrored) => Fate::Errors,
            _ => Fate::Completes,
        };
        let action = self.begin(now, id, ActionKind::Create, fate)?;
        if fate == Fate::Completes {
            self.order(id, Work::Boot(Box::new(plan)), action);
        }
        match (fault, fault_delay) {
            (Some(ResourceFault::Vanish), Some(delay)) => {
                self.agenda.put(now + delay, Event::Vanish(id));
            }
            (Some(ResourceFault::IpLate), Some(delay)) => {
                self.droplets.late.insert(id, delay);
            }
            _ if chokes_on(wish.user_data.as_ref()) => {
                let delay = self.dice.within(self.settings.delays.create);
                self.agenda.put(now + delay, Event::Vanish(id));
            }
            _ => {}
        }
        Some((id, action))
    }
}

fn invalid(what: &str) -> Refusal {
    Refusal::unprocessable(format!(
        "You specified an invalid {what} for Droplet creation."
    ))
}

/// Letters, digits, `.` and `-`, with a letter or digit at both ends.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::unprocessable("Name can't be blank"));
    }
    if name.len() > NAME_LENGTH {
        return Err(Refusal::unprocessable(format!(
            "Name is too long (maximum is {NAME_LENGTH} characters)"
        )));
    }
    let right = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if right && name.ends_with(|last: char| last.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Refusal::unprocessable(
        "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)",
    ))
}

fn check_fit(region: &Region, size: &Size, image: &Image) -> Result<(), Refusal> {
    if !region.available {
        return Err(Refusal::unprocessable("Region is not available"));
    }
    if !size.is_in(region) {
        return Err(Refusal::unprocessable(
            "Size is not available in this region.",
        ));
    }
    if !image.is_in(region) {
        return Err(Refusal::unprocessable(
            "The image you specified is not available in the selected region, you can transfer it \
             to this region from the images pages.",
        ));
    }
    if image.min_disk > size.limits.disk {
        return Err(Refusal::unprocessable(
            "The selected size is too small for the image you specified.",
        ));
    }
    Ok(())
}

fn check_user_data(user_data: Option<&SecretString>) -> Result<(), Refusal> {
    match user_data {
        Some(text) if text.expose_secret().len() > USER_DATA_LENGTH => Err(Refusal::unprocessable(
            "User data is too long (maximum is 64 KiB)",
        )),
        _ => Ok(()),
    }
}

/// Characters beyond the basic plane in user-data (an emoji) made droplets vanish at DigitalOcean.
fn chokes_on(user_data: Option<&SecretString>) -> bool {
    user_data.is_some_and(|text| text.expose_secret().chars().any(|c| u32::from(c) > 0xFFFF))
}

fn plan(droplet: &Droplet) -> MachinePlan {
    MachinePlan {
        droplet: droplet.id,
        name: droplet.name.clone(),
        region: droplet.region.slug.to_owned(),
        image: match &droplet.image.slug {
            Some(slug) => slug.clone(),
            None => droplet.image.id.to_string(),
        },
        limits: droplet.limits(),
        user_data: droplet.user_data.clone(),
        ssh_keys: droplet.ssh_keys.clone(),
    }
}

/// An address in 10.0.0.0/8 that is this droplet's alone.
fn private_ip(id: DropletId) -> Ipv4Addr {
    let [.., b, c, d] = id.0.to_be_bytes();
    Ipv4Addr::new(10, b, c, d)
}

/// An address in the range for documentation (RFC 3849) that is this droplet's alone.
pub(super) fn ipv6(id: DropletId) -> Ipv6Addr {
    Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(id.0))
}
