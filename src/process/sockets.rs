//! Who listens on TCP, asked of the kernel itself (sock_diag(7)).
//!
//! `/proc/net/tcp` says the same, but for it the kernel goes through every place of its table of
//! connections, of which a machine has hundreds of thousands: milliseconds for each server that
//! has become ready, where an answer to this question takes some microseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// The kernel answers while it is asked; without an answer after this there will be none.
const PATIENCE: Duration = Duration::from_secs(1);

/// The kernel fills at most this much at once.
const ANSWER: usize = 32 << 10;

/// Lengths of `nlmsghdr`, of `inet_diag_req_v2` and of `inet_diag_msg`.
const HEADER: usize = 16;
const QUESTION: usize = 56;
const ROW: usize = 72;

/// Where a row has its local port and its inode.
const ROW_PORT: usize = 4;
const ROW_INODE: usize = 68;

/// Numbers of include/uapi/linux/{netlink,sock_diag,in}.h and of net/tcp_states.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u32 = 10;

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) port: u16,
    pub(super) inode: u32,
}

/// Lists every TCP socket that listens, IPv6 included.
///
/// # Errors
///
/// Returns an error when this kernel does not answer such questions.
pub(super) fn listening() -> io::Result<Vec<Listening>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let mut found = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        send(&socket, &question(family), SendFlags::empty())?;
        hear(&socket, &mut found)?;
    }
    Ok(found)
}

fn question(family: AddressFamily) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + QUESTION);
    bytes.extend(((HEADER + QUESTION) as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend([0; 8]); // its number and our address: one question at a time
    bytes.extend([family.as_raw() as u8, IPPROTO_TCP, 0, 0]);
    bytes.extend((1_u32 << TCP_LISTEN).to_ne_bytes());
    bytes.resize(HEADER + QUESTION, 0); // any address
    bytes
}

/// Takes the answers to one question.
fn hear(socket: &OwnedFd, found: &mut Vec<Listening>) -> io::Result<()> {
    let mut buffer = vec![0; ANSWER];
    loop {
        let (length, _) = match recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => continue,
            received => received?,
        };
        if read(&buffer[..length], found)? == Answer::Complete {
            return Ok(());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Complete,
    MoreComes,
}

/// Reads what came at once: messages, each with its length and kind first.
fn read(mut bytes: &[u8], found: &mut Vec<Listening>) -> io::Result<Answer> {
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    if bytes.is_empty() {
        return Err(cut());
    }
    while !bytes.is_empty() {
        let length = u32::from_ne_bytes(part(bytes, 0).ok_or_else(cut)?) as usize;
        let kind = u16::from_ne_bytes(part(bytes, 4).ok_or_else(cut)?);
        let body = bytes.get(HEADER..length).ok_or_else(cut)?;
        match kind {
            NLMSG_ERROR => {
                let code = i32::from_ne_bytes(part(body, 0).ok_or_else(cut)?);
                return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
            }
            NLMSG_DONE => return Ok(Answer::Complete),
            SOCK_DIAG_BY_FAMILY => {
                let row = body.get(..ROW).ok_or_else(cut)?;
                found.push(Listening {
                    port: u16::from_be_bytes(part(row, ROW_PORT).ok_or_else(cut)?),
                    inode: u32::from_ne_bytes(part(row, ROW_INODE).ok_or_else(cut)?),
                });
            }
            _ => {} // nothing that was asked for
        }
        // Each begins at a multiple of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Answer::MoreComes)
}

fn part<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<[u8; SIZE]> {
    bytes.get(at..at + SIZE)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn row(port: u16, inode: u32) -> Vec<u8> {
        let mut row = vec![0; ROW];
        row[ROW_PORT..ROW_PORT + 2].copy_from_slice(&port.to_be_bytes());
        row[ROW_INODE..ROW_INODE + 4].copy_from_slice(&inode.to_ne_bytes());
        row
    }

    #[test]
    fn rows_are_read_until_the_answer_is_complete() {
        let mut long = row(8081, 7);
        long.extend([0; 5]); // attributes that nobody asked for
        let first = [message(20, &long), message(20, &row(8082, 8))].concat();
        let last = [message(20, &row(8083, 9)), message(3, &[0; 4])].concat();
        let mut found = Vec::new();
        assert_eq!(read(&first, &mut found).expect("rows"), Answer::MoreComes);
        assert_eq!(read(&last, &mut found).expect("rows"), Answer::Complete);
        let found: Vec<_> = found.iter().map(|row| (row.port, row.inode)).collect();
        assert_eq!(found, [(8081, 7), (8082, 8), (8083, 9)]);
    }

    #[test]
    fn what_is_refused_or_cut_short_is_an_error() {
        let refused = message(2, &(-2_i32).to_ne_bytes());
        let whole = message(20, &row(1, 2));
        let mut zero = whole.clone();
        zero[..4].fill(0);
        let rows: [&[u8]; 5] = [&refused, b"", &whole[..3], &whole[..40], &zero];
        for bytes in rows {
            assert!(read(bytes, &mut Vec::new()).is_err(), "{bytes:?}");
        }
        let error = read(&refused, &mut Vec::new()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_kernel_tells_of_a_socket_that_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("an address").port();
        match listening() {
            Ok(found) => assert_eq!(found.iter().filter(|row| row.port == port).count(), 1),
            // Then the tables are read.
            Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
        }
    }
}
