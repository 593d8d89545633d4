//! Processes of a container that the engine no longer knows of: one that was killed itself and came
//! back can take a container for ended whose processes live on.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Ends every process in a control group of the container. The id is the engine's, of a container
/// of ours: 64 random digits that stand in no other group's name.
pub(super) fn end(container_id: &str) {
    if container_id.len() < 64 {
        return;
    }
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.filter(|pid| is_in(*pid, container_id)) {
        tracing::warn!(pid, container_id, "ending a process that the engine lost");
        // Gone meanwhile is as good.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn is_in(pid: i32, container_id: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
        .is_ok_and(|groups| groups.contains(container_id))
}
