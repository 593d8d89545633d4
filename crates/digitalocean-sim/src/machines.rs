//! The machines behind droplets: none, or real little ones.
//!
//! The state decides what happens to a droplet and hands `Order`s out; a
//! [`Machines`] carries them out and the simulator reports back. Orders for one droplet come one
//! after the other, those of different droplets may overlap. An action of the API ends when its
//! time has come *and* its machine has answered, so that slow machines slow the API down, and a
//! machine that fails makes the action end `errored`.
//!
//! [`NoMachines`] has nothing behind it. [`DockerMachines`] boots containers with systemd and cloud-init.

mod docker;
mod none;

use std::fmt;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use secrecy::SecretString;

pub use docker::{DockerMachines, DockerOptions, HostError, HostMount, MOST_MACHINES};
pub use none::NoMachines;

use crate::state::DropletId;

/// What a machine is made from: what the metadata service tells it, and how big it is.
#[derive(Debug, Clone)]
pub struct MachinePlan {
    /// The droplet's id.
    pub droplet: DropletId,
    /// The host name.
    pub name: String,
    /// The region's slug.
    pub region: String,
    /// The image's slug, or its id where it has none.
    pub image: String,
    /// CPUs, memory and disk.
    pub limits: Limits,
    /// What cloud-init gets. May hold an enrolment token.
    pub user_data: Option<SecretString>,
    /// Public keys for root, in the format of `authorized_keys`.
    pub ssh_keys: Vec<String>,
}

/// How big a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Megabytes of memory.
    pub memory: u32,
    /// Gigabytes of disk.
    pub disk: u32,
}

/// Where a machine can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The machine's.
    pub ip: Ipv4Addr,
    /// The network's mask.
    pub netmask: Ipv4Addr,
    /// The network's gateway.
    pub gateway: Ipv4Addr,
}

/// How a request to shut down ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownOutcome {
    /// The machine is off.
    Down,
    /// It got the request and is still up.
    StillUp,
}

/// A machine could not do it. The droplet's action ends `errored`; the text goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No address is left for another machine.
    #[error("no address is left for another machine")]
    NoAddress,
    /// The host carries no more.
    #[error("this host carries at most {0} machines: destroy droplets that are not needed")]
    TooMany(usize),
    /// There is no such machine.
    #[error("droplet {0} has no machine")]
    Unknown(DropletId),
    /// What runs the machines failed.
    #[error("the machines' host failed")]
    Host(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What runs machines.
#[async_trait]
pub trait Machines: fmt::Debug + Send + Sync {
    /// Makes a machine and turns it on. Returns as soon as it has an address; what happens inside
    /// of it afterwards is its own business.
    ///
    /// # Errors
    /// When it could not be made. Nothing is left of it then.
    async fn boot(&self, plan: &MachinePlan) -> Result<(), MachineError>;

    /// Pulls the plug. Nothing happens if it is off.
    ///
    /// # Errors
    /// When there is no such machine or its host failed.
    async fn power_off(&self, droplet: DropletId) -> Result<(), MachineError>;

    /// Asks it to shut down and waits for as long as the implementation finds right.
    ///
    /// # Errors
    /// When there is no such machine or its host failed. That it stays up is no error.
    async fn shut_down(&self, droplet: DropletId) -> Result<ShutdownOutcome, MachineError>;

    /// Turns it on. Nothing happens if it is on.
    ///
    /// # Errors
    /// When there is no such machine or its host failed.
    async fn power_on(&self, droplet: DropletId) -> Result<(), MachineError>;

    /// Gives it other limits; it is off. A disk never shrinks.
    ///
    /// # Errors
    /// When there is no such machine or its host failed.
    async fn resize(&self, droplet: DropletId, limits: Limits) -> Result<(), MachineError>;

    /// Removes it with its disk, in whatever state it is. One that is not there is removed.
    ///
    /// # Errors
    /// When its host failed: it may still be there.
    async fn destroy(&self, droplet: DropletId) -> Result<(), MachineError>;

    /// Where it can be reached, on or off. Asked once, after [`Machines::boot`].
    ///
    /// # Errors
    /// When there is no such machine or its host failed.
    async fn address(&self, droplet: DropletId) -> Result<Address, MachineError>;

    /// Waits until a machine went off without having been told to, and says which one. A machine
    /// that restarts from inside is started again by the implementation and not reported. The
    /// simulator's keeper ([`crate::keep`]) calls this again and again.
    async fn stopped(&self) -> DropletId;
}
