//! An endpoint on this machine that answers as it is told and remembers what it was sent.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// A request as it came over the wire.
pub(super) struct Received {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// A thread that listens until it is told to stop.
pub(super) struct Endpoint {
    address: SocketAddr,
    is_closing: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Vec<Received>>>,
}

impl Endpoint {
    /// Answers with one status after the other, and goes on with the last.
    pub(super) fn answering(statuses: &[u16]) -> Self {
        Self::new(statuses, None)
    }

    pub(super) fn redirecting(status: u16, to: &str) -> Self {
        Self::new(&[status], Some(to))
    }

    /// The address of a port on which nobody listens.
    pub(super) fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    }

    fn new(statuses: &[u16], location: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let is_closing = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let statuses = statuses.to_vec();
        let location = location
            .map(|to| format!("location: {to}\r\n"))
            .unwrap_or_default();
        let thread = spawn({
            let (is_closing, answered) = (is_closing.clone(), answered.clone());
            move || {
                let mut received = Vec::new();
                while !is_closing.load(Ordering::SeqCst) {
                    let Ok((stream, _)) = listener.accept() else {
                        sleep(Duration::from_millis(2));
                        continue;
                    };
                    let status = statuses.get(received.len()).or(statuses.last()).unwrap();
                    // Whoever connects and says nothing, as another test's client on a port that was free, asked nothing.
                    if let Some(request) = answer(stream, *status, &location) {
                        received.push(request);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                }
                received
            }
        });
        Self {
            address,
            is_closing,
            answered,
            thread: Some(thread),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until a first request was answered, and whoever sent it has had the time to go on.
    pub(super) fn first_answered(&self) -> bool {
        let begun = Instant::now();
        while self.answered.load(Ordering::SeqCst) == 0 {
            if begun.elapsed() > Duration::from_secs(30) {
                return false;
            }
            sleep(Duration::from_millis(2));
        }
        sleep(Duration::from_millis(50));
        true
    }

    /// What came.
    pub(super) fn close(mut self) -> Vec<Received> {
        self.is_closing.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A test that fails leaves no thread behind.
impl Drop for Endpoint {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }
}

fn answer(stream: TcpStream, status: u16, location: &str) -> Option<Received> {
    stream.set_nonblocking(false).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut reader = BufReader::new(&stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    let mut words = first.split(' ');
    let method = words.next().unwrap().to_owned();
    let target = words.next()?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut headers = BTreeMap::new();
    loop {
        let header = line();
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |it| it.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let head =
        format!("HTTP/1.1 {status} So\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    (&stream).write_all(head.as_bytes()).unwrap();
    Some(Received {
        method,
        path: path.to_owned(),
        query,
        headers,
        body,
    })
}
