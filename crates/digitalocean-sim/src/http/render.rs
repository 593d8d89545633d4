//! What things look like.

mod droplet;
mod firewall;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

pub(super) use droplet::droplet;
pub(super) use firewall::firewall;

use crate::state::{
    Action, ActionStatus, Assignment, Image, Key, Project, ProjectId, Region, Size, State, Tag,
    TaggedResource,
};

/// Times have whole seconds and end in `Z`.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn action(action: &Action) -> Value {
    let status = match action.status {
        ActionStatus::InProgress => "in-progress",
        ActionStatus::Completed => "completed",
        ActionStatus::Errored => "errored",
    };
    json!({
        "id": action.id,
        "status": status,
        "type": action.kind.name(),
        "started_at": time(action.started_at),
        "completed_at": action.completed_at.map(time),
        "resource_id": action.droplet,
        "resource_type": "droplet",
        "region": region(action.region),
        "region_slug": action.region.slug,
    })
}

pub(super) fn region(region: &Region) -> Value {
    json!({
        "name": region.name,
        "slug": region.slug,
        "features": region.features(),
        "available": region.available,
        "sizes": region.sizes().collect::<Vec<_>>(),
    })
}

pub(super) fn size(size: &Size) -> Value {
    json!({
        "slug": size.slug,
        "memory": size.limits.memory,
        "vcpus": size.limits.vcpus,
        "disk": size.limits.disk,
        "transfer": size.transfer,
        "price_monthly": size.price_monthly,
        "price_hourly": size.price_hourly,
        "regions": size.regions().collect::<Vec<_>>(),
        "available": size.available,
        "description": size.description,
        "disk_info": disk_info(size.limits.disk),
    })
}

fn disk_info(gigabytes: u32) -> Value {
    json!([{"type": "local", "size": {"amount": gigabytes, "unit": "gib"}}])
}

pub(super) fn image(image: &Image) -> Value {
    json!({
        "id": image.id,
        "name": image.name,
        "type": image.kind,
        "distribution": image.distribution,
        "slug": image.slug,
        "public": image.is_public(),
        "regions": image.regions,
        "created_at": time(image.created_at),
        "min_disk_size": image.min_disk,
        "size_gigabytes": image.size_gigabytes,
        "description": image.description,
        "tags": image.tags,
        "status": image.status,
        "error_message": "",
    })
}

pub(super) fn key(key: &Key) -> Value {
    json!({
        "id": key.id,
        "fingerprint": key.fingerprint,
        "public_key": key.public_key,
        "name": key.name,
    })
}

pub(super) fn tag(base_url: &str, state: &State, tag: &Tag) -> Value {
    let usage = tag.usage(&state.droplets, &state.images);
    let uri = |resource| match resource {
        TaggedResource::Droplet(id) => Some(format!("{base_url}/v2/droplets/{id}")),
        TaggedResource::Image(id) => Some(format!("{base_url}/v2/images/{id}")),
        TaggedResource::Absent => None,
    };
    // The address of the last one is left out where there is none: the contract knows no null here.
    let count = |count: usize, last: Option<TaggedResource>| match last.and_then(uri) {
        Some(uri) => json!({"count": count, "last_tagged_uri": uri}),
        None => json!({"count": count}),
    };
    let mut resources = count(usage.droplets + usage.images, usage.last);
    let on_droplet = usage.last_droplet.map(TaggedResource::Droplet);
    let on_image = usage.last_image.map(TaggedResource::Image);
    resources["droplets"] = count(usage.droplets, on_droplet);
    resources["images"] = count(usage.images, on_image);
    for absent in ["volumes", "volume_snapshots", "databases"] {
        resources[absent] = count(0, None);
    }
    json!({"name": tag.name, "resources": resources})
}

pub(super) fn project(state: &State, project: &Project) -> Value {
    let mut rendered = json!({
        "id": project.id,
        "owner_uuid": state.account.uuid.to_string(),
        "owner_id": 258_992,
        "name": project.name,
        "description": project.description,
        "purpose": project.purpose,
        "is_default": is_default(state, project.id),
        "created_at": time(project.created_at),
        "updated_at": time(project.updated_at),
    });
    if let Some(stage) = project.environment {
        rendered["environment"] = json!(stage);
    }
    rendered
}

fn is_default(state: &State, project: ProjectId) -> bool {
    state.projects.default_id() == project
}

pub(super) fn assignment(base_url: &str, assignment: &Assignment) -> Value {
    let mut rendered = json!({"urn": assignment.urn, "status": assignment.status});
    if let Some(at) = assignment.assigned_at {
        rendered["assigned_at"] = time(at).into();
    }
    if let Some(id) = assignment.urn.strip_prefix("do:droplet:") {
        rendered["links"] = json!({"self": format!("{base_url}/v2/droplets/{id}")});
    }
    rendered
}
