//! `/v2/tags`.

use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Handled, json_answer, no_content, ok};
use super::call::Call;
use super::render;
use crate::refusal::Refusal;
use crate::state::{DropletId, ImageId, TaggedResource};

#[derive(Deserialize)]
struct Create {
    name: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    resource_id: String,
    resource_type: ResourceType,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ResourceType {
    Droplet,
    Image,
    Volume,
    VolumeSnapshot,
    Database,
}

pub(super) async fn list(call: Call) -> Handled {
    call.allow(&["tag:read"])?;
    let state = call.state();
    let tags: Vec<_> = state.tags.all().collect();
    call.page("tags", &tags, |tag| {
        render::tag(&call.base_url, &state, tag)
    })
}

pub(super) async fn create(call: Call) -> Handled {
    call.allow(&["tag:create"])?;
    let wish: Create = call.body()?;
    let mut state = call.state();
    let tag = state.tags.create(&wish.name)?.clone();
    let body = json!({"tag": render::tag(&call.base_url, &state, &tag)});
    Ok(json_answer(StatusCode::CREATED, &body))
}

pub(super) async fn show(Path(tag): Path<String>, call: Call) -> Handled {
    call.allow(&["tag:read"])?;
    let state = call.state();
    let tag = state.tags.find(&tag).ok_or_else(Refusal::not_found)?;
    Ok(ok(
        &json!({"tag": render::tag(&call.base_url, &state, tag)}),
    ))
}

pub(super) async fn remove(Path(tag): Path<String>, call: Call) -> Handled {
    call.allow(&["tag:delete"])?;
    call.state().delete_tag(call.now, &tag)?;
    Ok(no_content())
}

pub(super) async fn tag_resources(Path(tag): Path<String>, call: Call) -> Handled {
    call.allow(&["tag:create"])?;
    set(&tag, &call, true)
}

pub(super) async fn untag_resources(Path(tag): Path<String>, call: Call) -> Handled {
    call.allow(&["tag:delete"])?;
    set(&tag, &call, false)
}

fn set(tag: &str, call: &Call, on: bool) -> Handled {
    let body: Resources = call.body()?;
    for resource in &body.resources {
        call.allow(&[resource.resource_type.update_scope()])?;
    }
    let resources: Vec<_> = body.resources.iter().map(Into::into).collect();
    call.state().tag_resources(call.now, tag, &resources, on)?;
    Ok(no_content())
}

impl ResourceType {
    fn update_scope(self) -> &'static str {
        match self {
            Self::Droplet => "droplet:update",
            Self::Image => "image:update",
            Self::Volume => "block_storage:update",
            Self::VolumeSnapshot => "block_storage_snapshot:update",
            Self::Database => "database:update",
        }
    }
}

impl From<&Resource> for TaggedResource {
    fn from(resource: &Resource) -> Self {
        let id = resource.resource_id.parse();
        match (resource.resource_type, id) {
            (ResourceType::Droplet, Ok(id)) => Self::Droplet(DropletId(id)),
            (ResourceType::Image, Ok(id)) => Self::Image(ImageId(id)),
            _ => Self::Absent,
        }
    }
}
