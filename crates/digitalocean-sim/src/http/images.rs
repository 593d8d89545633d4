//! `/v2/images`.

use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Handled, json_answer, no_content, ok};
use super::body::NumberOrText;
use super::call::{Call, id};
use super::render;
use crate::refusal::Refusal;
use crate::state::{ImageChange, ImageFilter, ImageId, ImageRef, NewImage, State};

#[derive(Deserialize)]
struct Create {
    name: String,
    url: String,
    region: String,
    distribution: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Change {
    name: Option<String>,
    distribution: Option<String>,
    description: Option<String>,
}

pub(super) async fn list(call: Call) -> Handled {
    call.allow(&["image:read"])?;
    let application = match call.parameter("type") {
        None => None,
        Some("application") => Some(true),
        Some("distribution") => Some(false),
        Some(_) => {
            return Err(Refusal::unprocessable(
                "type must be application or distribution",
            ));
        }
    };
    let filter = ImageFilter {
        application,
        private: call.parameter("private") == Some("true"),
        tag: call.parameter("tag_name").map(str::to_owned),
    };
    let state = call.state();
    let images = state.images.list(&filter);
    call.page("images", &images, |image| render::image(image))
}

pub(super) async fn create(call: Call) -> Handled {
    call.allow(&["image:create"])?;
    let body: Create = call.body()?;
    let wish = NewImage {
        name: body.name,
        url: body.url,
        region: body.region,
        distribution: body.distribution,
        description: body.description,
        tags: body.tags.unwrap_or_default(),
    };
    let mut state = call.state();
    let image = state.add_image(call.now, &wish)?;
    shown(&state, &ImageRef::Id(image), StatusCode::ACCEPTED)
}

pub(super) async fn show(Path(image): Path<String>, call: Call) -> Handled {
    call.allow(&["image:read"])?;
    let image = NumberOrText::from(image.as_str()).into();
    shown(&call.state(), &image, StatusCode::OK)
}

pub(super) async fn change(Path(image): Path<String>, call: Call) -> Handled {
    call.allow(&["image:update"])?;
    let image = id(&image, ImageId)?;
    let body: Change = call.body()?;
    let change = ImageChange {
        name: body.name,
        distribution: body.distribution,
        description: body.description,
    };
    let mut state = call.state();
    state.images.change(image, change)?;
    shown(&state, &ImageRef::Id(image), StatusCode::OK)
}

pub(super) async fn remove(Path(image): Path<String>, call: Call) -> Handled {
    call.allow(&["image:delete"])?;
    call.state().images.remove(id(&image, ImageId)?)?;
    Ok(no_content())
}

fn shown(state: &State, image: &ImageRef, status: StatusCode) -> Handled {
    let image = state.images.find(image).ok_or_else(Refusal::not_found)?;
    let body = json!({"image": render::image(image)});
    Ok(if status == StatusCode::OK {
        ok(&body)
    } else {
        json_answer(status, &body)
    })
}
