//! What resources look like in every state they can be in.

use digitalocean_sim::DropletId;
use digitalocean_sim::faults::{ResourceFault, ResourceRule, When};
use serde_json::{Value, json};

use crate::rig::{Rig, wish};

impl Rig {
    /// The droplet by itself, in lists, and its actions: all fit. What it is.
    async fn look(&self, droplet: u64) -> Value {
        for path in [
            "/v2/droplets".to_owned(),
            "/v2/droplets?tag_name=env:1&per_page=1".to_owned(),
            "/v2/droplets?name=web&page=2&per_page=1".to_owned(),
            "/v2/actions".to_owned(),
            "/v2/firewalls".to_owned(),
            "/v2/tags".to_owned(),
            "/v2/images?private=true".to_owned(),
            "/v2/projects/default/resources".to_owned(),
            format!("/v2/droplets/{droplet}/actions"),
            format!("/v2/droplets/{droplet}/firewalls"),
        ] {
            self.get(&path).await;
        }
        let shown = self.get(&format!("/v2/droplets/{droplet}")).await;
        shown["droplet"].clone()
    }

    fn fault(&self, fault: ResourceFault) {
        self.simulator
            .add_resource_fault(ResourceRule::new(fault).when(When::nth(1)));
    }

    async fn action(&self, action: u64) -> String {
        let shown = self.get(&format!("/v2/actions/{action}")).await;
        shown["action"]["status"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn contract_a_droplet_fits_in_every_state() {
    let rig = Rig::start().await;
    let droplet = rig.create("env:1").await;
    rig.create("env:1").await;
    assert_eq!(rig.look(droplet).await["status"], "new");
    rig.pass(20);
    let young = rig.look(droplet).await;
    assert_eq!(young["networks"]["v4"].as_array().unwrap().len(), 1);
    rig.pass(5);
    let active = rig.look(droplet).await;
    assert_eq!(active["networks"]["v4"].as_array().unwrap().len(), 2);
    for action in [
        json!({"type": "shutdown"}),
        json!({"type": "resize", "size": "s-2vcpu-4gb", "disk": false}),
        json!({"type": "resize", "size": "s-4vcpu-8gb", "disk": true}),
        json!({"type": "power_on"}),
        json!({"type": "reboot"}),
        json!({"type": "power_cycle"}),
        json!({"type": "rename", "name": "web"}),
        json!({"type": "enable_ipv6"}),
        json!({"type": "enable_backups", "backup_policy": {"plan": "weekly", "weekday": "SUN", "hour": 20}}),
        json!({"type": "password_reset"}),
        json!({"type": "snapshot", "name": "kept"}),
        json!({"type": "disable_backups"}),
        json!({"type": "power_off"}),
    ] {
        let begun = rig.act(droplet, action.clone()).await;
        assert_eq!(rig.action(begun).await, "in-progress");
        rig.look(droplet).await;
        rig.pass(5);
        assert_eq!(rig.action(begun).await, "completed", "{action}");
        rig.look(droplet).await;
    }
    // The contract tells of this type, and leaves it out where it lists them.
    let policy = json!({"type": "change_backup_policy", "backup_policy": {"plan": "daily"}});
    rig.odd(
        "POST",
        &format!("/v2/droplets/{droplet}/actions"),
        policy,
        201,
    )
    .await;
    rig.pass(5);
    rig.simulator.set_locked(DropletId(droplet), true).await;
    assert_eq!(rig.look(droplet).await["locked"], true);
    let act = Some(json!({"type": "power_on"}));
    rig.bad("POST", &format!("/v2/droplets/{droplet}/actions"), act, 422)
        .await;
    rig.simulator.set_locked(DropletId(droplet), false).await;
    let path = format!("/v2/droplets/{droplet}");
    rig.good("DELETE", &path, None, 204).await;
    rig.look(droplet).await;
    rig.bad("DELETE", &path, None, 422).await;
    rig.pass(8);
    rig.bad("GET", &path, None, 404).await;
    rig.bad("DELETE", &path, None, 404).await;
    rig.get("/v2/actions").await;
}

#[tokio::test]
async fn contract_a_faulty_droplet_fits_too() {
    let rig = Rig::start().await;
    for fault in [
        ResourceFault::StuckNew,
        ResourceFault::CreateErrored,
        ResourceFault::IpLate,
        ResourceFault::ListLag,
    ] {
        rig.fault(fault);
        let droplet = rig.active("env:1").await;
        rig.look(droplet).await;
        rig.simulator.set_faults(Default::default());
    }
    rig.fault(ResourceFault::Vanish);
    let droplet = rig.create("env:1").await;
    rig.pass(60);
    rig.bad("GET", &format!("/v2/droplets/{droplet}"), None, 404)
        .await;
    rig.get("/v2/actions?per_page=200").await;

    let droplet = rig.active("env:1").await;
    for fault in [
        ResourceFault::ActionErrored,
        ResourceFault::ActionRolledBack,
    ] {
        rig.simulator.set_faults(Default::default());
        rig.fault(fault);
        let begun = rig.act(droplet, json!({"type": "power_off"})).await;
        rig.look(droplet).await;
        rig.pass(5);
        assert_eq!(rig.action(begun).await, "errored");
        assert_eq!(rig.look(droplet).await["status"], "active");
    }
    rig.fault(ResourceFault::ResizeRefused);
    rig.act(droplet, json!({"type": "power_off"})).await;
    rig.pass(5);
    let resize = Some(json!({"type": "resize", "size": "s-2vcpu-4gb"}));
    rig.bad(
        "POST",
        &format!("/v2/droplets/{droplet}/actions"),
        resize,
        422,
    )
    .await;
    rig.fault(ResourceFault::Survivor);
    rig.good("DELETE", &format!("/v2/droplets/{droplet}"), None, 204)
        .await;
    rig.pass(8);
    rig.look(droplet).await;
}

#[tokio::test]
async fn contract_every_kind_of_droplet_fits() {
    let rig = Rig::start().await;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Tt1bYOW5ctnAxwTMHNOTRyJ5pXHzGVFyqf3u9Q0zm";
    let key = rig
        .good(
            "POST",
            "/v2/account/keys",
            Some(json!({"name": "k", "public_key": key})),
            201,
        )
        .await["ssh_key"]["id"]
        .clone();
    let slugs = |list: Value, key: &str, only: &dyn Fn(&Value) -> bool| {
        let all = list[key].as_array().unwrap().clone();
        let open = all
            .into_iter()
            .filter(|item| item["available"] == true && only(item));
        open.map(|item| item["slug"].clone()).collect::<Vec<_>>()
    };
    let mut bodies = vec![];
    for region in slugs(rig.get("/v2/regions").await, "regions", &|_| true) {
        bodies.push(json!({"region": region}));
    }
    let here = |size: &Value| size["regions"].as_array().unwrap().contains(&json!("fra1"));
    for size in slugs(rig.get("/v2/sizes").await, "sizes", &here) {
        bodies.push(json!({"size": size}));
    }
    bodies.extend([
        json!({"ipv6": true, "backups": true, "monitoring": true}),
        json!({"backups": true, "backup_policy": {"plan": "weekly", "weekday": "MON", "hour": 8}}),
        json!({"public_networking": false}),
        json!({"ssh_keys": [key]}),
        json!({"image": "docker-20-04"}),
        json!({"tags": null}),
        json!({"user_data": "x".repeat(65_536)}),
    ]);
    for body in bodies {
        let mut wish = wish("env:1");
        for (field, value) in body.as_object().unwrap() {
            wish[field] = value.clone();
        }
        let made = rig.good("POST", "/v2/droplets", Some(wish), 202).await;
        rig.pass(25);
        let path = format!("/v2/droplets/{}", made["droplet"]["id"]);
        assert_eq!(
            rig.get(&path).await["droplet"]["status"],
            "active",
            "{body}"
        );
        rig.good("DELETE", &path, None, 204).await;
        rig.pass(8);
    }
}

#[tokio::test]
async fn contract_a_firewall_fits_in_every_state() {
    let rig = Rig::start().await;
    let droplet = rig.active("env:1").await;
    let target = json!({"addresses": ["10.0.0.0/8"], "droplet_ids": [droplet], "tags": ["env:1"]});
    let body = json!({
        "name": "base",
        "droplet_ids": [droplet],
        "tags": ["env:1"],
        "inbound_rules": [{"protocol": "icmp", "ports": "0", "sources": target}],
        "outbound_rules": [{"protocol": "udp", "ports": "1-9", "destinations": target}],
    });
    rig.fault(ResourceFault::FirewallFailed);
    let made = rig.good("POST", "/v2/firewalls", Some(body), 202).await;
    let path = format!("/v2/firewalls/{}", made["firewall"]["id"].as_str().unwrap());
    let status = async || rig.get(&path).await["firewall"]["status"].clone();
    assert_eq!(status().await, "waiting");
    rig.pass(2);
    assert_eq!(status().await, "failed");
    let rules = json!({"inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": target}]});
    rig.good("POST", &format!("{path}/rules"), Some(rules), 204)
        .await;
    rig.pass(2);
    assert_eq!(status().await, "succeeded");
    let gone = json!({"droplet_ids": [droplet]});
    rig.good("DELETE", &format!("{path}/droplets"), Some(gone), 204)
        .await;
    let tags = json!({"tags": ["env:1"]});
    rig.good("DELETE", &format!("{path}/tags"), Some(tags), 204)
        .await;
    assert_eq!(
        rig.get(&path).await["firewall"]["pending_changes"][0]["removing"],
        true
    );
    rig.look(droplet).await;
}
