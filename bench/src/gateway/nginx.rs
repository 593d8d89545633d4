//! nginx as a plain reverse proxy, with what its manual recommends for speed: connections to the upstream
//! are kept, nothing is logged.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::role::Part;

/// Until it listens.
const START: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// Starts it before `upstream`.
pub(super) async fn start(upstream: &str) -> anyhow::Result<Part> {
    let directory = tempfile::Builder::new()
        .prefix("agentopia-bench-")
        .tempdir()?;
    let path = directory.path();
    let port = free_port()?;
    let file = path.join("nginx.conf");
    std::fs::write(
        &file,
        configuration(upstream, port, &path.display().to_string()),
    )?;
    let child = Command::new("nginx")
        .arg("-p")
        .arg(path)
        .arg("-c")
        .arg(&file)
        .args(["-e", "stderr"])
        .stdout(Stdio::null())
        .spawn()
        .context("nginx can't be started: is it installed?")?;
    let mut part = Part::of(child, format!("http://127.0.0.1:{port}/mcp"), None);
    part.keep(directory);
    let listening = async {
        while TcpStream::connect(part.place.authority()).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let listens = tokio::time::timeout(START, listening).await;
    listens.context("nginx does not listen")?;
    Ok(part)
}

/// The kernel gives out another one next time.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

fn configuration(upstream: &str, port: u16, directory: &str) -> String {
    let authority = upstream.trim_start_matches("http://");
    let authority = authority.split('/').next().unwrap_or(authority);
    format!(
        "daemon off;
master_process on;
worker_processes 2;
pid {directory}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_buffer_size 256k;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  proxy_buffers 16 32k;
  proxy_buffer_size 32k;
  keepalive_requests 1000000;
  tcp_nodelay on;
  upstream mcp {{
    server {authority};
    keepalive 256;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
"
    )
}
