//! SSH keys.

use agentopia_digitalocean::keys::{KeyRef, NewKey};
use agentopia_digitalocean::{Client, KeyId};

use super::{ok, some};

pub(super) async fn all(client: &Client) {
    let keys = client.keys();
    ok(keys.list().all()).await;
    for key in [
        KeyRef::Id(KeyId(289_794)),
        KeyRef::Fingerprint("3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45".into()),
    ] {
        some(keys.get(&key)).await;
        ok(keys.rename(&key, "new name")).await;
        ok(keys.delete(&key)).await;
    }
    let key = NewKey {
        name: "mine".into(),
        public_key: "ssh-ed25519 AAAA mine".into(),
    };
    ok(keys.create(&key)).await;
}
