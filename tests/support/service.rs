//! The service as a separate process, and its client.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{ADMIN, contract};

/// A running service, ended on drop.
pub struct Service {
    pub child: Child,
    pub address: String,
    /// Its output before its address.
    pub printed: Vec<String>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub headers: BTreeMap<String, String>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Service {
    /// Starts the command, and waits until it has printed its address.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        let address = loop {
            let line = lines
                .next()
                .expect("the service ended before it was ready")
                .unwrap();
            if let Some(address) = line.strip_prefix("arc-backup listens on ") {
                break address.to_owned();
            }
            printed.push(line);
        };
        Self {
            child,
            address,
            printed,
        }
    }

    /// Sends a request with any headers and this `body`. The OpenAPI document must describe the
    /// answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = match body {
            Some(body) => agent.run(request.body(body.to_vec()).unwrap()),
            None => agent.run(request.body(()).unwrap()),
        }
        .unwrap();
        let answer = Answer {
            status: answer.status().as_u16(),
            headers: (answer.headers().iter())
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        value.to_str().unwrap_or_default().to_owned(),
                    )
                })
                .collect(),
            text: answer.body_mut().read_to_string().unwrap(),
        };
        contract::check(method, path, &answer);
        answer
    }

    fn admin(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let bearer = format!("Bearer {ADMIN}");
        self.request(
            method,
            path,
            &[("authorization", &bearer)],
            body.map(str::as_bytes),
        )
    }

    pub fn get(&self, path: &str) -> Answer {
        self.admin("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.admin("POST", path, Some(body))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.admin("DELETE", path, None)
    }

    /// Waits for the end of the running operation, and returns it.
    pub fn wait(&self) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.get("/api/v1/backup/status").json();
            if status["status"] != "running" {
                return status;
            }
            assert!(Instant::now() < until, "still running: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
