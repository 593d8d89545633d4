//! Enrolment, renewal and clone detection of machines.

use std::time::Duration;

use agentopia_domain::token::{TokenHash, TokenKind};
use agentopia_domain::{AccountId, EnvironmentId};
use agentopia_store::{
    CredentialState, DtmaCredential, EnvironmentPatch, NewEnrolment, Redemption, Renewal,
    RenewalOutcome, StoreError,
};
use chrono::TimeDelta;
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event};

on_both_engines!(
    of_a_thousand_redemptions_one_succeeds,
    of_two_machines_the_one_that_enrols_is_written_down,
    a_token_that_is_over_redeems_nothing,
    a_token_that_no_machine_got_can_be_withdrawn,
    renewal_goes_from_current_to_next,
    an_answer_that_was_lost_is_asked_for_again,
    a_clone_is_seen_at_the_first_divergence,
    a_new_life_ends_the_one_before,
    an_answer_that_was_lost_is_given_again_to_the_same_key_only,
);

impl TestDb {
    async fn issue(
        &self,
        account: AccountId,
        environment: EnvironmentId,
    ) -> (DtmaCredential, TokenHash) {
        let enrolment_hash = self.token(TokenKind::Enrolment);
        let new = NewEnrolment {
            id: self.id(),
            environment_id: environment,
            account_id: account,
            enrolment_hash,
            expires_at: self.ambient.now() + TimeDelta::minutes(15),
        };
        let issued = self
            .store
            .dtma_credentials()
            .issue_unscoped(new, &[])
            .await
            .unwrap();
        (issued, enrolment_hash)
    }

    fn redemption(&self) -> Redemption {
        Redemption {
            public_key: vec![4, 5, 6],
            certificate_serial: "01".into(),
            bearer_hash: self.token(TokenKind::Dtma),
            control_bearer: vec![7, 8],
            machine_id: None,
        }
    }

    async fn enrolled(&self) -> DtmaCredential {
        let account = self.account("a@b.c").await;
        let environment = self.environment(account).await.id;
        let (_, hash) = self.issue(account, environment).await;
        let credentials = self.store.dtma_credentials();
        credentials
            .redeem(hash, self.redemption(), &[])
            .await
            .unwrap()
            .unwrap()
    }

    async fn renew(&self, from: &DtmaCredential, counter: i64, serial: &str) -> RenewalOutcome {
        let renewal = Renewal {
            join_counter: counter,
            public_key: serial.as_bytes().to_vec(),
            certificate_serial: serial.into(),
            bearer_hash: self.token(TokenKind::Dtma),
        };
        let account = from.account_id;
        let (renewed, locked) = ([event(account, "renewed")], [event(account, "locked")]);
        let credentials = self.store.dtma_credentials();
        let outcome = credentials
            .renew(from.id, renewal, &renewed, "counter differs", &locked)
            .await;
        outcome.unwrap()
    }
}

/// A request that was doubled made two machines with one token.
async fn of_two_machines_the_one_that_enrols_is_written_down(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await.id;
    let (_, hash) = db.issue(account, environment).await;
    let (credentials, environments) = (db.store.dtma_credentials(), db.store.environments());
    let of = |machine: &str| Redemption {
        machine_id: Some(machine.to_owned()),
        ..db.redemption()
    };
    let record = |was: Option<&'static str>, machine: &str| {
        let patch = EnvironmentPatch {
            machine_id: Some(Some(machine.to_owned())),
            ..EnvironmentPatch::default()
        };
        environments.record_machine_unscoped(environment, None, was, patch, &[])
    };
    record(None, "1").await.unwrap();
    assert_eq!(credentials.redeem(hash, of("2"), &[]).await.unwrap(), None);
    record(Some("1"), "2").await.unwrap();
    let won = credentials.redeem(hash, of("2"), &[]).await.unwrap();
    assert!(won.is_some(), "a machine that is refused uses no token up");

    let (_, hash) = db.issue(account, environment).await;
    let gone = EnvironmentPatch::without_machine();
    let forgotten = environments.update_unscoped(environment, None, gone, &[]);
    forgotten.await.unwrap();
    let won = credentials.redeem(hash, of("4"), &[]).await.unwrap();
    assert!(won.is_some());
    let written = environments.get_unscoped(environment).await.unwrap();
    assert_eq!(written.machine_id.as_deref(), Some("4"));
    let stale = record(None, "3").await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
}

