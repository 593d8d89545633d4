//! Actions: what DigitalOcean is doing, or did, to a resource. `/v2/actions`.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::client::{Call, Client};
use crate::envelope::Resource;
use crate::error::Error;
use crate::ids::ActionId;
use crate::open_enum::open_enum;
use crate::page::Pages;

/// An action.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// Its id.
    pub id: ActionId,
    /// How far it is.
    pub status: ActionStatus,
    /// What it does, such as `create`, `power_off`, `resize`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it began, by DigitalOcean's clock.
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, well or not.
    #[serde(default)]
    pub completed_at: Option<DateTime<Utc>>,
    /// To what: a droplet's id, for droplets.
    #[serde(default)]
    pub resource_id: Option<u64>,
    /// What kind of thing that is.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// Where.
    #[serde(default)]
    pub region_slug: Option<String>,
}

open_enum! {
    /// How far an action is.
    pub enum ActionStatus {
        /// Under way; nothing else can be done to the resource meanwhile.
        InProgress = "in-progress",
        /// Done.
        Completed = "completed",
        /// Failed. What it was to change is as before, or off.
        Errored = "errored",
    }
}

impl Resource for Action {
    const ONE: &'static str = "action";
    const MANY: &'static str = "actions";
}

/// See [`Client::actions`]. What is done to droplets is in [`crate::droplets::DropletsApi`].
#[derive(Debug, Clone, Copy)]
pub struct ActionsApi<'c>(pub(crate) &'c Client);

impl<'c> ActionsApi<'c> {
    /// All actions of the account, the newest first.
    pub fn list(self) -> Pages<'c, Action> {
        Pages::new(self.0, Call::get("list actions", ["actions"]))
    }

    /// One action, of whatever resource.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self, id: ActionId) -> Result<Option<Action>, Error> {
        let path = ["actions".to_owned(), id.to_string()];
        self.0.find(&Call::get("read an action", path)).await
    }
}
