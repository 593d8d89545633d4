//! `/v2/droplets`, and the firewalls of one.

use axum::extract::Path;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Handled, json_answer, no_content, ok};
use super::body::NumberOrText;
use super::call::{Call, id};
use super::entry::Created;
use super::render;
use crate::journal::CreatedDroplet;
use crate::refusal::Refusal;
use crate::state::{ActionId, BackupPolicy, CreateDroplets, DropletId, Filter, State};

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    names: Option<Vec<String>>,
    region: Option<String>,
    size: Option<String>,
    image: Option<NumberOrText>,
    ssh_keys: Option<Vec<NumberOrText>>,
    backups: Option<bool>,
    backup_policy: Option<BackupPolicy>,
    ipv6: Option<bool>,
    monitoring: Option<bool>,
    tags: Option<Vec<String>>,
    user_data: Option<SecretString>,
    volumes: Option<Vec<String>>,
    vpc_uuid: Option<Uuid>,
    public_networking: Option<bool>,
}

pub(super) async fn list(call: Call) -> Handled {
    call.allow(&["droplet:read"])?;
    let state = call.state();
    let droplets = state.list_droplets(call.now, filter(&call)?);
    call.page("droplets", &droplets, |droplet| render::droplet(droplet))
}

pub(super) async fn create(call: Call) -> Handled {
    call.allow(&["droplet:create"])?;
    let body: Create = call.body()?;
    call.allow(&["image:read"])?;
    if body.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
        call.allow(&["tag:create"])?;
    }
    if body.ssh_keys.as_ref().is_some_and(|keys| !keys.is_empty()) {
        call.allow(&["ssh_key:read"])?;
    }
    let several = body.names.is_some();
    let wish = wish(body)?;
    let mut state = call.state();
    let made = state.create_droplets(call.now, &wish)?;
    Ok(accepted(&state, &call.base_url, &made, several))
}

pub(super) async fn show(Path(droplet): Path<String>, call: Call) -> Handled {
    call.allow(&["droplet:read"])?;
    let droplet = id(&droplet, DropletId)?;
    let state = call.state();
    let droplet = state.droplets.get(droplet).ok_or_else(Refusal::not_found)?;
    Ok(ok(&json!({"droplet": render::droplet(droplet)})))
}

pub(super) async fn remove(Path(droplet): Path<String>, call: Call) -> Handled {
    call.allow(&["droplet:delete"])?;
    let droplet = id(&droplet, DropletId)?;
    call.state().delete_droplet(call.now, droplet)?;
    Ok(no_content())
}

pub(super) async fn remove_by_tag(call: Call) -> Handled {
    call.allow(&["droplet:delete", "tag:read"])?;
    call.state().delete_by_tag(call.now, tag_name(&call)?)?;
    Ok(no_content())
}

pub(super) async fn firewalls(Path(droplet): Path<String>, call: Call) -> Handled {
    call.allow(&["firewall:read"])?;
    let droplet = id(&droplet, DropletId)?;
    let state = call.state();
    let droplet = state.droplets.get(droplet).ok_or_else(Refusal::not_found)?;
    let firewalls = state
        .firewalls
        .all()
        .filter(|firewall| firewall.covers(droplet));
    let firewalls: Vec<_> = firewalls.collect();
    call.page("firewalls", &firewalls, |firewall| {
        render::firewall(firewall)
    })
}

/// The tag that a call for all droplets with it names.
///
/// # Errors
/// 422 where it names none: such a call is never for all droplets.
pub(super) fn tag_name(call: &Call) -> Result<&str, Refusal> {
    call.parameter("tag_name")
        .filter(|tag| !tag.is_empty())
        .ok_or_else(|| Refusal::unprocessable("tag_name is required"))
}

fn filter(call: &Call) -> Result<Filter<'_>, Refusal> {
    let (tag, name, kind) = (
        call.parameter("tag_name"),
        call.parameter("name"),
        call.parameter("type"),
    );
    match (tag, name, kind) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(Refusal::unprocessable(
            "tag_name can not be combined with name or type",
        )),
        (Some(tag), None, None) => {
            call.allow(&["tag:read"])?;
            Ok(Filter::Tag(tag))
        }
        (None, _, Some("gpus")) => Ok(Filter::Gpus),
        (None, _, Some(kind)) if kind != "droplets" => {
            Err(Refusal::unprocessable("type must be droplets or gpus"))
        }
        (None, Some(name), _) => Ok(Filter::Name(name)),
        (None, None, _) => Ok(Filter::All),
    }
}

fn wish(body: Create) -> Result<CreateDroplets, Refusal> {
    let names = match (body.name, body.names) {
        (Some(name), None) => vec![name],
        (None, Some(names)) => names,
        (None, None) => vec![],
        (Some(_), Some(_)) => {
            return Err(Refusal::unprocessable("name and names exclude one another"));
        }
    };
    let image = body.image.ok_or_else(|| {
        Refusal::unprocessable("You specified an invalid image for Droplet creation.")
    })?;
    let keys = body.ssh_keys.unwrap_or_default();
    let policy = body.backup_policy.unwrap_or_default();
    Ok(CreateDroplets {
        names,
        region: body.region,
        size: body.size.unwrap_or_default(),
        image: image.into(),
        ssh_keys: keys.into_iter().map(Into::into).collect(),
        backups: (body.backups == Some(true)).then_some(policy),
        ipv6: body.ipv6 == Some(true),
        monitoring: body.monitoring == Some(true),
        tags: body.tags.unwrap_or_default(),
        user_data: body.user_data,
        volumes: body.volumes.unwrap_or_default(),
        vpc: body.vpc_uuid,
        public_networking: body.public_networking != Some(false),
    })
}

fn accepted(
    state: &State,
    base_url: &str,
    made: &[(DropletId, ActionId)],
    several: bool,
) -> axum::response::Response {
    let droplets: Vec<_> = made
        .iter()
        .filter_map(|(droplet, _)| state.droplets.get(*droplet))
        .collect();
    let actions: Vec<Value> = made
        .iter()
        .map(|(_, action)| {
            json!({
                "id": action,
                "rel": "create",
                "href": format!("{base_url}/v2/actions/{action}"),
            })
        })
        .collect();
    let rendered: Vec<_> = droplets
        .iter()
        .map(|droplet| render::droplet(droplet))
        .collect();
    let body = match rendered.as_slice() {
        [one] if !several => json!({"droplet": one, "links": {"actions": actions}}),
        all => json!({"droplets": all, "links": {"actions": actions}}),
    };
    let mut answer = json_answer(StatusCode::ACCEPTED, &body);
    let created = droplets.iter().map(|droplet| CreatedDroplet {
        id: droplet.id,
        name: droplet.name.clone(),
        tags: droplet.tags.clone(),
    });
    answer.extensions_mut().insert(Created(created.collect()));
    answer
}
