//! Typed ids, so that an action's number is never taken for a droplet's.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

// The contract gives these the form of a UUID in addresses only, not in answers, so they are taken
// as they come and sent back the same.
macro_rules! text {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

number! {
    /// A droplet.
    DropletId
}
number! {
    /// An action, unique over all resources.
    ActionId
}
number! {
    /// An image.
    ImageId
}
number! {
    /// An SSH key of the account.
    KeyId
}
text! {
    /// A firewall: a UUID.
    FirewallId
}
text! {
    /// A project: a UUID.
    ProjectId
}
