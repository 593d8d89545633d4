use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn limits(per_minute: usize, per_hour: usize) -> Limits {
    Limits {
        per_hour,
        per_minute,
        keys_per_minute: 10,
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn told(remaining: usize, reset_in: u64) -> RateHeaders {
    RateHeaders {
        remaining: Some(remaining),
        reset_in: Some(seconds(reset_in)),
        ..RateHeaders::default()
    }
}

/// A request that is answered at once, with these headers.
fn exchange(ledger: &mut Ledger, now: Instant, queue: Queue, headers: &RateHeaders) {
    let serial = ledger.start(now, queue).expect("there is room");
    ledger.end(now, queue);
    ledger.told(now, serial, headers);
}

/// Whether a request could go now; none does.
fn is_free(ledger: &mut Ledger, now: Instant, queue: Queue) -> bool {
    ledger.free_at(now, queue) <= now
}

#[test]
fn the_documented_limits_are_kept() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    let started = (0..1000)
        .filter(|_| ledger.start(now, Queue::Ordinary).is_ok())
        .count();
    assert_eq!(started, 225, "a tenth stays for urgent ones");
    let started = (0..1000)
        .filter(|_| ledger.start(now, Queue::Urgent).is_ok())
        .count();
    assert_eq!(started, 25);
    let started = (0..1000)
        .filter(|_| ledger.start(now, Queue::Keys).is_ok())
        .count();
    assert_eq!(started, 10);
}

#[test]
fn urgent_requests_take_half_at_most() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    let started = (0..1000)
        .filter(|_| ledger.start(now, Queue::Urgent).is_ok())
        .count();
    assert_eq!(started, 125);
    assert!(ledger.start(now, Queue::Ordinary).is_ok());
}

#[test]
fn what_others_used_up_counts() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    exchange(&mut ledger, now, Queue::Ordinary, &told(501, 600));
    assert!(is_free(&mut ledger, now, Queue::Ordinary));
    exchange(&mut ledger, now, Queue::Ordinary, &told(500, 600));
    assert!(
        !is_free(&mut ledger, now, Queue::Ordinary),
        "the reserve is for urgent ones"
    );
    assert!(is_free(&mut ledger, now, Queue::Urgent));
    exchange(&mut ledger, now, Queue::Urgent, &told(0, 600));
    assert!(!is_free(&mut ledger, now, Queue::Urgent));
    // It may have been a burst, so one looks again after a minute, and the rest wait for it.
    let later = now + seconds(60);
    let probe = ledger.start(later, Queue::Urgent).unwrap();
    assert!(!is_free(&mut ledger, later, Queue::Urgent));
    assert!(!is_free(&mut ledger, later, Queue::Ordinary));
    ledger.end(later, Queue::Urgent);
    ledger.told(later, probe, &told(4_000, 600));
    assert!(is_free(&mut ledger, later, Queue::Ordinary));
}

#[test]
fn a_probe_without_an_answer_does_not_close_the_door_for_ever() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    exchange(&mut ledger, now, Queue::Urgent, &told(0, 600));
    let later = now + seconds(60);
    assert!(ledger.start(later, Queue::Ordinary).is_ok());
    ledger.end(later, Queue::Ordinary);
    assert_eq!(
        ledger.start(later, Queue::Ordinary),
        Err(later + seconds(60))
    );
    assert!(ledger.start(later + seconds(60), Queue::Ordinary).is_ok());
}

#[test]
fn the_oldest_request_that_is_forgotten_soon_is_waited_for() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    exchange(&mut ledger, now, Queue::Urgent, &told(0, 5));
    assert_eq!(ledger.start(now, Queue::Urgent), Err(now + seconds(5)));
    // A reset in the past was seen in the field.
    exchange(&mut ledger, now + seconds(5), Queue::Urgent, &told(0, 0));
    assert_eq!(
        ledger.start(now + seconds(5), Queue::Urgent),
        Err(now + seconds(6))
    );
}

#[test]
fn requests_under_way_are_taken_off_what_is_left() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    let first = ledger.start(now, Queue::Urgent).unwrap();
    ledger.start(now, Queue::Urgent).unwrap();
    ledger.start(now, Queue::Urgent).unwrap();
    ledger.end(now, Queue::Urgent);
    ledger.told(now, first, &told(3, 600));
    assert!(ledger.start(now, Queue::Urgent).is_ok());
    assert!(
        ledger.start(now, Queue::Urgent).is_err(),
        "three were left, three are on their way"
    );
}

