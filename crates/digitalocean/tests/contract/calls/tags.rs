//! Tags.

use agentopia_digitalocean::tags::{Taggable, TaggableKind};
use agentopia_digitalocean::{Client, DropletId, TagName};

use super::{ok, some};

pub(super) async fn all(client: &Client) {
    let tags = client.tags();
    let tag = TagName::parse("env:0199_a-b").unwrap();
    ok(tags.list().all()).await;
    ok(tags.create(&tag)).await;
    some(tags.get(&tag)).await;
    let image = Taggable {
        resource_id: "7555620".into(),
        resource_type: TaggableKind::Image,
    };
    let things = [Taggable::droplet(DropletId(9_569_411)), image];
    ok(tags.tag(&tag, &things)).await;
    ok(tags.untag(&tag, &things)).await;
    ok(tags.delete(&tag)).await;
}
