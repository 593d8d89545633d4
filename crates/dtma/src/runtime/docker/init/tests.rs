//! What `tool-init` says in an order that the real one only seldom keeps.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentopia_domain::Ambient;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};
use nix::unistd::getuid;
use tokio::sync::broadcast;
use tool_init::frame::{ExitStatus, ToHost, ToInit};
use tool_init::protocol::{MAX_MESSAGE, SessionId, VERSION_MAX, VERSION_MIN};

use super::{InitLink, Launch, LinkConfig};
use crate::testing;

/// The other end, spoken by hand. It blocks: the link's task needs another thread.
struct ToolInit(OwnedFd);

impl ToolInit {
    fn connect(path: &Path) -> Self {
        let kind = SockType::SeqPacket;
        let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(fd.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        Self(fd)
    }

    fn say(&self, message: &ToHost) {
        send(self.0.as_raw_fd(), &message.encode(), MsgFlags::empty()).unwrap();
    }

    /// The next message, read by `what`.
    fn hear<T>(&self, what: impl FnOnce(ToInit<'_>) -> T) -> T {
        let mut buffer = vec![0; MAX_MESSAGE];
        let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        what(ToInit::decode(&buffer[..len]).unwrap())
    }
}

fn listen(socket: PathBuf) -> Arc<InitLink> {
    let config = LinkConfig {
        instance: Ambient::system().new_id(),
        socket,
        uid: getuid().as_raw(),
        find_pid: Arc::new(|| Box::pin(async { Some(std::process::id()) })),
        exits: broadcast::channel(8).0,
    };
    Arc::new(InitLink::listen(config).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_earlier_dtmas_server_is_not_taken_for_one_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("init.sock");
    let link = listen(path.clone());
    let other_end = tokio::task::spawn_blocking(move || {
        let init = ToolInit::connect(&path);
        init.say(&ToHost::Hello {
            min: VERSION_MIN,
            max: VERSION_MAX,
            running: Vec::new(),
        });
        init.hear(|said| assert!(matches!(said, ToInit::Welcome { .. }), "{said:?}"));
        let kept = ToHost::Exit {
            session: SessionId::new(1).unwrap(),
            status: ExitStatus::Code(0),
        };
        let mut kept = Some(kept);
        loop {
            let answer = init.hear(|said| match said {
                ToInit::Ping { nonce } => ToHost::Pong { nonce },
                ToInit::Spawn(spawn) => ToHost::Spawned {
                    session: spawn.session,
                    pid: 7,
                },
                other => panic!("{other:?}"),
            });
            if let Some(kept) = kept.take() {
                init.say(&kept);
            }
            init.say(&answer);
            if let ToHost::Spawned { session, .. } = answer {
                return (session, init);
            }
        }
    });
    link.connected().await.unwrap();
    let spec = testing::spec();
    let launch = Arc::new(Launch::new(&spec, &[], &BTreeMap::new()).unwrap());
    let _session = link.spawn_stdio(&launch).await.unwrap();
    let (session, _connection) = other_end.await.unwrap();
    assert_eq!(
        session.get(),
        1,
        "the id that the kept message was about, or this shows nothing"
    );
}
