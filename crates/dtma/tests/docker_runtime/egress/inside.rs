//! What is tried from inside a container. The probes join its network, as root and with every capability:
//! they can do more than any tool.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use agentopia_domain::spec::InstanceSpec;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout};

use crate::machine::Machine;

/// The engine's resolver in every container.
pub(super) const ENGINES: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

#[derive(Clone, Copy)]
pub(super) struct Inside {
    pid: i64,
}

impl Inside {
    pub(super) async fn of(machine: &Machine, spec: &InstanceSpec) -> Self {
        let shown = machine.inspect(spec).await;
        Self {
            pid: shown.state.unwrap().pid.unwrap(),
        }
    }

    /// For `nsenter`.
    pub(super) fn net(self) -> String {
        format!("--net=/proc/{}/ns/net", self.pid)
    }

    fn run(self, arguments: &[&str]) -> (bool, Vec<u8>) {
        let mut command = Command::new("nsenter");
        command.arg(self.net()).args(arguments);
        let output = command.output().unwrap();
        (output.status.success(), output.stdout)
    }

    fn bash(self, script: &str) -> (bool, Vec<u8>) {
        self.run(&["timeout", "3", "bash", "-c", script])
    }

    /// Whether a connection comes about.
    pub(super) fn connects(self, to: impl Into<IpAddr>, port: u16) -> bool {
        let to = to.into();
        self.bash(&format!("exec 3<>/dev/tcp/{to}/{port}")).0
    }

    /// Sends a UDP packet, and tells whether anything came back within a second.
    pub(super) fn udp(self, to: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let (ip, port) = (to.ip(), to.port());
        let bytes: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        // One packet is one write: dd reads it as a whole and writes it at once.
        let script = format!(
            "exec 3<>/dev/udp/{ip}/{port}; printf '{bytes}' | dd bs=2000 count=1 iflag=fullblock >&3 2>/dev/null; \
             timeout 2 dd bs=2000 count=1 <&3 2>/dev/null"
        );
        let (_, answer) = self.bash(&script);
        (!answer.is_empty()).then_some(answer)
    }

    /// Asks a name server for a name; `None` if it does not answer.
    pub(super) fn asks(self, server: Ipv4Addr, name: &str, kind: RecordType) -> Option<Said> {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let answer = self.udp((server, 53).into(), &question.to_vec().unwrap())?;
        let answer = Message::from_vec(&answer).unwrap();
        let addresses = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(address.0),
                _ => None,
            });
        Some(Said {
            code: answer.metadata.response_code,
            addresses: addresses.collect(),
        })
    }

    /// The addresses of a name, asked for as programs in the container do.
    pub(super) fn resolves(self, name: &str) -> Vec<Ipv4Addr> {
        let said = self.asks(ENGINES, name, RecordType::A);
        said.map(|it| it.addresses).unwrap_or_default()
    }

    /// Sends an echo request by a raw socket.
    pub(super) fn pings(self, to: Ipv4Addr) {
        let script = "use Socket; socket(my $s, AF_INET, SOCK_RAW, 1) or die; \
                      send($s, pack('C2n3', 8, 0, 0xf7fd, 1, 1), 0, pack_sockaddr_in(0, inet_aton($ARGV[0])));";
        self.run(&["perl", "-e", script, &to.to_string()]);
    }

    /// Sends a TCP packet as if it came from another address, by a raw socket.
    pub(super) fn forges(self, from: Ipv4Addr, to: Ipv4Addr) {
        let script = "use Socket; socket(my $s, AF_INET, SOCK_RAW, 255) or die; \
                      my ($f, $t) = map { inet_aton($_) } @ARGV; \
                      my $tcp = pack('n2N2C2n3', 4000, 8443, 1, 0, 80, 2, 1000, 0, 0); \
                      my $ip = pack('C2n3C2na4a4', 69, 0, 40, 1, 0, 64, 6, 0, $f, $t); \
                      send($s, $ip . $tcp, 0, pack_sockaddr_in(0, $t));";
        self.run(&["perl", "-e", script, &from.to_string(), &to.to_string()]);
    }

    /// Opens a connection, and says nothing until [`Talk::rest`].
    pub(super) fn talk(self, to: Ipv4Addr, port: u16) -> Talk {
        let script = format!(
            "exec 3<>/dev/tcp/{to}/{port}; echo open; read; \
             printf 'GET / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n' >&3; timeout 3 head -c 8 <&3"
        );
        let mut child = tokio::process::Command::new("nsenter")
            .arg(self.net())
            .args(["bash", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Talk {
            said: child.stdout.take().unwrap(),
            child,
        }
    }

    /// Its addresses of IPv6, but the loopback one.
    pub(super) fn v6(self) -> Vec<String> {
        let (_, table) = self.run(&["cat", "/proc/self/net/if_inet6"]);
        let table = String::from_utf8(table).unwrap();
        let other = |line: &&str| !line.ends_with(" lo");
        table.lines().filter(other).map(str::to_owned).collect()
    }
}

/// An open connection.
pub(super) struct Talk {
    child: Child,
    said: ChildStdout,
}

impl Talk {
    /// Once it is open.
    pub(super) async fn opened(&mut self) {
        let mut word = [0; 5];
        self.said.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"open\n");
    }

    /// What the other end says to a request, at most eight bytes.
    pub(super) async fn rest(mut self) -> Vec<u8> {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        self.said.read_to_end(&mut rest).await.unwrap();
        rest
    }
}

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: ResponseCode,
    pub(super) addresses: Vec<Ipv4Addr>,
}