async fn of_a_thousand_redemptions_one_succeeds(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await.id;
    let (issued, hash) = db.issue(account, environment).await;
    assert_eq!(issued.state, CredentialState::Enrolling);
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls: Vec<_> = (0..1000)
        .map(|n| {
            let (store, redemption) = (replicas[n % 2].clone(), db.redemption());
            let told = [event(account, "environment.enrolled")];
            let bearer = redemption.bearer_hash;
            tokio::spawn(async move {
                let won = store
                    .dtma_credentials()
                    .redeem(hash, redemption, &told)
                    .await
                    .unwrap();
                won.map(|credential| (credential, bearer))
            })
        })
        .collect();
    let won: Vec<_> = join_all(calls)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    assert_eq!(won.len(), 1);
    let (credential, bearer) = &won[0];
    assert_eq!(credential.state, CredentialState::Active);
    assert_eq!(
        (credential.join_counter, credential.bearer_hash),
        (1, Some(*bearer))
    );
    let credentials = db.store.dtma_credentials();
    let found = credentials.by_bearer_unscoped(*bearer).await.unwrap();
    assert_eq!(found.as_ref(), Some(credential));
    let found = credentials
        .by_environment_unscoped(environment)
        .await
        .unwrap();
    assert_eq!(found.as_ref(), Some(credential));
    assert_eq!(db.kinds().await, ["environment.enrolled"]);
}

async fn a_token_that_is_over_redeems_nothing(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await.id;
    let credentials = db.store.dtma_credentials();
    let (_, hash) = db.issue(account, environment).await;
    assert!(credentials.peek(hash).await.unwrap().is_some());
    let unknown = db.token(TokenKind::Enrolment);
    assert_eq!(
        credentials
            .redeem(unknown, db.redemption(), &[])
            .await
            .unwrap(),
        None
    );
    db.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(credentials.peek(hash).await.unwrap(), None);
    assert_eq!(
        credentials
            .redeem(hash, db.redemption(), &[])
            .await
            .unwrap(),
        None,
        "expired"
    );
    let (_, hash) = db.issue(account, environment).await;
    assert!(credentials.revoke_unscoped(environment, &[]).await.unwrap());
    assert!(!credentials.revoke_unscoped(environment, &[]).await.unwrap());
    assert_eq!(
        credentials
            .redeem(hash, db.redemption(), &[])
            .await
            .unwrap(),
        None,
        "revoked"
    );
    let other = db.account("o@b.c").await;
    let foreign = NewEnrolment {
        id: db.id(),
        environment_id: environment,
        account_id: other,
        enrolment_hash: unknown,
        expires_at: db.ambient.now(),
    };
    assert_refused!(
        credentials.issue_unscoped(foreign, &[]).await,
        StoreError::NotFound {
            what: "environment"
        },
    );
}

async fn a_token_that_no_machine_got_can_be_withdrawn(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await.id;
    let credentials = db.store.dtma_credentials();
    let (_, unused) = db.issue(account, environment).await;
    assert!(credentials.withdraw(unused).await.unwrap());
    assert!(!credentials.withdraw(unused).await.unwrap(), "once");
    let late = credentials.redeem(unused, db.redemption(), &[]).await;
    assert_eq!(late.unwrap(), None);
    // One that a machine redeemed stays: the machine is there.
    let (_, used) = db.issue(account, environment).await;
    let redeemed = credentials.redeem(used, db.redemption(), &[]).await;
    assert!(redeemed.unwrap().is_some());
    assert!(!credentials.withdraw(used).await.unwrap());
    let kept = credentials.by_environment_unscoped(environment).await;
    assert_eq!(kept.unwrap().unwrap().state, CredentialState::Active);
}

