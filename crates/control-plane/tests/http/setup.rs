//! The first admin is made once, by whoever has the token.

use serde_json::json;

use crate::app::{App, Client, PASSWORD, SETUP_TOKEN};

fn body(email: &str) -> serde_json::Value {
    json!({"token": SETUP_TOKEN, "email": email, "password": PASSWORD})
}

#[tokio::test]
async fn the_first_admin_is_made_with_the_token_and_signed_in() {
    let app = App::start().await;
    let nobody = Client::default();
    let status = app.get(&nobody, "/api/v1/setup").await.ok(200);
    assert_eq!(status["needed"], true);

    let mut wrong = body("a@example.com");
    wrong["token"] = "setup_wrong".into();
    let refused = app.post(&nobody, "/api/v1/setup", wrong).await;
    refused.problem(403, "wrong_setup_token");

    let mut short = body("a@example.com");
    short["password"] = "short".into();
    let refused = app.post(&nobody, "/api/v1/setup", short).await;
    assert_eq!(
        refused.problem(422, "invalid_input")["errors"][0]["field"],
        "password"
    );
    let status = app.get(&nobody, "/api/v1/setup").await.ok(200);
    assert_eq!(status["needed"], true, "refusals changed nothing");

    let admin = app.set_up().await;
    let session = app.get(&admin, "/api/v1/session").await.ok(200);
    assert_eq!(session["user"]["role"], "admin");
    let status = app.get(&nobody, "/api/v1/setup").await.ok(200);
    assert_eq!(status["needed"], false);
}

#[tokio::test]
async fn of_many_at_once_one_becomes_the_admin() {
    let app = App::start().await;
    let nobody = Client::default();
    let emails: Vec<String> = (0..20).map(|n| format!("u{n}@example.com")).collect();
    let answers = futures::future::join_all(
        emails
            .iter()
            .map(|email| app.post(&nobody, "/api/v1/setup", body(email))),
    )
    .await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.problem(409, "already_set_up");
    }
    assert_eq!(app.state.store.users().count().await.unwrap(), 1);
}

#[tokio::test]
async fn the_token_can_not_be_guessed_fast() {
    let app = App::start().await;
    let nobody = Client::default();
    let mut wrong = body("a@example.com");
    wrong["token"] = "setup_wrong".into();
    for _ in 0..60 {
        let answer = app.post(&nobody, "/api/v1/setup", wrong.clone()).await;
        answer.problem(403, "wrong_setup_token");
    }
    let answer = app.post(&nobody, "/api/v1/setup", wrong).await;
    answer.problem(429, "too_many_attempts");
}
