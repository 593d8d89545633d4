//! The server as a child process.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

pub(crate) const META: &str = "io.modelcontextprotocol/";

/// Parameters of a modern request.
pub(crate) fn modern(mut params: Value) -> Value {
    params["_meta"][format!("{META}protocolVersion")] = json!("2026-07-28");
    params["_meta"][format!("{META}clientCapabilities")] = json!({});
    params
}

/// Killed when dropped.
pub(crate) struct Echo {
    pub(crate) process: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: BufReader<ChildStdout>,
    /// What nobody takes away fills the pipe, and the process waits at its next line.
    pub(crate) stderr: Option<Lines<BufReader<ChildStderr>>>,
    next_id: u64,
}

impl Echo {
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_agentopia-echo"))
            .args(args)
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let stderr = BufReader::new(process.stderr.take().unwrap()).lines();
        Self {
            process,
            stdin,
            stdout,
            stderr: Some(stderr),
            next_id: 0,
        }
    }

    /// The next line on standard error.
    pub(crate) fn logged(&mut self) -> String {
        self.stderr.as_mut().unwrap().next().unwrap().unwrap()
    }

    pub(crate) fn write(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.write(&message.to_string());
        id
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string());
    }

    /// The result of a request; the next message must be it.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        let answer = self.read();
        assert_eq!(answer["id"], id, "{answer}");
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    pub(crate) fn initialize(&mut self, version: &str) -> Value {
        let params = json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let result = self.ask("initialize", params);
        self.notify("notifications/initialized", json!({}));
        result
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
