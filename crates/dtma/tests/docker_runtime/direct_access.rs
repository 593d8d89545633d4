//! A tool with a port of its own (TOOL-11): reached from where its owner says and from nowhere else,
//! by a client on this machine and by one that is elsewhere, which a network namespace plays.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use agentopia_domain::direct_access::{DirectAccess, PortProtocol, Sources};
use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma::runtime::Runtime as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::http_server::http_echo;
use crate::machine::Machine;
use crate::support::wait_for;

/// Stays longer than any rule takes to be asked.
const PATIENCE: Duration = Duration::from_secs(3);
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ALSO_HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Another computer on a wire to this one.
struct Elsewhere {
    name: String,
    /// This machine's address on the wire.
    near: Ipv4Addr,
    /// The other one's.
    far: Ipv4Addr,
}

impl Elsewhere {
    fn new() -> Self {
        let number = std::process::id();
        let [_, _, b, c] = number.to_be_bytes();
        let base = u32::from(Ipv4Addr::new(10, 213, b, c & 0xfc));
        let this = Self {
            name: format!("ag-{number}"),
            near: Ipv4Addr::from(base + 1),
            far: Ipv4Addr::from(base + 2),
        };
        let (name, near, far) = (&this.name, this.near, this.far);
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add {name}h type veth peer name {name}n netns {name}"
        ));
        ip(&format!("addr add {near}/30 dev {name}h"));
        ip(&format!("link set {name}h up"));
        ip(&format!("-n {name} addr add {far}/30 dev {name}n"));
        ip(&format!("-n {name} link set {name}n up"));
        this
    }

    /// Whether somebody there gets a connection to a port of this machine.
    fn reaches(&self, port: u16) -> bool {
        let connect = format!("exec 3<>/dev/tcp/{}/{port}", self.near);
        let mut command = Command::new("ip");
        command.args([
            "netns", "exec", &self.name, "timeout", "5", "bash", "-c", &connect,
        ]);
        command.output().unwrap().status.success()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _gone = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {said}");
}

async fn connect(from: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddrV4::new(from, 0).into())?;
    let target = SocketAddr::from((HERE, port));
    let connecting = tokio::time::timeout(PATIENCE, socket.connect(target));
    connecting.await.map_err(std::io::Error::from)?
}

/// Whether the tool itself answers on the connection.
async fn answers(stream: &mut TcpStream) -> bool {
    let request = "GET /nothing HTTP/1.1\r\nhost: here\r\n\r\n";
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = [0; 8];
    let reading = tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer));
    matches!(reading.await, Ok(Ok(_))) && &answer == b"HTTP/1.1"
}

fn chain(spec: &InstanceSpec) -> String {
    format!(
        "AGENTOPIA-{:016X}",
        spec.instance_id.as_uuid().as_u64_pair().1
    )
}

fn rules(spec: &InstanceSpec) -> usize {
    let chain = chain(spec);
    let listing = Command::new("iptables")
        .args(["-w", "5", "-S"])
        .output()
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    listing.lines().filter(|line| line.contains(&chain)).count()
}

fn let_in(spec: &mut InstanceSpec, sources: &[Ipv4Addr]) {
    let sources = sources.iter().map(ToString::to_string);
    spec.direct_access = Some(DirectAccess {
        port: 8080,
        protocols: [PortProtocol::Tcp].into(),
        sources: Sources::parse(sources).unwrap(),
    });
    spec.generation += 1;
}

async fn port(machine: &Machine, spec: &InstanceSpec) -> u16 {
    let seen = machine.runtime.inspect(spec.instance_id).await.unwrap();
    seen.unwrap().port.unwrap()
}

#[tokio::test]
async fn it_is_reached_from_its_sources_and_from_nowhere_else_until_it_stops() {
    let mut machine = Machine::new().await;
    let elsewhere = Elsewhere::new();
    let mut spec = http_echo(&machine).await;
    let_in(&mut spec, &[elsewhere.far]);
    machine.start(&spec).await;
    let port = port(&machine, &spec).await;
    wait_for("the server to listen", || async {
        elsewhere.reaches(port).then_some(())
    })
    .await;
    for from in [HERE, ALSO_HERE] {
        assert!(
            connect(from, port).await.is_err(),
            "{from} is not among its sources"
        );
    }

    // Other sources hold at once, also for connections that are open, and the container stays.
    let container = machine.inspect(&spec).await.id;
    let_in(&mut spec, &[ALSO_HERE]);
    machine.runtime.admit(&spec).await.unwrap();
    assert!(!elsewhere.reaches(port));
    assert!(connect(HERE, port).await.is_err());
    let mut open = connect(ALSO_HERE, port).await.unwrap();
    assert!(answers(&mut open).await);
    let_in(&mut spec, &[elsewhere.far]);
    machine.runtime.admit(&spec).await.unwrap();
    assert!(!answers(&mut open).await, "it was cut off");
    assert_eq!(machine.inspect(&spec).await.id, container);

    // The next DTMA finds it so, and puts right what somebody took away meanwhile.
    let rule = format!(
        "-D INPUT -m conntrack --ctorigdstport {port} --ctdir ORIGINAL -j {}",
        chain(&spec)
    );
    let mut taken_away = Command::new("iptables");
    taken_away.args(["-w", "5"]).args(rule.split(' '));
    assert!(taken_away.status().unwrap().success());
    assert!(connect(HERE, port).await.is_ok(), "nothing guards it there");
    machine.restart().await;
    assert!(
        machine
            .runtime
            .adopt(&spec, Default::default())
            .await
            .unwrap()
    );
    assert!(elsewhere.reaches(port));
    assert!(connect(HERE, port).await.is_err());

    machine
        .runtime
        .stop(spec.instance_id, PATIENCE)
        .await
        .unwrap();
    assert!(!elsewhere.reaches(port));
    assert!(connect(HERE, port).await.is_err());
    assert_eq!(rules(&spec), 0);
    // It has the same port when it comes back.
    machine.start(&spec).await;
    wait_for("the server to listen", || async {
        elsewhere.reaches(port).then_some(())
    })
    .await;
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert_eq!(rules(&spec), 0);
}

#[tokio::test]
async fn one_that_loses_its_port_is_not_published_any_more() {
    let machine = Machine::new().await;
    let mut spec = http_echo(&machine).await;
    let_in(&mut spec, &[HERE]);
    machine.start(&spec).await;
    let port = port(&machine, &spec).await;
    assert!(connect(HERE, port).await.is_ok());
    let container = machine.inspect(&spec).await.id;
    spec.direct_access = None;
    spec.generation += 1;
    machine.start(&spec).await;
    assert_ne!(machine.inspect(&spec).await.id, container);
    assert!(connect(HERE, port).await.is_err());
    assert_eq!(rules(&spec), 0);
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
}
