//! Droplets and what is done to them.

use agentopia_digitalocean::droplets::{DropletAction, ImageRef, NewDroplet, PowerAction};
use agentopia_digitalocean::keys::KeyRef;
use agentopia_digitalocean::{
    ActionId, Client, DropletId, DropletName, ImageId, KeyId, TagName, UserData,
};
use secrecy::SecretString;

use super::{ok, some};

/// With everything that can be said.
pub(crate) fn wish() -> NewDroplet {
    NewDroplet {
        region: Some("fra1".into()),
        ssh_keys: vec![KeyRef::Id(KeyId(7)), KeyRef::Fingerprint("3b:16".into())],
        tags: vec![TagName::parse("env:0199").unwrap()],
        user_data: Some(UserData::parse(SecretString::from("#cloud-config\n")).unwrap()),
        ipv6: true,
        monitoring: true,
        with_droplet_agent: Some(false),
        vpc_uuid: Some("760e09ef-dc84-11e8-981e-3cfdfeaae000".into()),
        ..NewDroplet::new(
            DropletName::parse("agentopia-0199").unwrap(),
            "s-1vcpu-2gb",
            ImageRef::Slug("ubuntu-24-04-x64".into()),
        )
    }
}

pub(super) async fn all(client: &Client) {
    let droplets = client.droplets();
    let id = DropletId(3_164_494);
    let tag = TagName::parse("env:prod").unwrap();

    let created = ok(droplets.create(&wish())).await;
    assert_eq!(created.create_action(), Some(ActionId(7515)));
    let name = DropletName::parse("a").unwrap();
    let bare = NewDroplet::new(name.clone(), "s-1vcpu-1gb", ImageRef::Id(ImageId(7)));
    ok(droplets.create(&bare)).await;

    some(droplets.get(id)).await;
    ok(droplets.list().all()).await;
    ok(droplets.list_by_tag(&tag)).await;
    ok(droplets.list_by_name(&name)).await;
    ok(droplets.firewalls(id).all()).await;
    actions(client, id, &tag).await;
    ok(client.urgent().droplets().delete(id)).await;
    ok(droplets.delete_by_tag(&tag)).await;
}

async fn actions(client: &Client, id: DropletId, tag: &TagName) {
    let droplets = client.droplets();
    let power = [
        PowerAction::Shutdown,
        PowerAction::PowerOff,
        PowerAction::PowerOn,
        PowerAction::PowerCycle,
    ];
    let size = "s-2vcpu-4gb".to_owned();
    let others = [DropletAction::Reboot, DropletAction::Resize { size }];
    for action in power.map(DropletAction::Power).into_iter().chain(others) {
        ok(droplets.act(id, &action)).await;
    }
    for action in power {
        ok(droplets.act_by_tag(tag, action)).await;
    }
    ok(droplets.actions(id).all()).await;
    some(droplets.action(id, ActionId(982_864_273))).await;
}