async fn renewal_goes_from_current_to_next(db: TestDb) {
    let first = db.enrolled().await;
    let credentials = db.store.dtma_credentials();
    let RenewalOutcome::Renewed(pending) = db.renew(&first, 1, "02").await else {
        panic!("locked")
    };
    assert!(pending.accepts_serial("01") && pending.accepts_serial("02"));
    for bearer in [first.bearer_hash, pending.next_bearer_hash] {
        let found = credentials
            .by_bearer_unscoped(bearer.unwrap())
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(&pending));
    }
    assert!(
        !credentials
            .confirm(first.id, "77", &[])
            .await
            .unwrap()
            .changed
    );
    let done = credentials.confirm(first.id, "02", &[]).await.unwrap();
    assert_eq!(done.value.public_key.as_deref(), Some(b"02".as_slice()));
    assert!(done.changed);
    assert!(!done.value.accepts_serial("01") && done.value.accepts_serial("02"));
    assert_eq!(done.value.join_counter, 2);
    assert_eq!(
        pending.public_key, first.public_key,
        "the next key counts once it is used"
    );
    assert_eq!(done.value.bearer_hash, pending.next_bearer_hash);
    assert_eq!(done.value.previous_bearer_hash, first.bearer_hash);
    assert_eq!(
        (
            done.value.next_bearer_hash,
            done.value.next_certificate_serial
        ),
        (None, None)
    );
    assert!(
        !credentials
            .confirm(first.id, "02", &[])
            .await
            .unwrap()
            .changed,
        "once"
    );
}

async fn an_answer_that_was_lost_is_asked_for_again(db: TestDb) {
    let first = db.enrolled().await;
    db.renew(&first, 1, "02").await;
    let RenewalOutcome::Renewed(again) = db.renew(&first, 1, "03").await else {
        panic!("locked")
    };
    assert!(again.accepts_serial("01") && again.accepts_serial("03"));
    assert!(!again.accepts_serial("02"), "what was lost opens nothing");
}

async fn a_clone_is_seen_at_the_first_divergence(db: TestDb) {
    let original = db.enrolled().await;
    let credentials = db.store.dtma_credentials();
    db.renew(&original, 1, "02").await;
    credentials.confirm(original.id, "02", &[]).await.unwrap();
    // The clone still counts 1.
    let RenewalOutcome::Locked(locked) = db.renew(&original, 1, "03").await else {
        panic!("the clone got a certificate")
    };
    assert_eq!(
        locked.state,
        CredentialState::Locked {
            reason: "counter differs".into()
        }
    );
    assert!(!locked.accepts_serial("03"));
    // The original is locked too, and the admin hears of it once.
    assert!(matches!(
        db.renew(&original, 2, "04").await,
        RenewalOutcome::Locked(_)
    ));
    assert!(
        !credentials
            .lock(original.id, "again", &[event(original.account_id, "x")])
            .await
            .unwrap()
            .changed
    );
    assert_eq!(db.kinds().await, ["renewed", "locked"]);
}

async fn a_new_life_ends_the_one_before(db: TestDb) {
    let first = db.enrolled().await;
    let credentials = db.store.dtma_credentials();
    credentials.lock(first.id, "by hand", &[]).await.unwrap();
    let (second, _) = db.issue(first.account_id, first.environment_id).await;
    let current = credentials
        .by_environment_unscoped(first.environment_id)
        .await
        .unwrap();
    assert_eq!(current.unwrap().id, second.id);
    assert_eq!(
        credentials
            .by_bearer_unscoped(first.bearer_hash.unwrap())
            .await
            .unwrap(),
        None
    );
    let renewal = Renewal {
        join_counter: 1,
        public_key: vec![9],
        certificate_serial: "09".into(),
        bearer_hash: db.token(TokenKind::Dtma),
    };
    assert_refused!(
        credentials.renew(first.id, renewal, &[], "", &[]).await,
        StoreError::NotFound { .. },
    );
}

async fn an_answer_that_was_lost_is_given_again_to_the_same_key_only(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await.id;
    let (_, hash) = db.issue(account, environment).await;
    let credentials = db.store.dtma_credentials();
    let lost = db.redemption();
    let key = lost.public_key.clone();
    credentials
        .redeem(hash, lost.clone(), &[])
        .await
        .unwrap()
        .unwrap();

    let stranger = Redemption {
        public_key: b"another key".to_vec(),
        ..db.redemption()
    };
    assert_eq!(
        credentials.redeem_again(hash, stranger).await.unwrap(),
        None
    );
    let again = Redemption {
        public_key: key.clone(),
        ..db.redemption()
    };
    let given = credentials
        .redeem_again(hash, again.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(given.bearer_hash, Some(again.bearer_hash));
    let void = credentials
        .by_bearer_unscoped(lost.bearer_hash)
        .await
        .unwrap();
    assert_eq!(void, None, "what the lost answer carried opens nothing");

    db.renew(&given, 1, "02").await;
    let late = Redemption {
        public_key: key,
        ..db.redemption()
    };
    assert_eq!(credentials.redeem_again(hash, late).await.unwrap(), None);
}
