//! Ids, typed. Numeric ones count up; how far to the next is drawn, as other accounts take some.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $vis:vis $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        $vis struct $name($vis $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A droplet's.
    pub DropletId(u64)
);
id!(
    /// An action's.
    pub ActionId(u64)
);
id!(
    /// An image's.
    pub(crate) ImageId(u64)
);
id!(
    /// An SSH key's.
    pub(crate) KeyId(u64)
);
id!(
    /// A firewall's.
    pub(crate) FirewallId(Uuid)
);
id!(
    /// A project's.
    pub(crate) ProjectId(Uuid)
);
