//! Probes that only a working server answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The time limit of one probe.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns whether a process listens on the port.
pub(crate) fn listens(port: u16) -> bool {
    connect(port).is_some()
}

/// Returns whether `GET path` has status 200. `headers` are whole lines, each with its line end.
pub(crate) fn answers(port: u16, path: &str, headers: &str) -> bool {
    let ask = || {
        let mut stream = connect(port)?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n").ok()?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).ok()?;
        // Read to the end: otherwise the server logs a broken connection.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        Some(status.starts_with(b"HTTP/1.") && status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn connect(port: u16) -> Option<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE).ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn reply(text: &'static str) -> (u16, thread::JoinHandle<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                question.extend(byte);
            }
            stream.write_all(text.as_bytes()).unwrap();
            String::from_utf8(question).unwrap()
        });
        (port, served)
    }

    #[test]
    fn only_status_200_is_an_answer() {
        let (port, served) = reply("HTTP/1.1 200 OK\r\n\r\n{}");
        assert!(answers(port, "/health", "A: b\r\n"));
        let question = served.join().unwrap();
        assert_eq!(question, format!("GET /health HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nA: b\r\n\r\n"));

        let (port, served) = reply("HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(!answers(port, "/health", ""));
        served.join().unwrap();
        assert!(!answers(port, "/health", ""), "nobody listens any more");
    }
}
