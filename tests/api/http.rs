//! HTTP as any program speaks it: over the socket or TCP, with nothing of ours in between.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{PATIENCE, TestHome};

/// Where an owner is asked.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Socket(PathBuf),
    Tcp(SocketAddr),
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    place: Place,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A connection, whatever carries it.
pub(crate) trait Line: Read + Write + Send {}
impl<T: Read + Write + Send> Line for T {}

impl Place {
    pub(crate) fn socket(home: &TestHome) -> Self {
        Self::Socket(home.path().join("state/llama-orch.sock"))
    }

    /// Where the owner says that it listens.
    pub(crate) fn tcp(home: &TestHome) -> Self {
        let told = Self::socket(home).get("/status").send().json();
        let url = told["tcp"]["url"].as_str().expect("it listens");
        Self::Tcp(url.trim_start_matches("http://").parse().unwrap())
    }

    pub(crate) fn connect(&self) -> Box<dyn Line> {
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Ask {
        self.ask("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask {
        self.ask("POST", path)
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask {
        let host = match self {
            Self::Socket(_) => "llama-orch".to_owned(),
            Self::Tcp(address) => address.to_string(),
        };
        Ask {
            place: self.clone(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![("host".to_owned(), host)],
            body: Vec::new(),
        }
    }
}

impl Ask {
    /// Says a header, instead of one that has the same name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, kind: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let length = body.len().to_string();
        self.header("content-type", kind)
            .header("content-length", &length)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().as_bytes())
    }

    /// Sends the question and returns the open line.
    pub(crate) fn open(&self) -> Box<dyn Line> {
        let mut line = self.place.connect();
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head += "\r\n";
        line.write_all(head.as_bytes()).unwrap();
        line.write_all(&self.body).ok(); // who is refused by its head need not read the rest
        line.flush().ok();
        line
    }

    /// Sends the question and reads the whole answer.
    pub(crate) fn send(self) -> Told {
        let line = self.header("connection", "close").open();
        Told::read(&mut BufReader::new(line)).expect("an answer")
    }
}

impl Told {
    /// Reads an answer; `None` when the line is closed without one.
    pub(crate) fn read(line: &mut BufReader<Box<dyn Line>>) -> Option<Self> {
        let mut told = Self::read_head(line)?;
        if told.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = read_chunk(line) {
                told.body.extend(chunk);
            }
        } else {
            let length = told
                .header("content-length")
                .map(|length| length.parse().unwrap());
            let length: u64 = length.unwrap_or(u64::MAX);
            line.take(length).read_to_end(&mut told.body).ok()?;
        }
        Some(told)
    }

    /// Reads the head only; what follows is a stream.
    pub(crate) fn read_head(line: &mut BufReader<Box<dyn Line>>) -> Option<Self> {
        let mut head = Vec::new();
        loop {
            let mut text = String::new();
            if line.read_line(&mut text).ok()? == 0 {
                return None;
            }
            match text.trim_end() {
                "" => break,
                text => head.push(text.to_owned()),
            }
        }
        let (first, rest) = head.split_first()?;
        let headers = rest.iter().filter_map(|line| line.split_once(": "));
        Some(Self {
            status: first.split(' ').nth(1)?.parse().ok()?,
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        let read = serde_json::from_slice(&self.body);
        assert!(read.is_ok(), "not JSON: {}", self.text());
        read.unwrap()
    }

    /// The code of a failure, once its shape is as documented.
    pub(crate) fn code(&self) -> String {
        let body = self.json();
        assert!(body["message"].is_string(), "{body}");
        body["code"].as_str().expect("a code").to_owned()
    }
}

/// Reads one piece of a stream; `None` at its end.
pub(crate) fn read_chunk(line: &mut BufReader<Box<dyn Line>>) -> Option<Vec<u8>> {
    let mut length = String::new();
    line.read_line(&mut length).ok()?;
    let length = usize::from_str_radix(length.trim(), 16).ok()?;
    let mut bytes = vec![0; length + 2];
    line.read_exact(&mut bytes).ok()?;
    bytes.truncate(length);
    (length > 0).then_some(bytes)
}