#[test]
fn an_answer_that_was_overtaken_is_believed_only_if_it_is_worse() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    let older = ledger.start(now, Queue::Urgent).unwrap();
    let newer = ledger.start(now, Queue::Urgent).unwrap();
    ledger.end(now, Queue::Urgent);
    ledger.told(now, newer, &told(1, 600));
    ledger.end(now, Queue::Urgent);
    ledger.told(now, older, &told(4_000, 600));
    assert!(
        !is_free(&mut ledger, now, Queue::Urgent),
        "the newer answer said 1, with one under way"
    );
    ledger.told(now, older, &told(0, 600));
    assert!(!is_free(&mut ledger, now, Queue::Urgent));
}

#[test]
fn a_limit_that_is_told_replaces_the_documented_one() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    let headers = RateHeaders {
        limit: Some(1200),
        ..RateHeaders::default()
    };
    exchange(&mut ledger, now, Queue::Ordinary, &headers);
    let started = (0..1000)
        .filter(|_| ledger.start(now, Queue::Ordinary).is_ok())
        .count();
    assert_eq!(
        started,
        60 - 6 - 1,
        "5% of the hourly limit, less the reserve and the first one"
    );
}

#[test]
fn after_a_429_nobody_sends_and_then_one_looks_first() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    let serial = ledger.start(now, Queue::Ordinary).unwrap();
    ledger.end(now, Queue::Ordinary);
    let headers = RateHeaders {
        remaining: Some(0),
        retry_after: Some(seconds(29)),
        ..RateHeaders::default()
    };
    let until = ledger.limited(now, serial, &headers, false);
    assert_eq!(until, now + seconds(29));
    assert_eq!(ledger.start(now, Queue::Urgent), Err(until));
    assert_eq!(ledger.start(now, Queue::Ordinary), Err(until));
    assert!(ledger.start(until, Queue::Ordinary).is_ok());
    assert!(ledger.start(until, Queue::Ordinary).is_err());
}

#[test]
fn a_429_without_words_is_a_minute_and_one_with_nonsense_an_hour_at_most() {
    let now = Instant::now();
    let pause = |headers: RateHeaders| {
        let mut ledger = Ledger::new(Limits::default());
        let serial = ledger.start(now, Queue::Ordinary).unwrap();
        ledger.limited(now, serial, &headers, false) - now
    };
    assert_eq!(pause(RateHeaders::default()), seconds(60));
    assert_eq!(pause(told(0, 1800)), seconds(1800));
    assert_eq!(pause(told(0, 0)), seconds(1));
    assert_eq!(pause(told(0, 1 << 40)), seconds(3600));
}

#[test]
fn the_limit_of_the_list_of_keys_stops_nothing_else() {
    let now = Instant::now();
    let mut ledger = Ledger::new(Limits::default());
    let serial = ledger.start(now, Queue::Ordinary).unwrap();
    ledger.end(now, Queue::Ordinary);
    ledger.limited(now, serial, &told(4_000, 3_000), true);
    assert!(!is_free(&mut ledger, now, Queue::Keys));
    assert!(is_free(&mut ledger, now, Queue::Ordinary));
    // Where nothing is left it was the general limit.
    let serial = ledger.start(now, Queue::Ordinary).unwrap();
    ledger.limited(now, serial, &told(0, 3_000), true);
    assert!(!is_free(&mut ledger, now, Queue::Ordinary));
}

/// One request of a simulated load. Times in milliseconds.
#[derive(Debug, Clone)]
struct Load {
    urgent: bool,
    wanted_at: u64,
    /// From here to there, and back.
    way: (u64, u64),
}

