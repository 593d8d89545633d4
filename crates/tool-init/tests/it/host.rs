//! The host's half against peers that are not what they should be.

use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::common::wait_readable;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, sendmsg,
    socket,
};
use tool_init::frame::{ToHost, ToInit};
use tool_init::host::{Control, ExpectedPeer, HostSocket, Owner, SessionPipes};

fn stranger(path: &Path) -> OwnedFd {
    let fd = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    connect(fd.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    fd
}

fn myself() -> ExpectedPeer {
    ExpectedPeer {
        pid: std::process::id(),
        uid: nix::unistd::getuid().as_raw(),
    }
}

fn pair(directory: &Path) -> (Control, OwnedFd) {
    let listener = HostSocket::bind(&directory.join("s"), None).unwrap();
    let peer = stranger(&directory.join("s"));
    (listener.accept(myself()).unwrap(), peer)
}

#[test]
fn the_socket_is_for_its_owner_only_and_goes_after_the_accept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = HostSocket::bind(&path, None).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        listener.accept(myself()).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let _peer = stranger(&path);
    listener.accept(myself()).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_process_that_is_not_expected_is_turned_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = HostSocket::bind(&path, None).unwrap();
    let right = myself();
    for wrong in [
        ExpectedPeer { pid: 1, ..right },
        ExpectedPeer {
            uid: right.uid + 1,
            ..right
        },
    ] {
        let peer = stranger(&path);
        let error = listener.accept(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("in place of"), "{error}");
        wait_readable(peer.as_fd());
        let got = nix::sys::socket::recv(peer.as_raw_fd(), &mut [0; 8], MsgFlags::empty());
        assert_eq!(got, Ok(0), "closed without a byte");
        assert!(path.exists(), "the right one can still come");
    }
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let old = HostSocket::bind(&path, None).unwrap();
    let new = HostSocket::bind(&path, None).unwrap();
    drop(old);
    assert!(
        path.exists(),
        "the old one does not remove the file of the new one"
    );
    drop(new);
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    assert_eq!(
        HostSocket::bind(&path, None).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    assert_eq!(
        HostSocket::bind(&path, None).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
}

#[test]
fn a_path_above_the_limit_of_socket_addresses_works() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let listener = HostSocket::bind(&deep.join("init.sock"), None).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tool-init"));
    let mut init = command
        .arg("--socket")
        .arg(deep.join("init.sock"))
        .spawn()
        .unwrap();
    wait_readable(listener.as_fd());
    let control = listener.accept(ExpectedPeer {
        pid: init.id(),
        ..myself()
    });
    init.kill().unwrap();
    init.wait().unwrap();
    control.unwrap();
}

#[test]
fn ownership_is_given_to_the_containers_user() {
    if !nix::unistd::geteuid().is_root() {
        // Only root may give files away; anybody may give them to himself.
        let me = Owner {
            uid: myself().uid,
            gid: nix::unistd::getgid().as_raw(),
        };
        SessionPipes::new(Some(me)).unwrap();
        return;
    }
    let owner = Owner {
        uid: 54321,
        gid: 54322,
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let _listener = HostSocket::bind(&path, Some(owner)).unwrap();
    let found = path.metadata().unwrap();
    assert_eq!((found.uid(), found.gid()), (54321, 54322));
    let pipes = SessionPipes::new(Some(owner)).unwrap();
    for fd in pipes.tool.fds() {
        let found = nix::sys::stat::fstat(fd).unwrap();
        assert_eq!((found.st_uid, found.st_gid), (54321, 54322));
    }
}

#[test]
fn the_hosts_ends_do_not_block_and_the_tools_do() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let pipes = SessionPipes::new(None).unwrap();
    let nonblocking = |fd: std::os::fd::BorrowedFd<'_>| {
        let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
        flags.contains(OFlag::O_NONBLOCK)
    };
    assert!(nonblocking(pipes.stdin.as_fd()) && nonblocking(pipes.stdout.as_fd()));
    assert!(!pipes.tool.fds().into_iter().any(nonblocking));
}

#[test]
fn what_is_no_message_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (control, peer) = pair(directory.path());
    assert_eq!(
        control.try_recv().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    for nonsense in [
        &b"x"[..],
        &[9; 200],
        &vec![1; tool_init::protocol::MAX_MESSAGE + 1],
    ] {
        send(peer.as_raw_fd(), nonsense, MsgFlags::empty()).unwrap();
        assert_eq!(
            control.try_recv().unwrap_err().kind(),
            ErrorKind::InvalidData
        );
        if nonsense.len() > tool_init::protocol::MAX_MESSAGE {
            return;
        }
    }
}

#[test]
fn descriptors_from_a_container_are_never_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let (control, peer) = pair(directory.path());
    let (reader, writer) = std::io::pipe().unwrap();
    let pong = ToHost::Pong { nonce: 1 }.encode();
    let fds = [writer.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(
        peer.as_raw_fd(),
        &[IoSlice::new(&pong)],
        &message,
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    assert_eq!(
        control.try_recv().unwrap_err().kind(),
        ErrorKind::InvalidData
    );
    drop(writer);
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut { reader }, &mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn a_peer_that_is_gone_is_noticed_on_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let (control, peer) = pair(directory.path());
    control.try_send_plain(&ToInit::Ping { nonce: 1 }).unwrap();
    drop(peer);
    assert_eq!(control.try_recv().unwrap(), None);
    let error = control
        .try_send_plain(&ToInit::Ping { nonce: 2 })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_peer_that_does_not_read_makes_the_host_wait() {
    let directory = tempfile::tempdir().unwrap();
    let (control, _peer) = pair(directory.path());
    let error = (0..100_000)
        .find_map(|nonce| control.try_send_plain(&ToInit::Ping { nonce }).err())
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}
