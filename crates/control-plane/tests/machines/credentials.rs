//! Enrolment happens once, renewal any number of times, and a copied disk is found out.

use std::sync::Arc;

use agentopia_pki::MachineKey;
use agentopia_store::{CredentialState, EventFilter, EventScope};
use secrecy::SecretString;

use crate::installation::{Installation, Machine, beat, refused};

#[tokio::test]
async fn a_token_enrols_one_machine_and_no_second() {
    let at = Installation::start().await;
    let owner = at.environment("a@b.c").await;
    let token = at.invite(owner).await;
    let first = MachineKey::generate().unwrap();
    let credentials = at.enrol(&token, &first).await.unwrap();
    assert_eq!(credentials.environment_id, owner.1);

    let thief = MachineKey::generate().unwrap();
    assert_eq!(refused(at.enrol(&token, &thief).await), "enrolment_refused");
    let unknown = SecretString::from("enr_nothing");
    assert_eq!(
        refused(at.enrol(&unknown, &thief).await),
        "enrolment_refused"
    );
}

#[tokio::test]
async fn a_machine_that_did_not_hear_the_answer_asks_again_with_its_key() {
    let at = Installation::start().await;
    let owner = at.environment("a@b.c").await;
    let token = at.invite(owner).await;
    let key = Arc::new(MachineKey::generate().unwrap());
    let lost = at.enrol(&token, &key).await.unwrap();
    let heard = at.enrol(&token, &key).await.unwrap();
    let machine = |credentials| Machine {
        account: owner.0,
        environment: owner.1,
        key: Arc::clone(&key),
        credentials,
    };
    at.client(&machine(heard)).heartbeat(&beat()).await.unwrap();
    // The answer that was lost is worth nothing to whoever found it.
    let code = refused(at.client(&machine(lost)).heartbeat(&beat()).await);
    assert_eq!(code, "credentials_revoked");
}

#[tokio::test]
async fn a_new_invitation_ends_the_machine_before() {
    let at = Installation::start().await;
    let old = at.machine("a@b.c").await;
    at.client(&old).heartbeat(&beat()).await.unwrap();
    at.invite((old.account, old.environment)).await;
    let code = refused(at.client(&old).heartbeat(&beat()).await);
    assert_eq!(code, "credentials_revoked");
    assert_eq!(refused(at.renew(&old).await), "credentials_revoked");
}

#[tokio::test]
async fn renewal_can_be_repeated_until_it_was_used_and_then_ends_the_ones_before() {
    let at = Installation::start().await;
    let first = at.machine("a@b.c").await;
    let _lost = at.renew(&first).await.unwrap();
    let second = at.renew(&first).await.unwrap();
    at.client(&first).heartbeat(&beat()).await.unwrap();
    at.client(&second).heartbeat(&beat()).await.unwrap();
    let code = refused(at.client(&first).heartbeat(&beat()).await);
    assert_eq!(code, "certificate_superseded");
    let third = at.renew(&second).await.unwrap();
    assert_eq!(
        third.credentials.join_counter,
        second.credentials.join_counter + 1
    );
    at.client(&third).heartbeat(&beat()).await.unwrap();
}

#[tokio::test]
async fn a_copied_disk_locks_original_and_copy() {
    let at = Installation::start().await;
    let original = at.machine("a@b.c").await;
    // The copy has the same files, and renews after the original did.
    let renewed = at.renew(&original).await.unwrap();
    at.client(&renewed).heartbeat(&beat()).await.unwrap();
    assert_eq!(refused(at.renew(&original).await), "credentials_locked");
    assert_eq!(
        refused(at.client(&renewed).heartbeat(&beat()).await),
        "credentials_locked"
    );
    assert_eq!(refused(at.renew(&renewed).await), "credentials_locked");

    let credentials = at.store.dtma_credentials();
    let credential = credentials
        .by_environment_unscoped(original.environment)
        .await
        .unwrap();
    assert!(matches!(
        credential.unwrap().state,
        CredentialState::Locked { .. }
    ));
    let scope = EventScope::Account(original.account);
    let events = at
        .store
        .events()
        .after(scope, &EventFilter::default(), 0, 100)
        .await
        .unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.kind == "environment.credentials_locked")
    );
}

#[tokio::test]
async fn a_renewal_needs_the_key_of_the_credentials_before() {
    let at = Installation::start().await;
    let machine = at.machine("a@b.c").await;
    let thief = Machine {
        key: Arc::new(MachineKey::generate().unwrap()),
        credentials: machine.credentials,
        ..machine
    };
    assert_eq!(refused(at.renew(&thief).await), "credentials_revoked");
}