/// Plays a load, each queue first come, first served, and one of them before the other. Gives, per
/// request in the order in which it was wanted, when it arrived on the other side.
fn play(limits: Limits, load: &[Load], urgent_first: bool) -> Vec<(Load, u64)> {
    let zero = Instant::now();
    let at = |millis: u64| zero + Duration::from_millis(millis);
    // Rounded up, as tokio's timers are.
    let millis =
        |time: Instant| u64::try_from((time - zero).as_nanos().div_ceil(1_000_000)).unwrap();
    let mut ledger = Ledger::new(limits);
    let mut waiting: BTreeMap<bool, Vec<Load>> = BTreeMap::new();
    for each in load {
        waiting.entry(each.urgent).or_default().push(each.clone());
    }
    let mut ends: Vec<(u64, Queue)> = Vec::new();
    let mut arrived = Vec::new();
    let mut now = 0;
    while waiting.values().any(|queue| !queue.is_empty()) {
        ends.retain(|(end, queue)| {
            let over = *end <= now;
            if over {
                ledger.end(at(now), *queue);
            }
            !over
        });
        let mut next = ends.iter().map(|(end, _)| *end).min().unwrap_or(u64::MAX);
        for urgent in [urgent_first, !urgent_first] {
            let Some(queue) = waiting.get_mut(&urgent) else {
                continue;
            };
            let kind = if urgent {
                Queue::Urgent
            } else {
                Queue::Ordinary
            };
            while let Some(first) = queue.first().cloned() {
                if first.wanted_at > now {
                    next = next.min(first.wanted_at);
                    break;
                }
                match ledger.start(at(now), kind) {
                    Ok(_) => {
                        queue.remove(0);
                        let arrival = now + first.way.0;
                        ends.push((arrival + first.way.1, kind));
                        next = next.min(arrival + first.way.1);
                        arrived.push((first, arrival));
                    }
                    Err(until) => {
                        assert!(millis(until) > now, "a time to come");
                        next = next.min(millis(until));
                        break;
                    }
                }
            }
        }
        assert!(
            next != u64::MAX || waiting.values().all(Vec::is_empty),
            "stuck"
        );
        now = next.max(now + 1);
    }
    arrived
}

/// The most arrivals in any span.
fn most_in(span_millis: u64, arrivals: &[u64]) -> usize {
    let mut sorted = arrivals.to_vec();
    sorted.sort_unstable();
    (0..sorted.len())
        .map(|first| {
            let until = sorted[first] + span_millis;
            sorted[first..]
                .iter()
                .take_while(|each| **each < until)
                .count()
        })
        .max()
        .unwrap_or(0)
}

fn loads() -> impl Strategy<Value = Vec<Load>> {
    let one = (any::<bool>(), 0..120_000_u64, 0..20_000_u64, 0..20_000_u64);
    proptest::collection::vec(one, 1..120).prop_map(|all| {
        let mut loads: Vec<Load> = all
            .into_iter()
            .map(|(urgent, wanted_at, there, back)| Load {
                urgent,
                wanted_at,
                way: (there, back),
            })
            .collect();
        loads.sort_by_key(|load| load.wanted_at);
        loads
    })
}

proptest! {
    /// Whatever the delays on the way, the other side never sees more than the limits, and
    /// everything gets there in the end.
    #[test]
    fn no_span_sees_more_than_its_limit(
        per_minute in 1..30_usize,
        more in 0..60_usize,
        load in loads(),
        urgent_first: bool,
    ) {
        let per_hour = per_minute + more;
        let arrived = play(limits(per_minute, per_hour), &load, urgent_first);
        prop_assert_eq!(arrived.len(), load.len());
        let times: Vec<u64> = arrived.iter().map(|(_, at)| *at).collect();
        prop_assert!(most_in(60_000, &times) <= per_minute);
        prop_assert!(most_in(3_600_000, &times) <= per_hour);
    }

    /// While ordinary and urgent requests both flood in, each kind gets a fair part of every
    /// minute.
    #[test]
    fn neither_kind_starves_the_other(
        per_minute in 10..60_usize,
        way in 0..2_000_u64,
        urgent_first: bool,
    ) {
        let mut load = Vec::new();
        for _ in 0..per_minute * 5 {
            for urgent in [true, false] {
                load.push(Load { urgent, wanted_at: 0, way: (way, way) });
            }
        }
        let arrived = play(limits(per_minute, 1_000_000), &load, urgent_first);
        // A window of ours is a little longer than a minute, and a request counts while it is under
        // way.
        let span = 61_000 + 2 * way + 1;
        let last = arrived.iter().map(|(_, at)| *at).max().unwrap();
        for urgent in [true, false] {
            let times: Vec<u64> = arrived
                .iter()
                .filter(|(load, _)| load.urgent == urgent)
                .map(|(_, at)| *at)
                .collect();
            let done = times.iter().copied().max().unwrap();
            let reserve = per_minute / 10;
            let least = if urgent { reserve } else { per_minute - reserve - per_minute / 2 };
            let mut from = 0;
            while from + span <= done.min(last) {
                let count = times.iter().filter(|at| (from..from + span).contains(*at)).count();
                prop_assert!(count >= least, "{} of {} in a span at {}", count, least, from);
                from += span;
            }
        }
    }
}
