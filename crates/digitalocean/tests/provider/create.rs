//! One create call makes one droplet or none, and knows which.

use agentopia_cloud::{MachineProvider as _, MachineState, ProviderError, Sought};
use digitalocean_sim::faults::{Answer, RequestRule, ResourceFault, When};

use crate::rig::{Rig, is_public, seconds, settings};

fn create_fault(answer: Answer) -> RequestRule {
    RequestRule::new(answer)
        .on("POST", "/v2/droplets")
        .when(When::nth(1))
}

#[tokio::test(start_paused = true)]
async fn a_droplet_is_made_as_wished_and_becomes_a_machine() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    assert_eq!((made.state, made.address), (MachineState::Starting, None));
    let [droplet] = &rig.simulator.droplets().await[..] else {
        panic!("not one droplet");
    };
    assert!(
        droplet
            .name
            .starts_with(&format!("agentopia-{}-", rig.environment))
    );
    assert_eq!(
        (droplet.region.as_str(), droplet.size.as_str()),
        ("fra1", "s-1vcpu-2gb")
    );
    let mut tags = droplet.tags.clone();
    tags.sort_unstable();
    assert_eq!(
        tags,
        [
            "agentopia",
            "agentopia:test",
            &format!("env:{}", rig.environment)
        ]
    );

    // It is active after 20 s and has an address 4 s later.
    let known = made.id.as_str();
    seconds(22).await;
    let waiting = rig
        .provider
        .find(rig.sought(Some(known)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        waiting.state,
        MachineState::Starting,
        "it can't be reached yet"
    );
    seconds(10).await;
    let ready = rig
        .provider
        .find(rig.sought(Some(known)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ready.state, MachineState::Running);
    assert!(is_public(ready.address.unwrap()));
    assert_eq!(ready.image.as_deref(), Some("ubuntu-24-04-x64"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_after_the_side_effect_makes_no_second_droplet() {
    for answer in [
        Answer::Closed,
        Answer::Silent,
        Answer::TooManyBurst,
        Answer::ServerError,
        Answer::Unavailable,
        Answer::GatewayTimeout,
    ] {
        let rig = Rig::new();
        rig.request_fault(create_fault(answer).after_side_effect());
        let made = rig.provider.create(&rig.request(1)).await.unwrap();
        assert_eq!(rig.droplets().await, [made.id], "{answer:?}");
        assert_eq!(rig.creates(), (1, 1), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_lost_is_not_repeated_by_the_same_call() {
    for answer in [Answer::Closed, Answer::Silent, Answer::GatewayTimeout] {
        let rig = Rig::new();
        rig.request_fault(create_fault(answer));
        let error = rig.provider.create(&rig.request(1)).await.unwrap_err();
        assert!(matches!(error, ProviderError::Retryable(_)), "{error}");
        assert_eq!(rig.creates(), (1, 0), "{answer:?}");
        // The next one, with a token of its own, makes it.
        let made = rig.provider.create(&rig.request(2)).await.unwrap();
        assert_eq!(rig.droplets().await, [made.id], "{answer:?}");
        assert_eq!(rig.creates(), (2, 1), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_although_lists_lag() {
    let rig = Rig::new();
    rig.resource_fault(ResourceFault::ListLag, 30);
    rig.request_fault(create_fault(Answer::Closed).after_side_effect());
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    assert_eq!(rig.droplets().await, [made.id]);
    assert_eq!(rig.creates(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_now_makes_nothing() {
    for answer in [Answer::TooManyBurst, Answer::TooManyHourly] {
        let rig = Rig::new();
        rig.request_fault(create_fault(answer));
        let error = rig.provider.create(&rig.request(1)).await.unwrap_err();
        assert!(matches!(error, ProviderError::Retryable(_)), "{error}");
        assert_eq!(rig.creates(), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_call_again_finds_its_own_droplet() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    let again = rig.restarted().create(&rig.request(1)).await.unwrap();
    assert_eq!(again.id, made.id);
    assert_eq!(rig.creates(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_droplet_whose_token_no_longer_enrols_goes_before_a_new_one_is_made() {
    let rig = Rig::new();
    rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(30).await;
    let error = rig.provider.create(&rig.request(2)).await.unwrap_err();
    assert!(error.to_string().contains("earlier attempt"), "{error}");
    assert_eq!(rig.creates(), (1, 1));
    seconds(10).await;
    let made = rig.provider.create(&rig.request(3)).await.unwrap();
    assert_eq!(rig.droplets().await, [made.id]);
}

#[tokio::test(start_paused = true)]
async fn the_firewall_is_there_before_the_droplet_and_stays_as_it_should_be() {
    let mut settings = settings();
    settings.admin_ranges = vec!["198.51.100.0/24".to_owned()];
    let rig = Rig::with(settings);
    rig.provider.create(&rig.request(1)).await.unwrap();
    let order: Vec<String> = rig
        .simulator
        .journal(&digitalocean_sim::journal::JournalFilter::default())
        .into_iter()
        .filter(|entry| entry.method == "POST")
        .map(|entry| entry.path)
        .collect();
    assert_eq!(order, ["/v2/tags", "/v2/firewalls", "/v2/droplets"]);

    let firewalls = rig.api.firewalls().list().all().await.unwrap();
    let [firewall] = &firewalls[..] else {
        panic!("not one firewall");
    };
    assert_eq!(firewall.name, "agentopia-test");
    assert!(firewall.tags.contains("agentopia:test"));
    let open: Vec<String> = firewall
        .rules
        .inbound
        .iter()
        .map(|rule| {
            let from: Vec<&str> = rule.sources.addresses.iter().map(String::as_str).collect();
            format!("{} {} {}", rule.protocol, rule.ports, from.join(","))
        })
        .collect();
    assert_eq!(open, ["tcp 22 198.51.100.0/24", "tcp 30000 203.0.113.7"]);
    assert_eq!(firewall.rules.outbound.len(), 3);

    // Somebody opened everything: the next machine puts it right.
    let everything = agentopia_digitalocean::firewalls::Rules {
        inbound: [agentopia_digitalocean::firewalls::InboundRule {
            protocol: agentopia_digitalocean::firewalls::Protocol::Tcp,
            ports: agentopia_digitalocean::firewalls::Ports::All,
            sources: agentopia_digitalocean::firewalls::Targets::anywhere(),
        }]
        .into(),
        ..Default::default()
    };
    rig.api
        .firewalls()
        .add_rules(&firewall.id, &everything)
        .await
        .unwrap();
    rig.provider.create(&rig.request(1)).await.unwrap();
    let repaired = rig
        .api
        .firewalls()
        .get(&firewall.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(repaired.rules, firewall.rules);
}

#[tokio::test(start_paused = true)]
async fn a_project_that_is_down_does_not_cost_the_machine() {
    let mut settings = settings();
    let id = "00000000-0000-4000-8000-000000000000".to_owned();
    settings.project = Some(agentopia_digitalocean::ProjectId(id));
    let rig = Rig::with(settings);
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    assert_eq!(rig.droplets().await, std::slice::from_ref(&made.id));
    let sought = Sought {
        environment: rig.environment,
        known: Some(&made.id),
    };
    let told = rig.provider.file(sought).await.unwrap_err().to_string();
    for part in ["00000000-0000", "DO_PROJECT_ID", "project:update"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(rig.droplets().await, [made.id]);
}
