//! What is rendered for the two places of an instance.

use serde_json::json;

use super::*;
use crate::config::Config;
use crate::testing::instance;

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

fn catalog(version: &Value) -> CatalogDefinition {
    serde_json::from_value(json!({
        "slug": "t", "name": "T", "status": "available",
        "packaging": {"type": "docker_image", "image": "r.test/t"},
        "transport": {"type": "stdio"},
        "versions": [version],
        "default_version": "1",
        "volume": {"mount_path": "/data"},
    }))
    .unwrap()
}

fn rendered(instance: &Instance, catalog: &CatalogDefinition) -> InstanceSpec {
    let packages = PackageSettings::read(&Config::default()).unwrap();
    render(instance, catalog, 0, &Place::serving(instance), &packages).unwrap()
}

#[test]
fn a_version_keeps_the_image_that_it_was_first_run_with() {
    let mut instance = instance();
    let by_tag = catalog(&json!({"version": "1", "tag": "latest"}));
    let first = rendered(&instance, &by_tag);
    assert_eq!(first.image().reference(), "r.test/t:latest");
    instance.versions.digest = Some(digest("1"));
    let pinned = rendered(&instance, &by_tag);
    assert_eq!(
        pinned.image().reference(),
        format!("r.test/t@{}", digest("1"))
    );
    assert!(
        !first.needs_recreate(&pinned),
        "writing it down starts nothing anew"
    );
    // The catalog entry is changed.
    let changed = catalog(&json!({"version": "1", "digest": digest("2")}));
    let kept = rendered(&instance, &changed);
    assert_eq!(
        kept.image().reference(),
        format!("r.test/t@{}", digest("1"))
    );
}

#[test]
fn both_places_have_one_volume_and_ids_of_their_own() {
    let mut instance = instance();
    let catalog = catalog(&json!({"version": "1", "tag": "1"}));
    let first = rendered(&instance, &catalog);
    instance.versions.serving = Slot::Second;
    let second = rendered(&instance, &catalog);
    assert_ne!(first.instance_id, second.instance_id);
    assert_eq!(first.volume_of(), second.volume_of());
    // Its end is the end of the first place, which has the volume.
    instance.desired = DesiredInstance::Removed { purge_data: true };
    assert_eq!(rendered(&instance, &catalog).instance_id, instance.id);
}
