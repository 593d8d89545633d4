//! The seam behind which machines are: what they are told, and what becomes of slow ones.

use std::sync::Arc;

use async_trait::async_trait;
use digitalocean_sim::DropletId;
use digitalocean_sim::machines::{
    Address, Limits, MachineError, MachinePlan, Machines, ShutdownOutcome,
};
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::rig::{Rig, options, wish};

/// Machines that take note of what they are told, and boot only when they are let.
#[derive(Debug)]
struct Noting {
    notes: Mutex<Vec<String>>,
    boots: Semaphore,
}

impl Noting {
    fn note(&self, what: impl ToString) {
        self.notes.lock().push(what.to_string());
    }

    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock())
    }
}

#[async_trait]
impl Machines for Noting {
    async fn boot(&self, plan: &MachinePlan) -> Result<(), MachineError> {
        let user_data = plan
            .user_data
            .as_ref()
            .map_or("", |text| text.expose_secret());
        self.note(format!("boot {} {:?} {user_data}", plan.name, plan.limits));
        self.boots.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn power_off(&self, _: DropletId) -> Result<(), MachineError> {
        self.note("power off");
        Ok(())
    }

    async fn shut_down(&self, _: DropletId) -> Result<ShutdownOutcome, MachineError> {
        self.note("shut down");
        Ok(ShutdownOutcome::StillUp)
    }

    async fn power_on(&self, _: DropletId) -> Result<(), MachineError> {
        self.note("power on");
        Ok(())
    }

    async fn resize(&self, _: DropletId, limits: Limits) -> Result<(), MachineError> {
        self.note(format!("resize {limits:?}"));
        Ok(())
    }

    async fn destroy(&self, droplet: DropletId) -> Result<(), MachineError> {
        self.note("destroy");
        // One that is asked for twice could not be found again by its host.
        if droplet.0 == 0 {
            return Err(MachineError::Unknown(droplet));
        }
        Ok(())
    }

    async fn address(&self, _: DropletId) -> Result<Address, MachineError> {
        Ok(Address {
            ip: [10, 77, 0, 20].into(),
            netmask: [255, 255, 255, 0].into(),
            gateway: [10, 77, 0, 1].into(),
        })
    }

    async fn stopped(&self) -> DropletId {
        std::future::pending().await
    }
}

fn rig() -> (Rig, Arc<Noting>) {
    let machines = Arc::new(Noting {
        notes: Mutex::default(),
        boots: Semaphore::new(0),
    });
    let mut options = options(1);
    options.settings.delays = digitalocean_sim::settings::Delays::none();
    options.machines = machines.clone();
    (Rig::of(options), machines)
}

#[tokio::test]
async fn a_slow_machine_holds_its_action_up_and_nothing_else() {
    let (rig, machines) = rig();
    let mut body = wish("web", "env:1");
    body["user_data"] = json!("#!/bin/sh");
    let made = rig.post("/v2/droplets", body).await.with(202);
    let droplet = made["droplet"]["id"].as_u64().unwrap();
    rig.pass(10_000);
    assert_eq!(rig.status(droplet).await, "new");
    assert_eq!(
        machines.notes(),
        ["boot web Limits { vcpus: 1, memory: 2048, disk: 50 } #!/bin/sh"]
    );
    machines.boots.add_permits(1);
    while rig.status(droplet).await == "new" {
        tokio::task::yield_now().await;
    }
    let shown = rig.get(&format!("/v2/droplets/{droplet}")).await.with(200);
    assert_eq!(
        shown["droplet"]["networks"]["v4"][1]["ip_address"],
        "10.77.0.20"
    );
}

#[tokio::test]
async fn machines_are_told_what_actions_mean() {
    let (rig, machines) = rig();
    machines.boots.add_permits(1);
    let droplet = rig.droplet("env:1").await;
    machines.notes();
    for (action, told, status) in [
        (json!({"type": "shutdown"}), vec!["shut down"], "active"),
        (
            json!({"type": "power_cycle"}),
            vec!["power off", "power on"],
            "active",
        ),
        (json!({"type": "power_off"}), vec!["power off"], "off"),
        (
            json!({"type": "resize", "size": "s-2vcpu-4gb", "disk": false}),
            vec!["resize Limits { vcpus: 2, memory: 4096, disk: 50 }"],
            "off",
        ),
        (
            json!({"type": "resize", "size": "s-4vcpu-8gb", "disk": true}),
            vec!["resize Limits { vcpus: 4, memory: 8192, disk: 160 }"],
            "off",
        ),
        (json!({"type": "power_on"}), vec!["power on"], "active"),
    ] {
        rig.act(droplet, action).await.with(201);
        assert_eq!(machines.notes(), told);
        assert_eq!(rig.status(droplet).await, status);
    }
    rig.delete(&format!("/v2/droplets/{droplet}"))
        .await
        .with(204);
    assert_eq!(machines.notes(), ["destroy"]);
}

#[tokio::test]
async fn a_reset_leaves_no_machine_behind() {
    let (rig, machines) = rig();
    machines.boots.add_permits(1);
    rig.droplet("env:1").await;
    rig.droplet("env:2").await;
    machines.notes();
    rig.simulator.reset(None).await;
    assert_eq!(machines.notes(), ["destroy", "destroy"]);
    // The second one's boot was under way all the time. It is nobody's now, and nobody takes it for
    // one of those that came after.
    let (third, fourth) = (rig.droplet("env:3").await, rig.droplet("env:4").await);
    machines.notes();
    machines.boots.add_permits(1);
    loop {
        match machines.notes().as_slice() {
            [] => tokio::task::yield_now().await,
            notes => break assert_eq!(notes, ["destroy"]),
        }
    }
    assert_eq!(
        (rig.status(third).await, rig.status(fourth).await),
        ("new".into(), "new".into())
    );
}
