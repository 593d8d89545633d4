//! Where tools may go to (DTMA-4), on the real engine and the real kernel: what their policies let through
//! is reached, and nothing else is, however it is tried.

mod elsewhere;
mod inside;

use std::net::Ipv4Addr;
use std::process::Command;

use agentopia_domain::egress::{Destinations, Egress};
use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma::runtime::Runtime as _;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::http_server::http_echo;
use crate::machine::Machine;
use crate::support::wait_for;
use elsewhere::{Elsewhere, NameServer, PORT};
use inside::{ENGINES, Inside, Said};

fn allow<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Egress {
    Egress::Allow {
        to: Destinations::parse(lines).unwrap(),
    }
}

/// What the kernel has of the instance, for IPv4 and IPv6.
fn rules(spec: &InstanceSpec) -> usize {
    let chain = chain(spec);
    let listing = |program: &str| {
        let mut list = Command::new(program);
        list.args(["-w", "5", "-t", "mangle", "-S"]);
        String::from_utf8(list.output().unwrap().stdout).unwrap()
    };
    let all = ["iptables", "ip6tables"].map(listing).concat();
    all.lines().filter(|line| line.contains(&chain)).count()
}

fn chain(spec: &InstanceSpec) -> String {
    format!("AGOUT-{:016X}", spec.instance_id.as_uuid().as_u64_pair().1)
}

async fn gateway(machine: &Machine, spec: &InstanceSpec) -> Ipv4Addr {
    let networks = machine
        .inspect(spec)
        .await
        .network_settings
        .unwrap()
        .networks;
    let network = networks.unwrap().into_values().next().unwrap();
    network.gateway.unwrap().parse().unwrap()
}

async fn address(machine: &Machine, spec: &InstanceSpec) -> Ipv4Addr {
    let networks = machine
        .inspect(spec)
        .await
        .network_settings
        .unwrap()
        .networks;
    let network = networks.unwrap().into_values().next().unwrap();
    network.ip_address.unwrap().parse().unwrap()
}

async fn remove(machine: &Machine, spec: &InstanceSpec) {
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert_eq!(rules(spec), 0);
}

