//! What droplets look like.

use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{disk_info, image, region, size, time};
use crate::state::{BackupPlan, BackupPolicy, Droplet};

/// Hours that a backup may take.
const BACKUP_WINDOW: i64 = 4;

pub(in crate::http) fn droplet(droplet: &Droplet) -> Value {
    json!({
        "id": droplet.id,
        "name": droplet.name,
        "memory": droplet.size.limits.memory,
        "vcpus": droplet.size.limits.vcpus,
        "disk": droplet.disk,
        "disk_info": disk_info(droplet.disk),
        "locked": droplet.locked,
        "status": droplet.shown_status.name(),
        "kernel": null,
        "created_at": time(droplet.created_at),
        "features": features(droplet),
        "backup_ids": [],
        "next_backup_window": droplet.backups.map(|policy| backup_window(droplet.created_at, policy)),
        "snapshot_ids": droplet.snapshots,
        "image": image(&droplet.image),
        "volume_ids": [],
        "size": size(droplet.size),
        "size_slug": droplet.size.slug,
        "networks": networks(droplet),
        "region": region(droplet.region),
        "tags": droplet.tags,
        "vpc_uuid": droplet.vpc.to_string(),
    })
}

fn features(droplet: &Droplet) -> Vec<&'static str> {
    let optional = [
        (droplet.backups.is_some(), "backups"),
        (droplet.ipv6.is_some(), "ipv6"),
        (droplet.monitoring, "monitoring"),
    ];
    let optional = optional.into_iter().filter(|(has, _)| *has);
    let names = optional.map(|(_, name)| name);
    names
        .chain(["droplet_agent", "private_networking"])
        .collect()
}

/// The private network comes first: whoever takes the first address for the public one is wrong.
fn networks(droplet: &Droplet) -> Value {
    let (mut v4, mut v6) = (vec![], vec![]);
    if droplet.has_networks() {
        // A private network has no gateway; the contract knows no null here.
        v4.push(json!({
            "ip_address": droplet.private_ip,
            "netmask": "255.0.0.0",
            "type": "private",
        }));
    }
    if let Some(address) = droplet.public_address() {
        v4.push(json!({
            "ip_address": address.ip,
            "netmask": address.netmask,
            "gateway": address.gateway,
            "type": "public",
        }));
        v6.extend(droplet.ipv6.map(|ip| {
            json!({
                "ip_address": ip,
                "netmask": 64,
                "gateway": "2001:db8::1",
                "type": "public",
            })
        }));
    }
    json!({"v4": v4, "v6": v6})
}

/// The first window of a policy: nothing is backed up here.
fn backup_window(created_at: DateTime<Utc>, policy: BackupPolicy) -> Value {
    let days = match policy.plan {
        BackupPlan::Daily => 1,
        BackupPlan::Weekly => 7,
    };
    let day = created_at.date_naive() + Days::new(days);
    let start =
        day.and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::hours(policy.hour.into());
    json!({
        "start": time(start),
        "end": time(start + TimeDelta::hours(BACKUP_WINDOW)),
    })
}
