//! The account, and what it can choose from.

use agentopia_digitalocean::images::{ImageFilter, ImageUpdate, NewImage};
use agentopia_digitalocean::{ActionId, Client, ImageId, TagName};

use super::{ok, some};

pub(super) async fn all(client: &Client) {
    ok(client.account().get()).await;
    ok(client.regions().list().all()).await;
    ok(client.sizes().list().all()).await;
    ok(client.actions().list().all()).await;
    some(client.actions().get(ActionId(36_804_636))).await;
    images(client).await;
}

async fn images(client: &Client) {
    let images = client.images();
    for filter in [
        ImageFilter::All,
        ImageFilter::Distributions,
        ImageFilter::Applications,
        ImageFilter::Private,
        ImageFilter::Tagged(TagName::parse("base-image").unwrap()),
    ] {
        ok(images.list(&filter).all()).await;
    }
    some(images.find_by_slug("ubuntu-24-04-x64")).await;
    some(images.get(ImageId(62_137_902))).await;
    let new = NewImage {
        name: "ubuntu-minimal".into(),
        url: "http://images.example/ubuntu.img".into(),
        region: "nyc3".into(),
        distribution: Some("Ubuntu".into()),
        description: Some("Cloud-optimised".into()),
        tags: vec![TagName::parse("base-image").unwrap()],
    };
    ok(images.import(&new)).await;
    let update = ImageUpdate {
        name: Some("renamed".into()),
        ..ImageUpdate::default()
    };
    ok(images.update(ImageId(7), &update)).await;
    ok(images.delete(ImageId(7))).await;
}
