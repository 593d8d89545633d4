use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::*;
use crate::testing::seconds;

fn limits(per_minute: usize) -> Limits {
    Limits {
        per_hour: 5000,
        per_minute,
        keys_per_minute: 2,
    }
}

fn far() -> Instant {
    Instant::now() + seconds(100_000)
}

async fn take(budget: &Budget) {
    let permit = budget
        .acquire(Meter::General, Urgency::Ordinary, far())
        .await
        .unwrap();
    permit.answered(&RateHeaders::default());
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_the_order_in_which_they_came() {
    let budget = Budget::with_limits(limits(3));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (budget, order) = (budget.clone(), order.clone());
        tasks.spawn(async move {
            take(&budget).await;
            order.lock().push(number);
        });
        // Each gets in line before the next comes.
        tokio::task::yield_now().await;
    }
    tasks.join_all().await;
    assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn two_that_never_stop_sending_take_turns() {
    let budget = Budget::with_limits(limits(10));
    let sent = Arc::new(Mutex::new([0, 0]));
    let mut tasks = JoinSet::new();
    for who in [0, 1] {
        let (budget, sent) = (budget.clone(), sent.clone());
        tasks.spawn(async move {
            loop {
                take(&budget).await;
                sent.lock()[who] += 1;
            }
        });
    }
    // Whoever came first had the first minute to itself.
    tokio::time::sleep(seconds(30)).await;
    let first = std::mem::take(&mut *sent.lock());
    assert_eq!(first.iter().sum::<i32>(), 9);
    tokio::time::sleep(seconds(10 * 61)).await;
    let [one, other] = *sent.lock();
    assert_eq!(one + other, 90);
    assert!((one - other).abs() <= 1, "{one} {other}");
}

#[tokio::test(start_paused = true)]
async fn an_urgent_request_overtakes_those_that_wait() {
    let budget = Budget::with_limits(limits(20));
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let budget = budget.clone();
        tasks.spawn(async move { take(&budget).await });
    }
    tokio::time::sleep(seconds(1)).await;
    let before = Instant::now();
    let permit = budget
        .acquire(Meter::General, Urgency::Urgent, far())
        .await
        .unwrap();
    permit.answered(&RateHeaders::default());
    assert_eq!(before.elapsed(), seconds(0));
    assert!(!tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_can_not_be_served_in_time_is_told_when() {
    let budget = Budget::with_limits(limits(1));
    take(&budget).await;
    let deadline = Instant::now() + seconds(10);
    let no_room = budget
        .acquire(Meter::General, Urgency::Ordinary, deadline)
        .await
        .unwrap_err();
    assert_eq!(no_room.until, Instant::now() + seconds(61));

    // Also behind somebody who can wait longer.
    let patient = {
        let budget = budget.clone();
        tokio::spawn(async move { take(&budget).await })
    };
    tokio::task::yield_now().await;
    let no_room = budget
        .acquire(Meter::General, Urgency::Ordinary, deadline)
        .await
        .unwrap_err();
    assert_eq!(Instant::now(), deadline);
    assert_eq!(no_room.until, deadline + seconds(51));
    patient.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_holds_up_nobody() {
    let budget = Budget::with_limits(limits(1));
    take(&budget).await;
    let impatient = {
        let budget = budget.clone();
        tokio::spawn(async move { take(&budget).await })
    };
    tokio::task::yield_now().await;
    let before = Instant::now();
    let next = {
        let budget = budget.clone();
        tokio::spawn(async move { take(&budget).await })
    };
    tokio::task::yield_now().await;
    impatient.abort();
    next.await.unwrap();
    assert_eq!(
        before.elapsed(),
        seconds(61),
        "as if the other had never come"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_dropped_counts_all_the_same() {
    let budget = Budget::with_limits(limits(1));
    let permit = budget
        .acquire(Meter::General, Urgency::Ordinary, far())
        .await
        .unwrap();
    tokio::time::sleep(seconds(30)).await;
    drop(permit);
    let before = Instant::now();
    take(&budget).await;
    assert_eq!(
        before.elapsed(),
        seconds(61),
        "it may have arrived right before it was dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_list_of_keys_holds_up_nobody_else() {
    let budget = Budget::default();
    let before = Instant::now();
    let mut lists = JoinSet::new();
    for _ in 0..12 {
        let budget = budget.clone();
        lists.spawn(async move {
            let permit = budget
                .acquire(Meter::Keys, Urgency::Ordinary, far())
                .await
                .unwrap();
            permit.answered(&RateHeaders::default());
        });
    }
    tokio::task::yield_now().await;
    take(&budget).await;
    assert_eq!(before.elapsed(), seconds(0));
    lists.join_all().await;
    assert_eq!(
        before.elapsed(),
        seconds(61),
        "ten at once, two a minute later"
    );
}

#[tokio::test(start_paused = true)]
async fn news_wake_the_one_who_waits() {
    let budget = Budget::default();
    let first = budget
        .acquire(Meter::General, Urgency::Urgent, far())
        .await
        .unwrap();
    let second = budget
        .acquire(Meter::General, Urgency::Urgent, far())
        .await
        .unwrap();
    let nothing_left = RateHeaders {
        remaining: Some(0),
        ..RateHeaders::default()
    };
    first.answered(&nothing_left);
    let waiting = {
        let budget = budget.clone();
        tokio::spawn(async move { take(&budget).await })
    };
    tokio::time::sleep(seconds(5)).await;
    assert!(!waiting.is_finished());
    let before = Instant::now();
    second.answered(&RateHeaders {
        remaining: Some(4000),
        ..RateHeaders::default()
    });
    waiting.await.unwrap();
    assert_eq!(before.elapsed(), seconds(0));
}
