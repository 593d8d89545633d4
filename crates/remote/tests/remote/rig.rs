//! Servers that remember what they were asked, and names that change.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use agentopia_remote::{RemoteClient, RemotePolicy, RemoteUrl, Resolve};
use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// A server on loopback.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<http::request::Parts>>>,
}

impl Server {
    pub(crate) async fn answering(
        answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1", answer).await
    }

    pub(crate) async fn at(
        ip: &str,
        answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            log.lock().push(request.into_parts().0);
            let answer = answer();
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen }
    }

    pub(crate) fn url(&self, path: &str) -> RemoteUrl {
        url(&format!("http://{}{path}", self.address))
    }

    pub(crate) fn asked(&self) -> usize {
        self.seen.lock().len()
    }
}

pub(crate) fn url(text: &str) -> RemoteUrl {
    RemoteUrl::parse(text).unwrap()
}

/// A client for which the operator allowed these networks.
pub(crate) fn client(allowed: &[&str]) -> RemoteClient {
    RemoteClient::new(policy(allowed))
}

pub(crate) fn policy(allowed: &[&str]) -> RemotePolicy {
    RemotePolicy::allowing(allowed.iter().map(|text| text.parse().unwrap()))
}

/// Answers each question with the next of its answers, and the last one for ever.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    pub(crate) asked: Arc<Mutex<usize>>,
}

impl Names {
    pub(crate) fn answering(answers: &[&[&str]]) -> Self {
        let parse = |all: &&[&str]| all.iter().map(|text| text.parse().unwrap()).collect();
        Self {
            answers: Arc::new(Mutex::new(answers.iter().map(parse).collect())),
            asked: Arc::default(),
        }
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        *self.asked.lock() += 1;
        let mut answers = self.answers.lock();
        if answers.len() > 1 {
            return Ok(answers.pop_front().unwrap());
        }
        Ok(answers.front().cloned().unwrap_or_default())
    }
}
