//! What can't be made is refused before anything is, with a sentence that says what to do.

use std::sync::Arc;

use agentopia_cloud::{MachineProvider as _, ProviderError};
use agentopia_digitalocean::provider::{DigitalOceanProvider, ProviderSettings, SettingsError};

use crate::rig::{Rig, settings};

#[tokio::test(start_paused = true)]
async fn wrong_wishes_are_refused_and_nothing_is_made() {
    type Change = fn(&mut ProviderSettings);
    let cases: [(Change, &[&str]); 8] = [
        (|s| s.region = None, &["DO_DEFAULT_REGION"]),
        (|s| s.size = None, &["DO_DEFAULT_SIZE"]),
        (
            |s| s.region = Some("mars1".into()),
            &["mars1", "does not exist", "fra1"],
        ),
        (
            |s| s.region = Some("nyc2".into()),
            &["nyc2", "takes no new droplets"],
        ),
        (
            |s| s.size = Some("s-0".into()),
            &["s-0", "does not exist", "s-1vcpu-1gb"],
        ),
        (
            |s| s.image = "ubuntu-4".into(),
            &["ubuntu-4", "does not exist", "ubuntu-24-04-x64"],
        ),
        (|s| s.image = "4".into(), &["\"4\"", "does not exist"]),
        (
            |s| s.ssh_keys = vec!["aa:bb".into()],
            &["aa:bb", "DO_SSH_KEY_FINGERPRINTS"],
        ),
    ];
    for (change, parts) in cases {
        let mut settings = settings();
        change(&mut settings);
        let rig = Rig::with(settings);
        let error = rig.provider.create(&rig.request(1)).await.unwrap_err();
        let ProviderError::Final(text) = &error else {
            panic!("{error}");
        };
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(rig.creates(), (0, 0));
        assert!(rig.api.firewalls().list().all().await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_account_is_full() {
    let rig = Rig::new();
    let mut settings = rig.simulator.settings();
    settings.droplet_limit = 0;
    rig.simulator.set_settings(settings);
    let error = rig.provider.create(&rig.request(1)).await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Final(text) if text.contains("droplet limit")),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_known_says_so() {
    let rig = Rig::new();
    rig.simulator.set_tokens(Vec::new());
    let error = rig.provider.find(rig.sought(None)).await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Final(text) if text.contains("access token")),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn settings_are_checked_at_the_start() {
    type Change = fn(&mut ProviderSettings);
    let rig = Arc::new(Rig::new());
    let cases: [(Change, SettingsError); 3] = [
        (
            |s| s.installation = "My Company".into(),
            SettingsError::Installation("My Company".into()),
        ),
        (
            |s| s.control_plane_ranges.clear(),
            SettingsError::NoControlPlane,
        ),
        (
            |s| s.admin_ranges = vec!["home".into()],
            SettingsError::Range("home".into()),
        ),
    ];
    for (change, expected) in cases {
        let mut settings = settings();
        change(&mut settings);
        let error = DigitalOceanProvider::new(rig.api.clone(), settings).unwrap_err();
        assert_eq!(error, expected);
    }
}
