//! The API over HTTP: a thin layer. Each handler parses, authorises, asks the state and renders.
//!
//! [`entry`] is what every request passes on its way in and out: its id, its token, rate limits,
//! faults, the journal. Handlers get a [`call::Call`] and answer with JSON or a
//! [`Refusal`]. One file a noun, as in the state; `render` knows what things look
//! like.

mod account;
mod actions;
mod answer;
mod body;
mod call;
mod droplet_actions;
mod droplets;
mod entry;
mod firewalls;
mod images;
mod keys;
mod page;
mod places;
mod projects;
mod render;
mod tags;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::refusal::{Refusal, RefusalKind};
use crate::simulator::Simulator;

/// The API. Answers may carry [`crate::AnswerLost`].
pub fn router(simulator: Simulator) -> Router {
    Router::new()
        .merge(account_routes())
        .merge(droplet_routes())
        .merge(firewall_routes())
        .merge(other_routes())
        .fallback(async || Refusal::not_found())
        .method_not_allowed_fallback(async || {
            Refusal::new(RefusalKind::MethodNotAllowed, "Method not allowed")
        })
        .layer(from_fn_with_state(simulator.clone(), entry::enter))
        .with_state(simulator)
}

fn account_routes() -> Router<Simulator> {
    Router::new()
        .route("/v2/account", get(account::show))
        .route("/v2/account/keys", get(keys::list).post(keys::create))
        .route(
            "/v2/account/keys/{key}",
            get(keys::show).put(keys::rename).delete(keys::remove),
        )
        .route("/v2/actions", get(actions::list))
        .route("/v2/actions/{action}", get(actions::show))
}

fn droplet_routes() -> Router<Simulator> {
    Router::new()
        .route(
            "/v2/droplets",
            get(droplets::list)
                .post(droplets::create)
                .delete(droplets::remove_by_tag),
        )
        .route("/v2/droplets/actions", post(droplet_actions::act_by_tag))
        .route(
            "/v2/droplets/{droplet}",
            get(droplets::show).delete(droplets::remove),
        )
        .route(
            "/v2/droplets/{droplet}/actions",
            get(droplet_actions::list).post(droplet_actions::act),
        )
        .route(
            "/v2/droplets/{droplet}/actions/{action}",
            get(droplet_actions::show),
        )
        .route("/v2/droplets/{droplet}/firewalls", get(droplets::firewalls))
}

fn firewall_routes() -> Router<Simulator> {
    Router::new()
        .route(
            "/v2/firewalls",
            get(firewalls::list).post(firewalls::create),
        )
        .route(
            "/v2/firewalls/{firewall}",
            get(firewalls::show)
                .put(firewalls::replace)
                .delete(firewalls::remove),
        )
        .route(
            "/v2/firewalls/{firewall}/droplets",
            post(firewalls::add_droplets).delete(firewalls::remove_droplets),
        )
        .route(
            "/v2/firewalls/{firewall}/tags",
            post(firewalls::add_tags).delete(firewalls::remove_tags),
        )
        .route(
            "/v2/firewalls/{firewall}/rules",
            post(firewalls::add_rules).delete(firewalls::remove_rules),
        )
}

fn other_routes() -> Router<Simulator> {
    Router::new()
        .route("/v2/images", get(images::list).post(images::create))
        .route(
            "/v2/images/{image}",
            get(images::show).put(images::change).delete(images::remove),
        )
        .route("/v2/projects", get(projects::list).post(projects::create))
        .route(
            "/v2/projects/{project}",
            get(projects::show)
                .put(projects::replace)
                .patch(projects::change)
                .delete(projects::remove),
        )
        .route(
            "/v2/projects/{project}/resources",
            get(projects::resources).post(projects::assign),
        )
        .route("/v2/regions", get(places::regions))
        .route("/v2/sizes", get(places::sizes))
        .route("/v2/tags", get(tags::list).post(tags::create))
        .route("/v2/tags/{tag}", get(tags::show).delete(tags::remove))
        .route(
            "/v2/tags/{tag}/resources",
            post(tags::tag_resources).delete(tags::untag_resources),
        )
}
