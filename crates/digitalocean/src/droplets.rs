//! Droplets: `/v2/droplets`.
//!
//! Making one is the most delicate call of all: see [`DropletsApi::create`].

mod action;
mod create;
mod model;

use crate::actions::Action;
use crate::client::{Call, Client, Removal};
use crate::error::Error;
use crate::firewalls::Firewall;
use crate::ids::{ActionId, DropletId};
use crate::input::{DropletName, TagName};
use crate::page::Pages;

pub use action::{DropletAction, PowerAction};
pub use create::{ActionLink, CreatedDroplet, ImageRef, NewDroplet};
pub use model::{
    Droplet, DropletImage, DropletRegion, DropletSize, DropletStatus, NetworkKind, NetworkV4,
    NetworkV6, Networks,
};

/// See [`Client::droplets`].
#[derive(Debug, Clone, Copy)]
pub struct DropletsApi<'c>(pub(crate) &'c Client);

impl<'c> DropletsApi<'c> {
    /// Asks for one droplet. Sent once, whatever happens: DigitalOcean has no idempotency keys and
    /// allows duplicate names, so a second request would be a second droplet.
    ///
    /// The answer means that it was accepted, no more: the droplet can still vanish, or its create
    /// action end `errored`.
    ///
    /// # Errors
    /// After [`Error::Ambiguous`] look for it with [`Self::list_by_tag`] for a while before asking
    /// again; after every other error there is none.
    pub async fn create(self, droplet: &NewDroplet) -> Result<CreatedDroplet, Error> {
        let call = Call::post("create a droplet", ["droplets"]).json(droplet)?;
        self.0.json(&call).await
    }

    /// One droplet. Right at any time, other than the lists, which can lag behind.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self, id: DropletId) -> Result<Option<Droplet>, Error> {
        self.0.find(&Call::get("read a droplet", one(id))).await
    }

    /// All droplets of the account, those of others included.
    pub fn list(self) -> Pages<'c, Droplet> {
        Pages::new(self.0, Call::get("list droplets", ["droplets"]))
    }

    /// The droplets with a tag. Can lag behind changes.
    ///
    /// What the answer holds besides, because a filter got lost on the way, is left out: on this
    /// list droplets are deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_by_tag(self, tag: &TagName) -> Result<Vec<Droplet>, Error> {
        let call = Call::get("list droplets by tag", ["droplets"]).query("tag_name", tag);
        let mut droplets = Pages::<Droplet>::new(self.0, call).all().await?;
        droplets.retain(|droplet| droplet.tags.iter().any(|each| tag.is(each)));
        Ok(droplets)
    }

    /// The droplets with a name, of which there can be several. Upper and lower case are the same
    /// to DigitalOcean. Can lag behind changes. Filters like [`Self::list_by_tag`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_by_name(self, name: &DropletName) -> Result<Vec<Droplet>, Error> {
        let call = Call::get("list droplets by name", ["droplets"]).query("name", name);
        let mut droplets = Pages::<Droplet>::new(self.0, call).all().await?;
        droplets.retain(|droplet| droplet.name.eq_ignore_ascii_case(name.as_str()));
        Ok(droplets)
    }

    /// Deletes a droplet. It may linger: it is gone when [`Self::get`] finds nothing.
    ///
    /// # Errors
    /// [`Error::Retryable`] while it is busy.
    pub async fn delete(self, id: DropletId) -> Result<Removal, Error> {
        self.0
            .remove(&Call::delete("delete a droplet", one(id)))
            .await
    }

    /// Deletes all droplets with a tag. Some can survive: list them again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_by_tag(self, tag: &TagName) -> Result<Removal, Error> {
        let call = Call::delete("delete droplets by tag", ["droplets"]).query("tag_name", tag);
        self.0.remove(&call).await
    }

    /// Begins an action. One at a time: while another runs this is [`Error::Retryable`].
    ///
    /// # Errors
    /// After [`Error::Ambiguous`] look at the droplet and its actions before asking again.
    pub async fn act(self, id: DropletId, action: &DropletAction) -> Result<Action, Error> {
        let path = ["droplets".to_owned(), id.to_string(), "actions".to_owned()];
        self.0
            .one(&Call::post(action.operation(), path).json(action)?)
            .await
    }

    /// Begins an action on all droplets with a tag.
    ///
    /// # Errors
    /// Those of [`Self::act`].
    pub async fn act_by_tag(
        self,
        tag: &TagName,
        action: PowerAction,
    ) -> Result<Vec<Action>, Error> {
        let call = Call::post("act on droplets by tag", ["droplets", "actions"])
            .query("tag_name", tag)
            .json(&action)?;
        self.0
            .json::<crate::envelope::Many<Action>>(&call)
            .await
            .map(|many| many.items)
    }

    /// What was done to a droplet, the newest first.
    pub fn actions(self, id: DropletId) -> Pages<'c, Action> {
        let path = ["droplets".to_owned(), id.to_string(), "actions".to_owned()];
        Pages::new(self.0, Call::get("list a droplet's actions", path))
    }

    /// One action of a droplet.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn action(self, id: DropletId, action: ActionId) -> Result<Option<Action>, Error> {
        let (id, action) = (id.to_string(), action.to_string());
        let path = ["droplets", &id, "actions", &action];
        self.0
            .find(&Call::get("read a droplet's action", path))
            .await
    }

    /// The firewalls that hold for a droplet, by its id or by its tags.
    pub fn firewalls(self, id: DropletId) -> Pages<'c, Firewall> {
        let path = [
            "droplets".to_owned(),
            id.to_string(),
            "firewalls".to_owned(),
        ];
        Pages::new(self.0, Call::get("list a droplet's firewalls", path))
    }
}

fn one(id: DropletId) -> [String; 2] {
    ["droplets".to_owned(), id.to_string()]
}
