//! pydo, DigitalOcean's official client for Python, against the simulator. A Prism in between answers
//! an error of its own wherever pydo's request or the simulator's answer does not fit.

use std::process::Stdio;
use std::time::Duration;

use digitalocean_sim::FULL_TOKEN;
use digitalocean_sim::journal::JournalFilter;
use tokio::process::Command;

use crate::prism::wanted;
use crate::rig::Rig;

/// How long the script may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn contract_pydo_creates_resizes_shields_and_deletes_a_droplet() {
    let rig = Rig::strict().await;
    let mut script = Command::new(wanted("AGENTOPIA_PYDO_PYTHON", "script/pydo"))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/contract/pydo_story.py"
        ))
        .args([rig.prism.url.as_str(), FULL_TOKEN])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // The script asks until something has changed; simulated time flies meanwhile.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let watch = async {
        loop {
            tokio::select! {
                ended = script.wait() => break ended.unwrap(),
                _ = ticks.tick() => rig.pass(1),
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, watch).await;
    let asked = rig.simulator.journal(&JournalFilter::default());
    let ended = ended.unwrap_or_else(|_| panic!("pydo still waits: {:#?}", asked.last()));
    assert!(ended.success(), "{ended}");
    assert_eq!(rig.simulator.droplets().await, []);
    assert_eq!(rig.simulator.creations()["env:pydo"].requests, 1);
}
