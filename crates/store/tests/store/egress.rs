//! Where instances may go to (DTMA-4).

use agentopia_domain::egress::{Destinations, Egress};
use agentopia_store::{InstanceIntent as I, Reconfigure};

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{name, no_limit};

on_both_engines!(where_a_tool_may_go_is_kept_and_changed);

async fn where_a_tool_may_go_is_kept_and_changed(db: TestDb) {
    let account = db.account("a@b.c").await;
    let instances = db.store.instances();
    let list = Egress::Allow {
        to: Destinations::parse(["api.example.com:443"]).unwrap(),
    };
    let mut new = db.new_instance(account, "echo").await;
    new.egress = list.clone();
    let made = instances.create(new, no_limit, &[]).await.unwrap();
    assert_eq!(made.egress, list);
    for policy in [Egress::None, Egress::Open, list.clone()] {
        let before = instances.get(account, made.id).await.unwrap();
        let other = I::Reconfigure(Reconfigure {
            egress: Some(policy.clone()),
            ..Reconfigure::default()
        });
        let changed = instances.set_intent(account, made.id, other, no_limit, &[]);
        let changed = changed.await.unwrap().value;
        assert_eq!(changed.egress, policy);
        assert_eq!(
            changed.generation,
            before.generation + 1,
            "its machine is told"
        );
    }
    // A change of something else leaves it as it is.
    let renamed = I::Reconfigure(Reconfigure {
        name: Some(name("other")),
        ..Reconfigure::default()
    });
    let renamed = instances.set_intent(account, made.id, renamed, no_limit, &[]);
    assert_eq!(renamed.await.unwrap().value.egress, list);
    assert_eq!(db.instance(account, "plain").await.egress, Egress::Open);
}
