//! Asking for a droplet.

use serde::{Deserialize, Serialize};

use super::Droplet;
use crate::ids::{ActionId, ImageId};
use crate::input::{DropletName, TagName, UserData};
use crate::keys::KeyRef;

/// The wish for one droplet. Several at a time can be asked for too, but then nobody knows which of
/// them a lost answer made.
#[derive(Debug, Clone, Serialize)]
pub struct NewDroplet {
    /// Its name.
    pub name: DropletName,
    /// Its size, such as `s-1vcpu-2gb`.
    pub size: String,
    /// What it is made from.
    pub image: ImageRef,
    /// Where, such as `fra1`. DigitalOcean chooses where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who may log in as root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<KeyRef>,
    /// Tags; made where they don't exist. One of them should be unique, so that the droplet is
    /// found again when the answer is lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagName>,
    /// What it runs at its first start. Can't be changed later, and every process on the droplet
    /// can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<UserData>,
    /// Whether it gets an IPv6 address.
    pub ipv6: bool,
    /// Whether DigitalOcean's agent for metrics is installed.
    pub monitoring: bool,
    /// Whether the agent for the web console is installed; DigitalOcean tries if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_droplet_agent: Option<bool>,
    /// The private network; the region's default one where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_uuid: Option<String>,
}

impl NewDroplet {
    /// With nothing but what is needed.
    #[must_use]
    pub fn new(name: DropletName, size: impl Into<String>, image: ImageRef) -> Self {
        Self {
            name,
            size: size.into(),
            image,
            region: None,
            ssh_keys: Vec::new(),
            tags: Vec::new(),
            user_data: None,
            ipv6: false,
            monitoring: false,
            with_droplet_agent: None,
            vpc_uuid: None,
        }
    }
}

/// An image, named in one of two ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ImageRef {
    /// A public one, such as `ubuntu-24-04-x64`.
    Slug(String),
    /// Any.
    Id(ImageId),
}

/// What was accepted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CreatedDroplet {
    /// The droplet, without addresses yet.
    pub droplet: Droplet,
    #[serde(default)]
    links: CreateLinks,
}

impl CreatedDroplet {
    /// The action that makes it. Ends `errored` when that failed.
    #[must_use]
    pub fn create_action(&self) -> Option<ActionId> {
        let create = |link: &&ActionLink| link.rel == "create";
        self.links.actions.iter().find(create).map(|link| link.id)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct CreateLinks {
    #[serde(default)]
    actions: Vec<ActionLink>,
}

/// An action that an answer points to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ActionLink {
    /// Its id.
    pub id: ActionId,
    /// What it does.
    #[serde(default)]
    pub rel: String,
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn only_what_was_said_is_sent() {
        let name = DropletName::parse("web-1").unwrap();
        let image = ImageRef::Slug("ubuntu-24-04-x64".into());
        let mut droplet = NewDroplet::new(name, "s-1vcpu-1gb", image);
        assert_eq!(
            serde_json::to_string(&droplet).unwrap(),
            r#"{"name":"web-1","size":"s-1vcpu-1gb","image":"ubuntu-24-04-x64","ipv6":false,"monitoring":false}"#
        );
        droplet.image = ImageRef::Id(ImageId(7));
        droplet.tags = vec![TagName::parse("env:1").unwrap()];
        droplet.user_data = Some(UserData::parse(SecretString::from("#!canary")).unwrap());
        let sent = serde_json::to_string(&droplet).unwrap();
        assert!(
            sent.contains(r##""image":7,"tags":["env:1"],"user_data":"#!canary""##),
            "{sent}"
        );
        assert!(!format!("{droplet:?}").contains("canary"));
    }
}