/// An address of this machine that is none of a bridge's: whoever is open to everybody listens there.
fn own_address() -> Ipv4Addr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent; the kernel chooses the way.
    socket.connect("9.9.9.9:53").unwrap();
    match socket.local_addr().unwrap().ip() {
        std::net::IpAddr::V4(address) => address,
        std::net::IpAddr::V6(_) => unreachable!("it is of IPv4"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_lets_its_names_through_and_nothing_else() {
    let elsewhere = Elsewhere::new(1);
    let names = NameServer::start(&[
        ("api.example.com", elsewhere.far),
        ("other.example.com", elsewhere.other),
        ("inward.example.com", Ipv4Addr::new(10, 213, 0, 1)),
        ("metadata.example.com", Ipv4Addr::new(169, 254, 169, 254)),
    ])
    .await;
    let machine = Machine::with_dns(vec![names.address]).await;
    let mut spec = machine.echo().await;
    spec.egress = allow([
        format!("api.example.com:{PORT}"),
        format!("inward.example.com:{PORT}"),
        "metadata.example.com:80".to_owned(),
    ]);
    machine.start(&spec).await;
    let inside = Inside::of(&machine, &spec).await;

    // Not even the allowed address, before its name was asked for.
    assert!(!inside.connects(elsewhere.far, PORT));
    assert_eq!(elsewhere.arrived(), 0);
    assert_eq!(inside.resolves("API.example.com."), [elsewhere.far]);
    assert!(inside.connects(elsewhere.far, PORT));
    let allowed = elsewhere.arrived();
    assert!(allowed > 0);

    // Another port, another host, another protocol, a forged sender: nothing gets there.
    assert!(!inside.connects(elsewhere.far, PORT + 1));
    assert!(!inside.connects(elsewhere.other, PORT));
    assert_eq!(inside.udp((elsewhere.far, PORT).into(), b"hello"), None);
    assert_eq!(inside.udp((elsewhere.other, 53).into(), b"hello"), None);
    inside.pings(elsewhere.far);
    inside.pings(elsewhere.other);
    inside.forges(own_address(), elsewhere.other);
    inside.forges(Ipv4Addr::new(11, 1, 1, 1), elsewhere.other);
    assert_eq!(elsewhere.arrived(), allowed);

    // Names that are not in the list are asked of nobody, nor is anything but addresses.
    let nothing = |code| {
        Some(Said {
            code,
            addresses: Vec::new(),
        })
    };
    let asked = names.asked().len();
    let gateway = gateway(&machine, &spec).await;
    for server in [ENGINES, gateway] {
        for name in [
            "secret.api.example.com.",
            "other.example.com.",
            "c2VjcmV0.evil.example.",
        ] {
            let said = inside.asks(server, name, RecordType::A);
            assert_eq!(said, nothing(ResponseCode::NXDomain), "{server} {name}");
        }
    }
    for kind in [RecordType::TXT, RecordType::AAAA, RecordType::NULL] {
        let said = inside.asks(gateway, "api.example.com.", kind);
        assert_eq!(said, nothing(ResponseCode::NoError), "{kind}");
    }
    assert_eq!(names.asked().len(), asked, "{:?}", names.asked());
    // The engine's way out of the container leads to nobody else either.
    for other in [own_address(), Ipv4Addr::new(8, 8, 8, 8), elsewhere.other] {
        assert_eq!(
            inside.asks(other, "api.example.com.", RecordType::A),
            None,
            "{other}"
        );
    }
    assert_eq!(elsewhere.arrived(), allowed);
    // A name that leads inwards leads nowhere.
    assert_eq!(inside.resolves("inward.example.com."), [] as [Ipv4Addr; 0]);
    assert_eq!(
        inside.resolves("metadata.example.com."),
        [] as [Ipv4Addr; 0]
    );
    assert!(!inside.connects(Ipv4Addr::new(169, 254, 169, 254), 80));
    assert_eq!(inside.v6(), [] as [String; 0]);
    // What is no question is not answered, and the next one is.
    assert_eq!(inside.udp((gateway, 53).into(), &[0xff; 40]), None);
    assert_eq!(inside.resolves("api.example.com."), [elsewhere.far]);
    remove(&machine, &spec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_tool_reaches_the_world_but_not_its_machine_nor_its_neighbours() {
    let elsewhere = Elsewhere::new(2);
    let machine = Machine::new().await;
    let neighbour = http_echo(&machine).await;
    machine.start(&neighbour).await;
    let beside = address(&machine, &neighbour).await;
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let spec = machine.echo().await;
    machine.start(&spec).await;
    let inside = Inside::of(&machine, &spec).await;
    wait_for("the world", || async {
        inside.connects(elsewhere.far, PORT).then_some(())
    })
    .await;

    for own in [
        gateway(&machine, &spec).await,
        gateway(&machine, &neighbour).await,
        own_address(),
    ] {
        assert!(!inside.connects(own, port), "{own}");
    }
    assert!(!inside.connects(beside, 8080));
    assert!(!inside.connects(Ipv4Addr::new(169, 254, 169, 254), 80));
    // What other tests take for proof arrives where it may.
    for probe in [
        (|it: Inside, to| it.pings(to)) as fn(Inside, Ipv4Addr),
        |it, to| drop(it.udp((to, 53).into(), b"hello")),
    ] {
        let before = elsewhere.arrived();
        probe(inside, elsewhere.far);
        assert!(elsewhere.arrived() > before);
    }
    // The machine itself still reaches it.
    let answered = tokio::net::TcpStream::connect((beside, 8080)).await;
    assert!(answered.is_ok());
    remove(&machine, &spec).await;
    remove(&machine, &neighbour).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_without_egress_serves_and_sends_nothing() {
    let elsewhere = Elsewhere::new(3);
    let names = NameServer::start(&[("api.example.com", elsewhere.far)]).await;
    let machine = Machine::with_dns(vec![names.address]).await;
    let mut spec = http_echo(&machine).await;
    spec.egress = Egress::None;
    machine.start(&spec).await;
    let handle = machine.tool(&spec).await;
    let health = agentopia_dtma::health::probe(&handle, std::time::Duration::from_secs(20)).await;
    health.unwrap();
    let inside = Inside::of(&machine, &spec).await;
    assert!(!inside.connects(elsewhere.far, PORT));
    inside.pings(elsewhere.far);
    assert_eq!(inside.udp((elsewhere.far, 53).into(), b"hello"), None);
    assert_eq!(inside.resolves("api.example.com."), [] as [Ipv4Addr; 0]);
    let gateway = gateway(&machine, &spec).await;
    assert!(!inside.connects(gateway, 22) && !inside.connects(own_address(), 22));
    assert_eq!((elsewhere.arrived(), names.asked().len()), (0, 0));
    remove(&machine, &spec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_while_the_dtma_is_away_after_it_came_back_and_when_rules_were_taken_away() {
    let elsewhere = Elsewhere::new(4);
    let names = NameServer::start(&[("api.example.com", elsewhere.far)]).await;
    let mut machine = Machine::with_dns(vec![names.address]).await;
    let mut spec = machine.echo().await;
    spec.egress = allow([format!("api.example.com:{PORT}")]);
    machine.start(&spec).await;
    let inside = Inside::of(&machine, &spec).await;
    assert_eq!(inside.resolves("api.example.com."), [elsewhere.far]);
    assert!(inside.connects(elsewhere.far, PORT));

    // Gone: nobody answers for names, and the rules stand.
    machine.runtime.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(inside.resolves("api.example.com."), [] as [Ipv4Addr; 0]);
    assert!(!inside.connects(elsewhere.other, PORT));
    // Back: names are answered, and what was let through before has to be asked for again.
    machine.restart().await;
    let adopted = machine.runtime.adopt(&spec, Default::default()).await;
    assert!(adopted.unwrap());
    assert!(!inside.connects(elsewhere.far, PORT));
    assert_eq!(inside.resolves("api.example.com."), [elsewhere.far]);
    assert!(inside.connects(elsewhere.far, PORT) && !inside.connects(elsewhere.other, PORT));

    // Somebody empties the table.
    let flush = ["-w", "5", "-t", "mangle", "-F", &chain(&spec)];
    assert!(
        Command::new("iptables")
            .args(flush)
            .status()
            .unwrap()
            .success()
    );
    machine.runtime.admit(&spec).await.unwrap();
    assert!(inside.connects(elsewhere.far, PORT) && !inside.connects(elsewhere.other, PORT));

    // Another policy holds at once, and in the same container.
    let container = machine.inspect(&spec).await.id;
    spec.egress = allow([format!("{}:{PORT}", elsewhere.other)]);
    machine.runtime.admit(&spec).await.unwrap();
    assert!(!inside.connects(elsewhere.far, PORT) && inside.connects(elsewhere.other, PORT));
    assert_eq!(inside.resolves("api.example.com."), [] as [Ipv4Addr; 0]);
    spec.egress = Egress::None;
    machine.runtime.admit(&spec).await.unwrap();
    assert!(!inside.connects(elsewhere.other, PORT));
    assert_eq!(machine.inspect(&spec).await.id, container);
    remove(&machine, &spec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_the_policy_that_let_it_through() {
    let elsewhere = Elsewhere::new(5);
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.egress = allow([format!("{}:{PORT}", elsewhere.far)]);
    machine.start(&spec).await;
    let inside = Inside::of(&machine, &spec).await;
    let mut kept = inside.talk(elsewhere.far, PORT);
    kept.opened().await;
    // What is said again changes nothing.
    machine.runtime.admit(&spec).await.unwrap();
    assert_eq!(kept.rest().await, b"HTTP/1.1");

    let mut cut = inside.talk(elsewhere.far, PORT);
    cut.opened().await;
    spec.egress = allow([format!("{}:{PORT}", elsewhere.other)]);
    machine.runtime.admit(&spec).await.unwrap();
    assert_eq!(cut.rest().await, b"", "it was cut off");
    remove(&machine, &spec).await;
}
