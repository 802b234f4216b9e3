//! A proxy as in companies: it forwards requests for `http`, and tunnels for `https`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// It listens on 127.0.0.1, and stops when it is dropped.
pub struct ForwardProxy {
    address: SocketAddr,
    /// The heads of all requests.
    seen: Arc<Mutex<Vec<String>>>,
    stops: Arc<AtomicBool>,
}

impl ForwardProxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            stops: Arc::default(),
        };
        let (seen, stops) = (proxy.seen.clone(), proxy.stops.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stops.load(Ordering::SeqCst) {
                    return;
                }
                let seen = seen.clone();
                // A client that hangs up is not a fault of the proxy.
                std::thread::spawn(move || _ = pass(client, &seen));
            }
        });
        proxy
    }

    /// Its URL, with credentials.
    pub fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}@{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// The head of a request, and the bytes that came after it already.
pub fn read_head(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        match client.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            len => bytes.extend_from_slice(&piece[..len]),
        }
    }
}

fn pass(mut client: TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (head, rest) = read_head(&mut client)?;
    seen.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    if method == "CONNECT" {
        let Ok(server) = TcpStream::connect(target) else {
            return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        };
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return both_ways(client, server);
    }
    let place = target.strip_prefix("http://").unwrap_or_default();
    let (host, _) = place.split_once('/').unwrap_or((place, ""));
    let mut server = TcpStream::connect(host)?;
    // One request per connection: the next may be for another host.
    let lines = head
        .trim_end()
        .split("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"));
    let lines: Vec<_> = lines
        .map(|line| line.replacen(target, &place[host.len()..], 1))
        .collect();
    write!(
        server,
        "{}\r\nConnection: close\r\n\r\n",
        lines.join("\r\n")
    )?;
    server.write_all(&rest)?;
    both_ways(client, server)
}

fn both_ways(client: TcpStream, server: TcpStream) -> std::io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let _ = std::io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Both)
}
