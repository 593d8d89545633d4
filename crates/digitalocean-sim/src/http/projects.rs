//! `/v2/projects`; the default one is found by that word, too.

use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Handled, json_answer, no_content, ok};
use super::call::{Call, id};
use super::render;
use crate::refusal::Refusal;
use crate::state::{ProjectChange, ProjectId, Stage, State};

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    description: Option<String>,
    purpose: Option<String>,
    environment: Option<Stage>,
    is_default: Option<bool>,
}

#[derive(Deserialize)]
struct Assign {
    resources: Vec<String>,
}

pub(super) async fn list(call: Call) -> Handled {
    call.allow(&["project:read"])?;
    let state = call.state();
    let projects: Vec<_> = state.projects.all().collect();
    call.page("projects", &projects, |project| {
        render::project(&state, project)
    })
}

pub(super) async fn create(call: Call) -> Handled {
    call.allow(&["project:create"])?;
    let wish = change_of(call.body()?);
    let mut state = call.state();
    let project = state.create_project(call.now, wish)?.id;
    let project = state.projects.get(project).ok_or_else(Refusal::not_found)?;
    let body = json!({"project": render::project(&state, project)});
    Ok(json_answer(StatusCode::CREATED, &body))
}

pub(super) async fn show(Path(project): Path<String>, call: Call) -> Handled {
    call.allow(&["project:read"])?;
    let state = call.state();
    shown(&state, named(&state, &project)?)
}

pub(super) async fn replace(Path(project): Path<String>, call: Call) -> Handled {
    let body: Body = call.body()?;
    let whole = body.name.is_some()
        && body.description.is_some()
        && body.purpose.is_some()
        && body.environment.is_some()
        && body.is_default.is_some();
    if !whole {
        call.allow(&["project:update"])?;
        return Err(Refusal::unprocessable(
            "name, description, purpose, environment and is_default are required",
        ));
    }
    set(&project, &call, body)
}

pub(super) async fn change(Path(project): Path<String>, call: Call) -> Handled {
    set(&project, &call, call.body()?)
}

fn set(project: &str, call: &Call, body: Body) -> Handled {
    call.allow(&["project:update"])?;
    let mut state = call.state();
    let project = named(&state, project)?;
    state.projects.change(call.now, project, change_of(body))?;
    shown(&state, project)
}

pub(super) async fn remove(Path(project): Path<String>, call: Call) -> Handled {
    call.allow(&["project:delete"])?;
    let project = id(&project, ProjectId)?;
    call.state().delete_project(project)?;
    Ok(no_content())
}

pub(super) async fn resources(Path(project): Path<String>, call: Call) -> Handled {
    call.allow(&["project:read"])?;
    let state = call.state();
    let resources = state.project_resources(named(&state, &project)?)?;
    call.page("resources", &resources, |resource| {
        render::assignment(&call.base_url, resource)
    })
}

pub(super) async fn assign(Path(project): Path<String>, call: Call) -> Handled {
    // The wider scope grants the narrower one.
    if call.allow(&["project:update"]).is_err() {
        call.allow(&["project:assign_resource"])?;
    }
    let body: Assign = call.body()?;
    if body
        .resources
        .iter()
        .any(|urn| urn.starts_with("do:droplet:"))
    {
        call.allow(&["droplet:read"])?;
    }
    let mut state = call.state();
    let project = named(&state, &project)?;
    let assigned = state.assign(call.now, project, body.resources)?;
    let rendered = assigned
        .iter()
        .map(|assignment| render::assignment(&call.base_url, assignment));
    Ok(ok(&json!({"resources": rendered.collect::<Vec<_>>()})))
}

fn named(state: &State, text: &str) -> Result<ProjectId, Refusal> {
    if text == "default" {
        return Ok(state.projects.default_id());
    }
    id(text, ProjectId)
}

fn shown(state: &State, project: ProjectId) -> Handled {
    let project = state.projects.get(project).ok_or_else(Refusal::not_found)?;
    Ok(ok(&json!({"project": render::project(state, project)})))
}

fn change_of(body: Body) -> ProjectChange {
    ProjectChange {
        name: body.name,
        description: body.description,
        purpose: body.purpose,
        environment: body.environment,
        is_default: body.is_default,
    }
}
